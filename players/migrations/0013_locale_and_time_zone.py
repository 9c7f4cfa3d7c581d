from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("players", "0012_run_results")]

    operations = [
        migrations.AddField(
            "playerprofile",
            "locale",
            models.CharField(
                blank=True,
                default="",
                editable=False,
                max_length=10,
                verbose_name="language",
            ),
        ),
        migrations.AddField(
            "playerprofile",
            "time_zone",
            models.CharField(
                blank=True,
                default="",
                editable=False,
                max_length=64,
                verbose_name="time zone",
            ),
        ),
        migrations.AddField(
            "playerprofile",
            "time_zone_changed_at",
            models.DateTimeField(editable=False, null=True),
        ),
    ]
