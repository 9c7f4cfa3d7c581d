"""Write ``title_folded`` by the current rules of ``core.folding``."""

from django.db import migrations

from core.folding import fold

BATCH = 500


def fold_titles(apps, schema_editor):
    nodes = apps.get_model("content", "Node")._base_manager.using(
        schema_editor.connection.alias
    )
    rows = nodes.order_by("pk").only("pk", "title", "title_folded")
    changed = []
    for node in rows.iterator(chunk_size=BATCH):
        folded = fold(node.title)
        if folded != node.title_folded:
            node.title_folded = folded
            changed.append(node)
    nodes.bulk_update(changed, ["title_folded"], batch_size=BATCH)


class Migration(migrations.Migration):
    dependencies = [("content", "0001_initial")]

    operations = [migrations.RunPython(fold_titles, migrations.RunPython.noop)]
