"""The records of lessons hold their reviewable items; the next builds fill them in."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("publishing", "0011_names")]

    operations = [
        migrations.AddField(
            model_name="publisheddocument",
            name="review_items",
            field=models.TextField(blank=True, default="", editable=False),
        ),
    ]
