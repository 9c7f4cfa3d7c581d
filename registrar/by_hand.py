"""What staff start by hand: read one record again, send rows to Moodle and Zoho.

Nothing here calls a peer; the work is added to the queues, and tasks do it.
"""

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from registrar import enqueuing, queues, tasks
from registrar.models import Effect, Hint, Kind, LinkedRow, Operation
from registrar.models.work import WorkState
from registrar.outbox import adding


def read_again(*, module: str, record_id: str) -> None:
    """Add a hint for this record, so that it is read from Zoho at once."""
    now = timezone.now()
    Hint.objects.create(
        module=module,
        record_id=record_id,
        operation=Operation.CHANGED,
        created_at=now,
        due_at=now,
    )
    transaction.on_commit(lambda: enqueuing.enqueue(tasks.process_inbox))


def send_now(module: str, rows: Iterable[LinkedRow]) -> int:
    """Let Moodle get these rows now, and Zoho their Moodle id; return how many.

    An effect that waits or has failed is done again; a row of which both have
    everything is left alone.
    """
    count = 0
    for row in rows:
        with transaction.atomic():
            count += _send(module, row)
    return count


def _send(module: str, row: LinkedRow) -> bool:
    now = timezone.now()
    added = bool(adding.add_due([(module, row.zoho_id)]))
    if row.moodle_id is not None and row.crm_moodle_id != str(row.moodle_id):
        added |= adding.add(
            kind=Kind.WRITE_BACK,
            module=module,
            record_id=row.zoho_id,
            version=row.version,
            now=now,
        )
    undone = Effect.objects.filter(
        module=module,
        record_id=row.zoho_id,
        state__in=(WorkState.PENDING, WorkState.DEAD),
    )
    return bool(queues.replay(undone, now=now)) or added
