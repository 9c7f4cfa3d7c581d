"""The records of lessons hold their words; the next builds fill them in."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("publishing", "0014_alert_of_the_registrar")]

    operations = [
        migrations.AddField(
            model_name="publisheddocument",
            name="search_words",
            field=models.TextField(blank=True, default="", editable=False),
        ),
    ]
