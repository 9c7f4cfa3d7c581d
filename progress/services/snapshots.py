"""Writing subjects' progress to the database (`players.write_back`)."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson
import structlog
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q
from django.utils import timezone

from core.batches import batches
from players import bulk_records, write_back
from players.player_state import SubjectProgress
from players.records import StoreUnavailableError
from players.write_back import RebuildResult, SyncResult
from progress import bitmap
from progress.models import PROGRESS_TYPES, InteractionLog, StructureProgress
from progress.services import ledger

log = structlog.get_logger(__name__)

KIND = "subjects"
CHUNK = 500
_FIELDS = (
    *("player_id", "subject_id", "progress_bitmap", "best_hearts"),
    *("total_xp_earned", "passed_lessons", "last_synced_at", "seq"),
)


class Change(NamedTuple):
    """A subject of a player, and the position of its last change."""

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

    Deletes snapshots of subjects in which the ledger has no change.

    Returns:
        How many subjects were written.
    """
    players = write_back.lock_players(player_ids)
    snapshots = StructureProgress.objects.filter(player_id__in=players)
    snapshots.update(seq=0)
    changes = [
        Change(*key, seq)
        for key, (seq, _last) in sorted(
            ledger.subject_heads(Q(player_id__in=players)).items()
        )
    ]
    written = sum(_write(part) for part in batches(changes, CHUNK))
    snapshots.filter(seq=0).delete()
    return written


def _behind(since: datetime | None) -> list[Change]:
    """Return the subjects whose snapshot is behind, in the order of the key."""
    if since is None:
        heads = ledger.subject_heads(Q())
        return [Change(*key, seq) for key, (seq, _last) in sorted(heads.items())]
    is_written = StructureProgress.objects.filter(
        player_id=OuterRef("player_id"),
        subject_id=OuterRef("subject_id"),
        seq__gte=OuterRef("seq"),
    )
    rows = InteractionLog.objects.filter(
        ~Exists(is_written), type__in=PROGRESS_TYPES, received_at__gte=since
    )
    last = rows.values_list("player_id", "subject_id").annotate(last=Max("seq"))
    return [Change(*row) for row in last.order_by("player_id", "subject_id")]


def _write(changes: Sequence[Change]) -> int:
    now = timezone.now()
    return write_back.write_rows(
        StructureProgress,
        _FIELDS,
        [
            (player_id, subject_id, *_values(progress), now, seq)
            for (player_id, subject_id), (seq, progress) in sorted(
                _current(changes).items()
            )
        ],
        key=["player_id", "subject_id"],
    )


def _values(progress: SubjectProgress) -> tuple[str, str, int, int]:
    hearts = bitmap.unpack_hearts(progress.hearts)
    return (
        bitmap.encode(progress.bitmap),
        orjson.dumps({str(bit): most for bit, most in hearts.items()}).decode(),
        max(0, progress.xp),
        progress.passed,
    )


def _current(
    changes: Sequence[Change],
) -> dict[tuple[int, str], tuple[int, SubjectProgress]]:
    """Return each subject's progress, and the position that it is complete up to.

    A subject whose rows have been deleted since is left out.
    """
    try:
        held = bulk_records.read_subjects([change[:2] for change in changes])
    except StoreUnavailableError as error:
        log.warning("subjects_read_from_ledger", error=type(error).__name__)
        held = [None] * len(changes)
    current = {
        change[:2]: found
        for change, found in zip(changes, held, strict=True)
        if found is not None and found[0] >= change.seq
    }
    missing = {change[:2] for change in changes} - current.keys()
    return current | ledger.subjects_of(missing)
