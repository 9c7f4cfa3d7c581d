"""Titles as searches compare them; a label's title is unique however it is spelled."""

import core.fields
from collections import defaultdict

from django.core.management.base import CommandError
from django.db import migrations, models

import content.fields
from core.folding import fold

LABELS = ("Season", "Grade", "Stream")


def key_of(title):
    return fold(title)[:255].strip()


def refuse_same_labels(apps, schema_editor):
    """Stop before anything is changed where two labels would be the same one."""
    found = []
    for name in LABELS:
        groups = defaultdict(list)
        rows = apps.get_model("plans", name).objects.using(
            schema_editor.connection.alias
        )
        for pk, title in rows.order_by("pk").values_list("pk", "title"):
            groups[key_of(title)].append(f"“{title}” (id {pk})")
        found += [
            f"{name}: {', '.join(same)}" for same in groups.values() if len(same) > 1
        ]
    if found:
        raise CommandError(
            "These labels are spelled differently and read as the same:\n  "
            + "\n  ".join(found)
            + "\nNothing was changed. In the admin, let plans and students use one of "
            "each, delete or rename the others, then run migrate again."
        )


def fold_titles(apps, schema_editor):
    alias = schema_editor.connection.alias
    for name in (*LABELS, "AcademicPlan"):
        rows = apps.get_model("plans", name)._base_manager.using(alias)
        changed = []
        for row in rows.only("pk", "title", "title_folded"):
            row.title_folded = key_of(row.title) if name in LABELS else fold(row.title)
            changed.append(row)
        rows.bulk_update(changed, ["title_folded"], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [("plans", "0001_initial")]

    operations = [
        migrations.RunPython(refuse_same_labels, migrations.RunPython.noop),
        migrations.AddField(
            "academicplan",
            "title_folded",
            core.fields.FoldedField(default="", editable=False, source="title"),
        ),
        *(
            migrations.AddField(
                name.lower(),
                "title_folded",
                core.fields.FoldedKeyField(
                    default="",
                    editable=False,
                    max_length=255,
                    source="title",
                    unique=False,
                ),
            )
            for name in LABELS
        ),
        migrations.RunPython(fold_titles, migrations.RunPython.noop),
        *(
            migrations.AlterField(
                name.lower(),
                "title",
                core.fields.TitleField(max_length=100, verbose_name="title"),
            )
            for name in LABELS
        ),
        *(
            migrations.AlterField(
                name.lower(),
                "title_folded",
                core.fields.FoldedKeyField(
                    default="",
                    editable=False,
                    max_length=255,
                    source="title",
                    unique=True,
                ),
            )
            for name in LABELS
        ),
    ]
