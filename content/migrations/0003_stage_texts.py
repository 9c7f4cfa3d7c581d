"""The words of stages as searches compare them; titles by the rules of version 3."""

import content.fields
from django.db import migrations

from core.refolding import refold


def fold_texts(apps, schema_editor):
    using = schema_editor.connection.alias
    refold(apps.get_model("content", "Node"), "title_folded", using=using)
    # A lesson may have a megabyte of stages.
    stages = apps.get_model("content", "LessonStage")
    refold(stages, "text_folded", using=using, batch=50)


class Migration(migrations.Migration):
    dependencies = [("content", "0002_fold_titles_again")]

    operations = [
        migrations.AddField(
            "lessonstage",
            "text_folded",
            content.fields.StageTextField(default="", editable=False),
        ),
        migrations.RunPython(fold_texts, migrations.RunPython.noop),
    ]
