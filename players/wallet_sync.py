"""Writing wallets from Redis to the database, in chunks.

The database's wallets are snapshots for lists and reports. The ledger is the truth, so
nothing else depends on a run of this.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import structlog
from django.db import DatabaseError, transaction

from players import store
from players.models import PlayerProfile, PlayerWallet
from players.services import wallet
from players.services.wallet import WalletState

log = structlog.get_logger(__name__)

CHUNK = 500


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a run did: players written, players left for the next run, seconds."""

    synced: int
    errors: int
    duration: float


def sync_pending_wallets(*, force: bool = False) -> SyncResult:
    """Write back every wallet that changed since it was last written back.

    A chunk that fails stays claimed and is tried again by the next run.

    Args:
        force: every player's wallet, changed or not (after Redis was lost).

    Raises:
        StoreUnavailableError: Redis does not answer; what was claimed stays so.
    """
    started = time.monotonic()
    synced = errors = 0
    for player_ids in _everybody() if force else _waiting():
        try:
            synced += _write_back(player_ids)
            store.mark_wallets_written(player_ids)
        except DatabaseError as error:
            errors += len(player_ids)
            log.error("wallet_chunk_failed", error=str(error), players=len(player_ids))
    result = SyncResult(synced, errors, round(time.monotonic() - started, 3))
    log.info("wallets_synced", synced=synced, errors=errors, seconds=result.duration)
    return result


def _waiting() -> Iterator[list[int]]:
    """Chunks of players to write back: first those of a run that did not end.

    No more than waited when the run began: while school is on, there are always more.
    """
    left_behind = store.claimed_wallets()
    for start in range(0, len(left_behind), CHUNK):
        yield left_behind[start : start + CHUNK]
    left = store.count_waiting_wallets()
    while left > 0 and (claimed := store.claim_wallets(min(CHUNK, left))):
        left -= len(claimed)
        yield sorted(claimed)


def _everybody() -> Iterator[list[int]]:
    last = 0
    while True:
        players = PlayerProfile.objects.filter(pk__gt=last, erased_at=None)
        players = players.order_by("pk")
        chunk = list(players.values_list("pk", flat=True)[:CHUNK])
        if not chunk:
            return
        yield chunk
        last = chunk[-1]


@transaction.atomic
def _write_back(player_ids: list[int]) -> int:
    """Copy these players' wallets; a player who is gone is passed over.

    Two runs may meet: the rows are locked before Redis is read, so whoever writes
    last has read last.
    """
    _make_missing(player_ids)
    rows = list(
        PlayerWallet.objects.select_for_update()
        .filter(pk__in=player_ids)
        .order_by("pk")
    )
    states = _current([row.pk for row in rows])
    for row in rows:
        state = states[row.pk]
        row.total_xp = max(0, state.total_xp)
        row.current_streak = state.current_streak
        row.last_success_date = state.last_success_date
        row.last_played_at = state.last_played_at
    PlayerWallet.objects.bulk_update(
        rows,
        ["total_xp", "current_streak", "last_success_date", "last_played_at"],
        batch_size=CHUNK,
    )
    return len(rows)


def _make_missing(player_ids: list[int]) -> None:
    """Every player has a wallet row, also one whose profile the admin made."""
    without = PlayerProfile.objects.filter(
        pk__in=player_ids, wallet__isnull=True, erased_at=None
    )
    PlayerWallet.objects.bulk_create(
        [PlayerWallet(player=profile) for profile in without], ignore_conflicts=True
    )


def _current(player_ids: list[int]) -> dict[int, WalletState]:
    """These wallets as they are now: Redis in one round trip, else the ledger."""
    held = store.read_wallets(player_ids)
    return {
        player_id: wallet.from_fields(held[player_id])
        if player_id in held
        else wallet.get(player_id)
        for player_id in player_ids
    }
