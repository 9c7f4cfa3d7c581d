"""Both queues, inbox and outbox: claim, finish, try again.

A row is claimable if it is due and the first unfinished one of its record, so the rows of
a record are done in order, whatever the number of workers. A claim is one conditional
UPDATE. It expires: after a worker was killed, the row is claimed again.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeVar

from django.db.models import Exists, OuterRef, QuerySet

from registrar.models.work import UNFINISHED, Work, WorkState
from registrar.peers.errors import (
    PeerBusyError,
    PeerCredentialsError,
    PeerError,
    PeerRefusedError,
    PeerUnavailableError,
)

Row = TypeVar("Row", bound=Work)

LEASE = timedelta(minutes=10)
"""How long a claim is valid; longer than any work on a row."""
DELAYS = (5, 15, 30, 60, 120, 300, 600)
"""Seconds before the next attempt; the last one repeats."""
MAX_ATTEMPTS = 12
"""Then the row is dead. Attempts on a peer that does not answer do not end it."""
_PEER_IS_AWAY = (PeerUnavailableError, PeerBusyError, PeerCredentialsError)


def claimable(model: type[Row], *, now: datetime) -> "QuerySet[Row]":
    """Return the due rows that are the first unfinished ones of their records."""
    earlier = model._default_manager.filter(
        module=OuterRef("module"),
        record_id=OuterRef("record_id"),
        state__in=UNFINISHED,
        pk__lt=OuterRef("pk"),
    )
    return model._default_manager.filter(
        ~Exists(earlier), state__in=UNFINISHED, due_at__lte=now
    ).order_by("due_at", "pk")


def claim(row: Row, *, now: datetime) -> bool:
    """Claim a row; False if another worker has claimed it since it was read."""
    word = uuid.uuid4().hex
    claimed = (
        type(row)
        ._default_manager.filter(
            pk=row.pk, state=row.state, claim=row.claim, due_at=row.due_at
        )
        .update(state=WorkState.RUNNING, claim=word, due_at=now + LEASE)
    )
    if claimed:
        row.state, row.claim, row.due_at = WorkState.RUNNING, word, now + LEASE
    return bool(claimed)


def finish(row: Work, *, now: datetime, **values: object) -> bool:
    """Store that the row is done; False if its claim has expired and was taken over."""
    return _release(row, state=WorkState.DONE, finished_at=now, last_error="", **values)


def fail(row: Work, error: Exception, *, now: datetime) -> WorkState:
    """Store a failed attempt: the next one is later, or the row is dead.

    A refusal ends the row at once: the same request fails again. A peer that does not
    answer ends it never.
    """
    attempts = row.attempts + 1
    is_away = isinstance(error, _PEER_IS_AWAY)
    is_over = isinstance(error, PeerRefusedError) or (
        not is_away and attempts >= MAX_ATTEMPTS
    )
    seconds: float = DELAYS[min(attempts, len(DELAYS)) - 1]
    if isinstance(error, PeerError) and error.retry_after:
        seconds = max(seconds, error.retry_after)
    state = WorkState.DEAD if is_over else WorkState.PENDING
    _release(
        row,
        state=state,
        due_at=now + timedelta(seconds=seconds),
        attempts=attempts,
        last_error=words(error),
        finished_at=now if is_over else None,
    )
    return state


def postpone(row: Work, *, until: datetime, reason: str, **values: object) -> None:
    """Give the row back: something else has to happen first. Not a failed attempt."""
    _release(row, state=WorkState.PENDING, due_at=until, last_error=reason, **values)


def give_up(row: Work, reason: str, *, now: datetime) -> None:
    """End a row that cannot be done with these values; ``reason`` is for staff."""
    _release(row, state=WorkState.DEAD, last_error=reason, finished_at=now)


def replay(rows: "QuerySet[Row]", *, now: datetime) -> int:
    """Let rows that are not running be done again, at once; return their number."""
    return rows.exclude(state=WorkState.RUNNING).update(
        state=WorkState.PENDING,
        due_at=now,
        attempts=0,
        last_error="",
        finished_at=None,
        claim="",
    )


def words(error: Exception) -> str:
    """Return what an error says to staff; of an unknown one, only its name.

    Its text could contain personal data.
    """
    return error.message if isinstance(error, PeerError) else type(error).__name__


def finish_all(rows: Iterable[Work], *, now: datetime, **values: object) -> None:
    """Store that pending rows are done, with the row that they follow."""
    for row in rows:
        type(row)._default_manager.filter(
            pk=row.pk, state=WorkState.PENDING, claim=row.claim
        ).update(state=WorkState.DONE, finished_at=now, last_error="", **values)


def _release(row: Work, **values: object) -> bool:
    changed = (
        type(row)
        ._default_manager.filter(pk=row.pk, claim=row.claim, state=WorkState.RUNNING)
        .update(claim="", **values)
    )
    for name, value in values.items():
        setattr(row, name, value)
    return bool(changed)
