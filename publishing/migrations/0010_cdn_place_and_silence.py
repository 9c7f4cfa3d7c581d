from django.db import migrations, models

from publishing import destinations


def note_plans_on_cdn(apps, _schema_editor):
    """Keep the links of the plans that the CDN has: none is built anew for this."""
    current = apps.get_model('publishing', 'PublishingSettings').objects.first()
    if current is None or not current.cdn_enabled or current.local_fallback_mode:
        return
    place = destinations.public_destination_id(current)
    uploaded = apps.get_model('publishing', 'UploadedDocument').objects.filter(
        target=place, path__endswith='/manifest.json', leaving_since__isnull=True
    ).exclude(sha256='')
    plans = [path.split('/')[1] for path in uploaded.values_list('path', flat=True)]
    apps.get_model('publishing', 'Publication').objects.filter(
        plan_public_id__in=plans
    ).update(cdn_place=place)


class Migration(migrations.Migration):

    dependencies = [
        ('publishing', '0009_uploads_packed_and_failing'),
    ]

    operations = [
        migrations.AddField(
            model_name='publication',
            name='cdn_place',
            field=models.CharField(blank=True, default='', editable=False, max_length=16),
        ),
        migrations.RunPython(note_plans_on_cdn, migrations.RunPython.noop),
        migrations.AlterField(
            model_name='alert',
            name='kind',
            field=models.CharField(choices=[('disk_low', 'Disk nearly full'), ('dead_letter', 'Dead letter'), ('upload_failed', 'Upload failed'), ('health_fault', 'Health check'), ('silent', 'Worker or scheduler not running')], max_length=20, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='publishingsettings',
            name='cdn_enabled',
            field=models.BooleanField(default=False, help_text="Every release is uploaded. A plan's links lead to the CDN when all its files are there. Videos stay in the private bucket when this is turned off, so keep its keys.", verbose_name='use the CDN'),
        ),
    ]
