"""The attempts of a run, whether it builds a plan or uploads it.

`publishing.sync_log` (builds) and `publishing.upload_log` (uploads) follow the same
states. Each has its own delays, and its own status once all attempts have failed::

    Queued → Processing → the run's end
      ↑          ↓
      └────── failed ──→ all attempts failed ──→ Queued again by a Retry

A run that needs no further attempt ends as Superseded.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils.functional import Promise

from publishing import alerts
from publishing.models import AlertKind, SyncLog, SyncStatus

UNFINISHED = (SyncStatus.QUEUED, SyncStatus.PROCESSING, SyncStatus.DEAD_LETTER)


def begin(entry: SyncLog, started_at: datetime | None) -> None:
    """Set the fields of an attempt that begins; the caller saves them."""
    entry.status = SyncStatus.PROCESSING
    entry.attempts += 1
    entry.started_at, entry.finished_at = started_at, None
    entry.next_attempt_at = entry.disk_needed = None


def claim(entry: SyncLog, started_at: datetime | None) -> bool:
    """Begin and save an attempt; return False when another one has begun."""
    row = row_of(entry)
    begin(entry, started_at)
    return bool(
        row.update(
            status=entry.status,
            attempts=entry.attempts,
            started_at=started_at,
            finished_at=None,
            next_attempt_at=None,
        )
    )


def fail(
    entry: SyncLog, now: datetime, *, delays: Sequence[int], exhausted: SyncStatus
) -> None:
    """Set the status and the time of the next attempt; the caller saves them.

    Args:
        delays: the seconds after each failed attempt.
        exhausted: the status once all attempts have failed.
    """
    if entry.attempts > len(delays):
        entry.status, entry.next_attempt_at = exhausted, None
    else:
        entry.status = SyncStatus.QUEUED
        delay = timedelta(seconds=delays[entry.attempts - 1])
        entry.next_attempt_at = now + delay


def row_of(entry: SyncLog) -> QuerySet[SyncLog]:
    """Return the entry's row, as long as no other attempt has begun.

    Two processes share an entry when one of them was believed dead.
    """
    return SyncLog.objects.filter(pk=entry.pk, started_at=entry.started_at)


def save(entry: SyncLog, fields: Iterable[str]) -> bool:
    """Save these fields; return False when another attempt has begun."""
    return bool(row_of(entry).update(**{name: getattr(entry, name) for name in fields}))


def supersede(entries: QuerySet[SyncLog]) -> None:
    """End runs that need no further attempt."""
    entries.update(status=SyncStatus.SUPERSEDED, next_attempt_at=None, disk_needed=None)


def waiting(now: datetime) -> Q:
    """Return the condition of entries whose next attempt is not due yet."""
    return Q(status=SyncStatus.QUEUED, next_attempt_at__gt=now)


def due(now: datetime) -> Q:
    """Return the condition of entries whose next attempt is due."""
    return Q(status=SyncStatus.QUEUED, next_attempt_at__lte=now)


def raise_alert(entry: SyncLog, kind: AlertKind, message: str | Promise) -> None:
    """Alert about a plan's run; ``message`` may name its plan, attempts and error."""
    alerts.raise_alert(
        kind=kind,
        key=entry.plan_public_id,
        message=message,
        values={
            "plan": entry.plan_public_id,
            "attempts": entry.attempts,
            "error": entry.error,
        },
    )
