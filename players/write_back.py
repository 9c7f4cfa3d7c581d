"""Snapshots in the database of what Redis and the ledger have: which are to be written.

Snapshots are for lists and reports. The ledger is the truth, so nothing else depends on
a run. Each snapshot has the position in the ledger that it is complete up to; a run
compares it with the ledger and never lowers it, so runs may overlap and be repeated.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import structlog
from django.db import DatabaseError
from django.db.models import Model
from django.utils import timezone

from core.batches import batches
from core.db import lock_shared, retry_on_conflict
from core.upsert import upsert, upsert_children
from players import bulk_records
from players.models import PlayerProfile, WriteBackRun
from players.records import StoreUnavailableError

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


@dataclass(frozen=True, slots=True)
class RebuildResult:
    """The result of a rebuild: snapshots written, and players for whom it remains.

    ``redis_is_away``: Redis did not answer, and the rebuild stopped there.
    """

    written: int
    remaining: int
    redis_is_away: bool
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
        write: writes one chunk (`write_rows`), and returns how many it wrote. It is
            repeated after a conflict.
        force: write everything, as the first run does.
        progress: called after each chunk with how many are done, of how many.
    """
    began, started = time.monotonic(), timezone.now()
    waiting = changes(None if force else settled_before(kind))
    synced = errors = done = 0
    for part in batches(waiting, chunk):
        try:
            synced += retry_on_conflict(partial(write, part))
        except DatabaseError as error:
            errors += len(part)
            log.error("write_back_failed", kind=kind, error=type(error).__name__)
        done += len(part)
        progress(done, len(waiting))
    record_run(kind, started=started, written=synced, errors=errors)
    if synced or errors:
        log.info("snapshots_written", kind=kind, synced=synced, errors=errors)
    return SyncResult(synced, errors, round(time.monotonic() - began, 3))


def rebuild(
    kind: str,
    player_ids: Iterable[Sequence[int]],
    *,
    total: int,
    rewrite: Callable[[Sequence[int]], int],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> RebuildResult:
    """Delete the records in Redis of players, and write their snapshots of one kind.

    Safe to run twice, and while players complete lessons. A batch that the database
    refuses is counted. Where Redis does not answer, the rebuild stops: a snapshot must
    not be made from a record that was to be deleted. Nothing is lost in either case.

    Args:
        player_ids: batches of players.
        total: how many players there are.
        rewrite: writes one batch in one transaction, and returns how many it wrote.
        progress: called after each batch with how many are done, of how many.
    """
    began = time.monotonic()
    written = failed = done = 0
    redis_is_away = False
    for part in player_ids:
        try:
            bulk_records.drop_wallets(part)
        except StoreUnavailableError as error:
            log.warning("rebuild_stopped", kind=kind, error=type(error).__name__)
            redis_is_away = True
            break
        try:
            written += retry_on_conflict(partial(rewrite, part))
        except DatabaseError as error:
            failed += len(part)
            log.error("rebuild_failed", kind=kind, error=type(error).__name__)
        done += len(part)
        progress(done, total)
    remaining = max(0, total - done) if redis_is_away else 0
    log.info("snapshots_rebuilt", kind=kind, written=written)
    return RebuildResult(
        written,
        failed + remaining,
        redis_is_away,
        round(time.monotonic() - began, 3),
    )


def complete_until(kind: str) -> datetime | None:
    """Return until when the runs of a kind are complete; None before the first one."""
    rows = WriteBackRun.objects.filter(pk=kind)
    return rows.values_list("complete_until", flat=True).first()


def complete_times() -> dict[str, datetime | None]:
    """Return until when the runs of each kind are complete. One query."""
    return dict(WriteBackRun.objects.values_list("kind", "complete_until"))


def settled_before(kind: str) -> datetime | None:
    """Return the time before which every received row is in a snapshot of this kind.

    A snapshot that lacks such a row is wrong, not only behind. None before the first
    complete run.
    """
    complete = complete_until(kind)
    return None if complete is None else complete - _OVERLAP


def lock_run(kind: str) -> None:
    """Lock the row of a kind's runs until the commit, so that writers take turns.

    Two queries at the first time, one later. Lock players before it (`lock_players`),
    as everywhere.
    """
    row = WriteBackRun.objects.select_for_update().filter(pk=kind)
    if not row.values_list("pk"):
        WriteBackRun.objects.bulk_create(
            [WriteBackRun(kind=kind)], ignore_conflicts=True
        )
        list(row.values_list("pk"))


def record_run(kind: str, *, started: datetime, written: int, errors: int = 0) -> None:
    """Record the result of a run; one without errors is complete. One statement."""
    values: dict[str, Any] = {"kind": kind, "written": written, "errors": errors}
    if not errors:
        values["complete_until"] = started
    upsert(WriteBackRun, list(values), [list(values.values())], key=["kind"])


def write_rows(
    model: type[Model],
    fields: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    key: Sequence[str],
) -> int:
    """Insert or update the snapshots of players who are not erased; return how many.

    A snapshot is never replaced by one of a lower position. The players are locked
    against erasure and deletion while the statement runs (20 ms for 2,000 wallets).
    Completions go on: an insert into the ledger needs only a shared lock on the player.

    Args:
        fields: with ``player_id`` and ``seq``.
        rows: one value per field, in the order of ``key``.
    """
    return upsert_children(
        *(model, fields, rows),
        key=key,
        version="seq",
        parent="player",
        ended="erased_at",
    )


def lock_players(player_ids: Iterable[int]) -> set[int]:
    """Lock these players against erasure and deletion; return those who are left.

    Inside the transaction of a batch, in the order of their numbers. Completions go on:
    an insert into the ledger needs only a shared lock on the player.
    """
    players = PlayerProfile.objects.filter(pk__in=set(player_ids), erased_at=None)
    return set(lock_shared(players.order_by("pk")))
