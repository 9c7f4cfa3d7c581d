"""Writing progress from Redis to the database, in batches.

Snapshots are for lists and reports. The ledger is the truth, so nothing else depends on
a run of this.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import DatabaseError, connection
from django.utils import timezone

from players.models import PlayerProfile
from progress import bitmap, store
from progress.bitmap import SubjectProgress
from progress.models import StructureProgress
from progress.services import ledger

log = structlog.get_logger(__name__)

BATCH = 100
_WRITTEN = [
    "progress_bitmap",
    "best_hearts",
    "total_xp_earned",
    "passed_lessons",
    "last_synced_at",
]

Pair = tuple[int, str]
"""A player and a subject."""


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a run did: snapshots written, and left for the next run."""

    synced: int
    errors: int


def sync_pending() -> SyncResult:
    """Write back all progress that changed since it was last written back.

    One run at a time. A batch that fails stays taken and is tried again by the next
    run; progress that changes while it is written waits again.

    Raises:
        StoreUnavailableError: Redis does not answer; what was taken stays so.
    """
    token = store.sync_lock()
    if not token:
        return SyncResult(0, 0)
    synced = errors = 0
    try:
        for batch in _waiting():
            if not store.extend_sync_lock(token):
                break
            try:
                synced += _write_back(batch, now=timezone.now())
            except DatabaseError as error:
                errors += len(batch)
                log.error("progress_batch_failed", error=type(error).__name__)
            else:
                store.mark_bitmaps_written(batch)
    finally:
        store.release_sync_lock(token)
    if synced or errors:
        log.info("progress_synced", synced=synced, errors=errors)
    return SyncResult(synced, errors)


def _waiting() -> Iterator[list[Pair]]:
    """Batches to write back: first those of a run that did not end.

    Only as many as wait now: a school that plays on is the next run's.
    """
    left_behind = store.taken_pending()
    waiting = store.count_pending()
    for start in range(0, len(left_behind), BATCH):
        yield left_behind[start : start + BATCH]
    for _start in range(0, waiting, BATCH):
        if taken := store.take_pending(BATCH):
            yield taken


def _write_back(batch: Sequence[Pair], *, now: datetime) -> int:
    """Copy this progress; a player who is gone is passed over. Two statements."""
    players = set(
        PlayerProfile.objects.filter(
            pk__in={pair[0] for pair in batch}, erased_at=None
        ).values_list("pk", flat=True)
    )
    living = [pair for pair in batch if pair[0] in players]
    rows = [
        _snapshot(pair, progress, now=now)
        for pair, progress in zip(living, _current(living), strict=True)
    ]
    StructureProgress.objects.bulk_create(
        rows,
        update_conflicts=True,
        update_fields=_WRITTEN,
        # MariaDB looks at every unique key by itself and takes no target.
        unique_fields=(
            ["player", "subject_id"]
            if connection.features.supports_update_conflicts_with_target
            else None
        ),
    )
    return len(rows)


def _current(pairs: Sequence[Pair]) -> list[SubjectProgress]:
    """This progress as it is now: Redis in one round trip, else the ledger."""
    return [
        held if held is not None else ledger.subject_of(*pair)
        for pair, held in zip(pairs, store.read_subjects(pairs), strict=True)
    ]


def _snapshot(
    pair: Pair, progress: SubjectProgress, *, now: datetime
) -> StructureProgress:
    player_id, subject_id = pair
    hearts = bitmap.unpack_hearts(progress.hearts)
    return StructureProgress(
        player_id=player_id,
        subject_id=subject_id,
        progress_bitmap=bitmap.encode(progress.bitmap),
        best_hearts={str(bit): most for bit, most in hearts.items()},
        total_xp_earned=max(0, progress.xp),
        passed_lessons=progress.passed,
        last_synced_at=now,
    )
