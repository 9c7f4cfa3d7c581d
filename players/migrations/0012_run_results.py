from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("players", "0011_records")]

    operations = [
        migrations.AlterField(
            "writebackrun", "complete_until", models.DateTimeField(null=True)
        ),
        migrations.AddField(
            "writebackrun", "written", models.PositiveIntegerField(default=0)
        ),
        migrations.AddField(
            "writebackrun", "errors", models.PositiveIntegerField(default=0)
        ),
    ]
