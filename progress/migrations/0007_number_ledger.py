from django.db import migrations, transaction

PLAYERS = 500

_VALUES = """
    seq = numbered.position,
    occurred_at = ledger.received_at,
    event_id = COALESCE(ledger.event_id, {row_id}),
    best_hearts = CASE WHEN ledger.type = 'lesson_completed' THEN ledger.hearts END
"""
_NUMBERED = """(
    SELECT id, ROW_NUMBER() OVER (PARTITION BY player_id ORDER BY received_at, id)
      AS position
    FROM progress_interactionlog WHERE player_id BETWEEN %s AND %s
) AS numbered"""


def number_rows(apps, schema_editor):
    """Number each player's rows by time and id.

    A batch of players is one transaction, so an interrupted migration can be run again:
    it goes on with the players whose rows have no positions.
    """
    rows = apps.get_model("progress", "InteractionLog").objects
    connection = schema_editor.connection
    if connection.vendor == "mysql":
        values = _VALUES.format(row_id="CONCAT('row-', ledger.id)")
        for column in ("seq", "occurred_at", "event_id", "best_hearts"):
            values = values.replace(f"    {column} =", f"    ledger.{column} =")
        statement = (
            f"UPDATE progress_interactionlog AS ledger JOIN {_NUMBERED} "
            f"ON numbered.id = ledger.id SET {values} WHERE ledger.seq IS NULL"
        )
    else:
        values = _VALUES.format(row_id="'row-' || ledger.id")
        statement = (
            f"UPDATE progress_interactionlog AS ledger SET {values} FROM {_NUMBERED} "
            f"WHERE numbered.id = ledger.id AND ledger.seq IS NULL"
        )
    last = 0
    while True:
        unnumbered = rows.filter(seq=None, player_id__gt=last).order_by("player_id")
        players = list(
            unnumbered.values_list("player_id", flat=True).distinct()[:PLAYERS]
        )
        if not players:
            return
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(statement, [players[0], players[-1]])
        last = players[-1]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("progress", "0006_ledger_positions")]

    operations = [migrations.RunPython(number_rows, migrations.RunPython.noop)]
