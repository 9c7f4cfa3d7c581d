"""Users' names as searches compare them."""

import core.fields
from django.db import migrations

import content.fields
from core.folding import fold

BATCH = 500


def fold_names(apps, schema_editor):
    users = apps.get_model("players", "User")._base_manager.using(
        schema_editor.connection.alias
    )
    last = 0
    while batch := list(
        users.filter(pk__gt=last).order_by("pk").only("pk", "full_name")[:BATCH]
    ):
        for user in batch:
            user.full_name_folded = fold(user.full_name)
        users.bulk_update(batch, ["full_name_folded"])
        last = batch[-1].pk


class Migration(migrations.Migration):
    dependencies = [("players", "0009_erasure")]

    operations = [
        migrations.AddField(
            "user",
            "full_name_folded",
            core.fields.FoldedField(default="", editable=False, source="full_name"),
        ),
        migrations.RunPython(fold_names, migrations.RunPython.noop),
    ]
