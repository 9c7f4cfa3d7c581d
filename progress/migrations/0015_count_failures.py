from django.db import migrations

CARDS = 10_000

_COUNT = """
UPDATE progress_reviewcard SET failures = (
  SELECT COUNT(*) FROM progress_reviewrating
  WHERE card_id = progress_reviewcard.id AND rating = 1
) WHERE id > %s AND id <= %s
"""


def count_failures(apps, schema_editor):
    """Count the ratings “again” of each card. It may be interrupted and run again."""
    cards = apps.get_model("progress", "ReviewCard").objects.order_by("pk")
    last = 0
    while True:
        part = cards.filter(pk__gt=last).values_list("pk", flat=True)[:CARDS]
        pks = list(part)
        if not pks:
            return
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(_COUNT, [last, pks[-1]])
        last = pks[-1]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("progress", "0014_review_burials_and_failures")]

    operations = [migrations.RunPython(count_failures, migrations.RunPython.noop)]
