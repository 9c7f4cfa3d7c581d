"""Comparing the records in Redis with the ledger, and dropping those that differ.

Every minute `reconcile_recent` compares the positions of players with new rows. On
demand `reconcile` compares everything that is stored of given players, snapshots
included.

By the rule (`players.records`) a record is correct or missing, except when Redis loses
its data in the same seconds in which a process stops, or comes back with older data.
A record that is dropped is made again by the next request that needs it, so a drop too
many costs one read of the ledger.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.db import InterfaceError, OperationalError

from core.batches import batches
from core.db import retry_on_conflict
from players import bulk_records, wallet_sync, write_back
from players.records import StoreUnavailableError
from players.services import selection
from progress.services import comparison, ledger, snapshots
from progress.services.comparison import Difference, Store

log = structlog.get_logger(__name__)

KIND = "reconciliation"
_OVERLAP = timedelta(minutes=5)
"""Longer than an insert takes from its time of receipt to its commit."""
_LONGEST = timedelta(days=1)
"""Longer than any record lives."""
_ACTIVE = timedelta(days=1)
_BATCH = 100
"""How many players are compared together; nothing of a batch is kept but counts."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The result of a run.

    ``copies`` counts the copies of sign-in state and access that were dropped, because
    the Redis server is another one, or has restarted, since the run before.
    """

    compared: int
    dropped: int
    copies: int = 0


def reconcile_recent(now: datetime) -> Reconciled | None:
    """Compare the wallets of all players whose ledger has grown lately.

    Lately is since the last complete run; after a change of the Redis server a day, and
    then all copies of sign-in state and access are dropped, too: one that came back
    older may say that a revoked session is valid. Safe to run twice.

    Returns:
        None: Redis or the database did not answer. The next run does it all.
    """
    try:
        return _reconcile_recent(now)
    except (StoreUnavailableError, OperationalError, InterfaceError) as error:
        log.warning("reconciliation_put_off", error=type(error).__name__)
        return None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was found about given players, and what remains after the repair.

    ``redis_is_away``: Redis did not answer, so only the snapshots were compared.
    """

    found: Sequence[Difference]
    remaining: Sequence[Difference]
    redis_is_away: bool


def select(
    named: Sequence[int], *, everyone: bool = False, now: datetime
) -> tuple[Iterable[Sequence[int]], int]:
    """Return the players to `reconcile` in batches, and how many they are.

    All players with ``everyone``, else those ``named``, else those active in the last
    day: players with a row of the ledger received since then.

    Raises:
        DatabaseError: the database does not answer; also while batches are read.
    """
    if everyone:
        return selection.everyone(_BATCH), selection.count_everyone()
    active = named or sorted(ledger.heads(now - _ACTIVE))
    return batches(active, _BATCH), len(active)


def reconcile(player_ids: Sequence[int], *, repair: bool = False) -> Reconciliation:
    """Compare these players' records and snapshots with the ledger, field by field.

    Args:
        repair: delete the records of players whose records differ, write differing
            snapshots again, and compare these players once more.

    Raises:
        DatabaseError: the database does not answer, or refuses a snapshot.
    """
    first = comparison.compare(player_ids)
    if not repair or not first.differences:
        return Reconciliation(first.differences, first.differences, first.redis_is_away)
    _repair(first.differences)
    wrong = sorted({difference.player_id for difference in first.differences})
    second = comparison.compare(wrong)
    return Reconciliation(
        first.differences,
        second.differences,
        first.redis_is_away or second.redis_is_away,
    )


def _repair(differences: Sequence[Difference]) -> None:
    in_redis = {
        difference.player_id
        for difference in differences
        if difference.store is Store.REDIS
    }
    try:
        if in_redis:
            bulk_records.drop_wallets(sorted(in_redis))
    except StoreUnavailableError as error:
        # A snapshot must not be made from a record that was to be deleted.
        log.warning("repair_put_off", error=type(error).__name__)
        return
    stored = [one for one in differences if one.store is Store.SNAPSHOT]
    wallets = sorted({one.player_id for one in stored if not one.subject_id})
    subjects = sorted({one.player_id for one in stored if one.subject_id})
    if wallets:
        retry_on_conflict(partial(wallet_sync.rewrite, wallets))
    if subjects:
        retry_on_conflict(partial(snapshots.rewrite, subjects))
    log.info(
        "players_repaired",
        records=len(in_redis),
        wallets=len(wallets),
        progress=len(subjects),
    )


def _reconcile_recent(now: datetime) -> Reconciled:
    server = bulk_records.server_id()
    since, copies = now - _LONGEST, 0
    if server.is_reconciled:
        complete = write_back.complete_until(KIND)
        since = max(since, complete - _OVERLAP) if complete is not None else since
    else:
        # First: a session that was revoked must not wait for the wallets.
        copies = bulk_records.drop_copies()
    heads = ledger.heads(since)
    dropped = sum(
        _drop_different({player_id: heads[player_id] for player_id in part})
        for part in batches(list(heads))
    )
    if not server.is_reconciled:
        bulk_records.mark_reconciled(server)
        log.warning("redis_changed", compared=len(heads), copies=copies)
    if dropped:
        log.warning("records_dropped", dropped=dropped, compared=len(heads))
    write_back.record_run(KIND, started=now, written=dropped)
    return Reconciled(len(heads), dropped, copies)


def _drop_different(heads: Mapping[int, int]) -> int:
    """Drop the wallets that are behind the ledger, or ahead of it; return how many.

    Args:
        heads: the last position of the ledger, by player; read a moment ago.
    """
    stamps = bulk_records.read_stamps(list(heads))
    suspects = [
        player_id for player_id, seq in stamps.items() if seq != heads[player_id]
    ]
    if not suspects:
        return 0
    # Read after the stamps, because the ledger is ahead of a correct record or equal.
    current = ledger.heads_of(suspects)
    wrong = {
        player_id: stamps[player_id]
        for player_id in suspects
        if stamps[player_id] != current.get(player_id, 0)
    }
    return bulk_records.drop_stamped(wrong) if wrong else 0
