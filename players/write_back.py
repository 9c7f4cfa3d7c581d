"""Snapshots in the database of what Redis and the ledger have: which are to be written.

Snapshots are for lists and reports. The ledger is the truth, so nothing else depends on
a run. Each snapshot has the position in the ledger that it is complete up to; a run
compares it with the ledger and never lowers it, so runs may overlap and be repeated.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from django.db import DatabaseError
from django.utils import timezone

from players.models import PlayerProfile, WriteBackRun

log = structlog.get_logger(__name__)

_OVERLAP = timedelta(minutes=10)
"""Longer than an insert takes from its time of receipt to its commit."""

Change = TypeVar("Change")


@dataclass(frozen=True, slots=True)
class SyncResult:
    """The result of a run: snapshots written, left for the next run, and seconds."""

    synced: int
    errors: int
    duration: float = field(default=0.0, compare=False)


def run(
    kind: str,
    *,
    changes: Callable[[datetime | None], Sequence[Change]],
    write: Callable[[Sequence[Change]], int],
    chunk: int,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> SyncResult:
    """Write the snapshots of one kind that are behind.

    A chunk that fails is counted and written by the next run, which looks at the same
    time again.

    Args:
        kind: the name of the kind's `WriteBackRun`.
        changes: returns what is behind and has changed since a time; None: everything.
        write: writes one chunk in one transaction, and returns how many it wrote.
        force: write everything, as the first run does.
        progress: called after each chunk with how many are done, of how many.
    """
    began, started = time.monotonic(), timezone.now()
    since = None
    if not force and (last := WriteBackRun.objects.filter(pk=kind).first()):
        since = last.complete_until - _OVERLAP
    waiting = changes(since)
    synced = errors = 0
    for start in range(0, len(waiting), chunk):
        part = waiting[start : start + chunk]
        try:
            synced += write(part)
        except DatabaseError as error:
            errors += len(part)
            log.error("write_back_failed", kind=kind, error=type(error).__name__)
        progress(start + len(part), len(waiting))
    if not errors:
        WriteBackRun.objects.update_or_create(
            kind=kind, defaults={"complete_until": started}
        )
    if synced or errors:
        log.info("snapshots_written", kind=kind, synced=synced, errors=errors)
    return SyncResult(synced, errors, round(time.monotonic() - began, 3))


def lock_players(player_ids: Iterable[int]) -> set[int]:
    """Lock these players against erasure and deletion; return those who are left.

    Inside the transaction of a chunk, in the order of their numbers.
    """
    players = PlayerProfile.objects.filter(pk__in=set(player_ids), erased_at=None)
    return set(players.order_by("pk").select_for_update().values_list("pk", flat=True))
