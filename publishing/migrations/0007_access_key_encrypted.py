from django.db import migrations, models

from core import secrets


def encrypt_access_key(apps, _schema_editor):
    """Encrypt an access key id that was stored as it is.

    Raises:
        SecretsError: there is one, and no key to encrypt with.
    """
    settings = apps.get_model('publishing', 'PublishingSettings').objects
    for pk, stored in settings.values_list('pk', 'cdn_access_key'):
        if not secrets.is_encrypted(stored):
            settings.filter(pk=pk).update(cdn_access_key=secrets.encrypt(stored))


def decrypt_access_key(apps, _schema_editor):
    settings = apps.get_model('publishing', 'PublishingSettings').objects
    for pk, stored in settings.values_list('pk', 'cdn_access_key'):
        settings.filter(pk=pk).update(cdn_access_key=secrets.decrypt(stored))


class Migration(migrations.Migration):

    dependencies = [
        ('publishing', '0006_numbers_never_reused'),
    ]

    operations = [
        migrations.AlterField(
            model_name='publishingsettings',
            name='cdn_access_key',
            field=models.TextField(blank=True, verbose_name='access key id'),
        ),
        migrations.RunPython(encrypt_access_key, decrypt_access_key),
        migrations.AlterField(
            model_name='publishingsettings',
            name='cdn_enabled',
            field=models.BooleanField(default=False, help_text='Every release is uploaded, and its links lead to the CDN. Videos in the private bucket stay there when this is turned off: leave its keys.', verbose_name='use the CDN'),
        ),
        migrations.AlterField(
            model_name='publishingsettings',
            name='local_fallback_mode',
            field=models.BooleanField(default=False, help_text='Students read from this server, and every change is published immediately. Videos in the private bucket are still played from there.', verbose_name='local fallback mode'),
        ),
    ]
