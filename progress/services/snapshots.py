"""Writing subjects' progress to the database (`players.write_back`)."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson
import structlog
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from core.batches import batches
from core.upsert import upsert
from players import bulk_records, write_back
from players.player_state import SubjectProgress
from players.records import StoreUnavailableError
from players.write_back import RebuildResult, SyncResult
from progress import bitmap
from progress.models import InteractionLog, InteractionType, StructureProgress
from progress.services import ledger

log = structlog.get_logger(__name__)

KIND = "subjects"
CHUNK = 500
_FIELDS = (
    *("player_id", "subject_id", "progress_bitmap", "best_hearts"),
    *("total_xp_earned", "passed_lessons", "last_synced_at", "seq"),
)


class Change(NamedTuple):
    """A subject of a player, and the position of its last completion."""

    player_id: int
    subject_id: str
    seq: int


def sync_pending(
    *,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> SyncResult:
    """Write every subject's progress that is behind the ledger. Safe to run twice.

    Where Redis does not answer or lacks a subject, the ledger is read.

    Args:
        force: every player's, also those that are not behind.
        progress: called after each chunk with how many are done, of how many.
    """
    return write_back.run(
        KIND,
        changes=_behind,
        write=_write,
        chunk=CHUNK,
        force=force,
        progress=progress,
    )


def rebuild(
    player_ids: Iterable[Sequence[int]],
    *,
    total: int,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> RebuildResult:
    """Delete these players' records in Redis, and write their progress anew.

    See `write_back.rebuild`.
    """
    return write_back.rebuild(
        KIND, player_ids, total=total, rewrite=rewrite, progress=progress
    )


@transaction.atomic
def rewrite(player_ids: Sequence[int]) -> int:
    """Write the progress of players in all subjects, as `wallet_sync.rewrite` does.

    Deletes snapshots of subjects in which the ledger has no completion.

    Returns:
        How many subjects were written.
    """
    players = write_back.lock_players(player_ids)
    snapshots = StructureProgress.objects.filter(player_id__in=players)
    snapshots.update(seq=0)
    completed = InteractionLog.objects.filter(
        type=InteractionType.LESSON_COMPLETED, player_id__in=players
    )
    last = completed.order_by("player_id", "subject_id")
    changes = [
        Change(*row)
        for row in last.values_list("player_id", "subject_id").annotate(Max("seq"))
    ]
    written = sum(_write(part) for part in batches(changes, CHUNK))
    snapshots.filter(seq=0).delete()
    return written


def _behind(since: datetime | None) -> list[Change]:
    """Return the subjects whose snapshot is behind, in the order of the key."""
    rows = InteractionLog.objects.filter(type=InteractionType.LESSON_COMPLETED)
    if since is not None:
        rows = rows.filter(received_at__gte=since)
    last = rows.order_by().values_list("player_id", "subject_id")
    changes = [Change(*row) for row in last.annotate(last=Max("seq")).iterator()]
    snapshots = StructureProgress.objects.order_by()
    if since is not None:
        players = {change.player_id for change in changes}
        snapshots = snapshots.filter(player_id__in=players)
    written = {
        (player_id, subject_id): seq
        for player_id, subject_id, seq in snapshots.values_list(
            "player_id", "subject_id", "seq"
        )
    }
    return sorted(
        change
        for change in changes
        if since is None or written.get(change[:2], -1) < change.seq
    )


@transaction.atomic
def _write(changes: Sequence[Change]) -> int:
    players = write_back.lock_players(change.player_id for change in changes)
    living = [change for change in changes if change.player_id in players]
    now = timezone.now()
    upsert(
        StructureProgress,
        _FIELDS,
        [
            (change.player_id, change.subject_id, *_values(progress), now, seq)
            for change, (seq, progress) in zip(living, _current(living), strict=True)
        ],
        key=["player_id", "subject_id"],
        version="seq",
    )
    return len(living)


def _values(progress: SubjectProgress) -> tuple[str, str, int, int]:
    hearts = bitmap.unpack_hearts(progress.hearts)
    return (
        bitmap.encode(progress.bitmap),
        orjson.dumps({str(bit): most for bit, most in hearts.items()}).decode(),
        max(0, progress.xp),
        progress.passed,
    )


def _current(changes: Sequence[Change]) -> list[tuple[int, SubjectProgress]]:
    """Return each subject's progress, and the position that it is complete up to."""
    try:
        held = bulk_records.read_subjects([change[:2] for change in changes])
    except StoreUnavailableError as error:
        log.warning("subjects_read_from_ledger", error=type(error).__name__)
        held = [None] * len(changes)
    missing = [
        change
        for change, found in zip(changes, held, strict=True)
        if found is None or found[0] < change.seq
    ]
    from_ledger = ledger.subjects_of(missing)
    return [
        found
        if found is not None and found[0] >= change.seq
        else (change.seq, from_ledger[change[:2]])
        for change, found in zip(changes, held, strict=True)
    ]
