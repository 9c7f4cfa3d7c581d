"""Writing wallets from Redis or the ledger to the database (`players.write_back`)."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import structlog
from django.db import transaction

from core.upsert import upsert
from players import bulk_records, write_back
from players.models import PlayerProfile, PlayerWallet
from players.player_state import WalletState
from players.records import StoreUnavailableError
from players.services.wallet import ledger
from players.write_back import RebuildResult, SyncResult

log = structlog.get_logger(__name__)

KIND = "wallets"
CHUNK = 500
_FIELDS = (
    *("player_id", "total_xp", "current_streak"),
    *("last_success_date", "last_played_at", "seq"),
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


def _behind(since: datetime | None) -> list[Change]:
    """Return the players whose snapshot is behind, in the order of their numbers."""
    heads = ledger.only.heads(since)
    if since is None:
        # A player without rows has a wallet, too, also one whom the admin made.
        everyone = PlayerProfile.objects.filter(erased_at=None)
        heads = dict.fromkeys(everyone.values_list("pk", flat=True), 0) | heads
    written = dict(PlayerWallet.objects.values_list("pk", "seq"))
    return sorted(
        (player_id, head)
        for player_id, head in heads.items()
        if since is None or written.get(player_id, -1) < head
    )


@transaction.atomic
def _write(changes: Sequence[Change]) -> int:
    players = write_back.lock_players(player_id for player_id, _head in changes)
    states = _current([change for change in changes if change[0] in players])
    upsert(
        PlayerWallet,
        _FIELDS,
        [
            (
                player_id,
                max(0, state.total_xp),
                state.current_streak,
                state.last_success_date,
                state.last_played_at,
                state.seq,
            )
            for player_id, state in states.items()
        ],
        key=["player_id"],
        version="seq",
    )
    return len(states)


def _current(changes: Sequence[Change]) -> dict[int, WalletState]:
    """Return the wallets, each at the head of its ledger or later."""
    player_ids = [player_id for player_id, _head in changes]
    try:
        held = bulk_records.read_wallets(player_ids)
    except StoreUnavailableError as error:
        log.warning("wallets_read_from_ledger", error=type(error).__name__)
        held = {}
    current = {
        player_id: held[player_id]
        for player_id, head in changes
        if player_id in held and held[player_id].seq >= head
    }
    return current | ledger.only.wallets_of(
        [player_id for player_id in player_ids if player_id not in current]
    )
