"""Writing wallets from Redis or the ledger to the database (`players.write_back`)."""

from collections.abc import Callable, Iterable, Sequence

import structlog
from django.db import transaction

from core.batches import batches
from players import bulk_records, write_back
from players.models import PlayerWallet
from players.player_state import WalletState
from players.records import StoreUnavailableError
from players.services.wallet import ledger
from players.write_back import RebuildResult, SyncResult

log = structlog.get_logger(__name__)

KIND = "wallets"
CHUNK = 2000
_FIELDS = (
    *("player_id", "total_xp", "current_streak"),
    *("last_success_date", "last_played_at", "freezes", "seq"),
)

Change = tuple[int, int]
"""A player, and the last position of their ledger."""


def sync_pending_wallets(
    *,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> SyncResult:
    """Write every wallet that is behind the ledger. Safe to run twice.

    Where Redis does not answer or lacks a wallet, the ledger is read.

    Args:
        force: every player's, also those that are not behind.
        progress: called after each chunk with how many are done, of how many.
    """
    return write_back.run(
        KIND,
        changes=ledger.only.wallets_behind,
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
    """Delete these players' records in Redis, and write their wallets anew.

    See `write_back.rebuild`.
    """
    return write_back.rebuild(
        KIND, player_ids, total=total, rewrite=rewrite, progress=progress
    )


@transaction.atomic
def rewrite(player_ids: Sequence[int]) -> int:
    """Write the wallets of players, also those that seem to be up to date, or ahead.

    Call it after wrong records in Redis were deleted: a record is used if it is there.

    Returns:
        How many were written; a player who is erased or deleted has none.
    """
    players = sorted(write_back.lock_players(player_ids))
    # Every position is newer, so that what is written replaces a wrong snapshot.
    PlayerWallet.objects.filter(pk__in=players).update(seq=0)
    heads = ledger.only.heads_of(players)
    return _write([(player_id, heads.get(player_id, 0)) for player_id in players])


def _write(changes: Sequence[Change]) -> int:
    states = _current(changes)
    return write_back.write_rows(
        PlayerWallet,
        _FIELDS,
        [
            (
                player_id,
                max(0, state.total_xp),
                state.current_streak,
                state.last_success_date,
                state.last_played_at,
                state.freezes,
                state.seq,
            )
            for player_id, state in sorted(states.items())
        ],
        key=["player_id"],
    )


def _current(changes: Sequence[Change]) -> dict[int, WalletState]:
    """Return the wallets, each at the head of its ledger or later."""
    player_ids = [player_id for player_id, _head in changes]
    held: dict[int, WalletState] = {}
    try:
        for part in batches(player_ids):
            held |= bulk_records.read_wallets(part)
    except StoreUnavailableError as error:
        log.warning("wallets_read_from_ledger", error=type(error).__name__)
    current = {
        player_id: held[player_id]
        for player_id, head in changes
        if player_id in held and held[player_id].seq >= head
    }
    return current | ledger.only.wallets_of(
        [player_id for player_id in player_ids if player_id not in current]
    )
