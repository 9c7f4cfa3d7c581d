"""Comparing the records in Redis with the ledger, and dropping those that differ.

By the rule (`players.records`) a record is correct or missing, except when Redis loses
its data in the same seconds in which a process stops, or comes back with older data.
A record that is dropped is made again by the next request that needs it, so a drop too
many costs one read of the ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import InterfaceError, OperationalError

from core.batches import batches
from players import bulk_records, write_back
from players.records import StoreUnavailableError
from progress.services import ledger

log = structlog.get_logger(__name__)

KIND = "reconciliation"
_OVERLAP = timedelta(minutes=5)
"""Longer than an insert takes from its time of receipt to its commit."""
_LONGEST = timedelta(days=1)
"""Longer than any record lives."""


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
