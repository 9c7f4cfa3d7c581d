from django.db import migrations, models

from publishing.models import storage_is_the_bucket


def say_what_is_packed(apps, _schema_editor):
    """What is uploaded already is stored as the settings say now."""
    settings = apps.get_model('publishing', 'PublishingSettings').objects
    if storage_is_the_bucket() and settings.filter(cdn_gzip=True).exists():
        apps.get_model('publishing', 'UploadedDocument').objects.update(packed=True)


class Migration(migrations.Migration):

    dependencies = [
        ('publishing', '0008_ids_exact'),
    ]

    operations = [
        migrations.AddField(
            model_name='synclog',
            name='failing_since',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='uploadeddocument',
            name='packed',
            field=models.BooleanField(default=False),
        ),
        migrations.RunPython(say_what_is_packed, migrations.RunPython.noop),
    ]
