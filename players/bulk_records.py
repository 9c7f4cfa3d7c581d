"""Records of many players (`players.records`): read, compared with the ledger, deleted.

Used by write-back, reconciliation and repairs. Each function is one round trip, unless
it says otherwise, and raises `records.StoreUnavailableError` when Redis does not
answer. Callers divide long lists into batches, because Redis serves nobody else while
it runs a script.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from core.redis_client import client, run_script
from players import keys
from players.player_state import SubjectProgress, WalletState
from players.records import decode_subject, decode_wallet

_READ_WALLETS = """
local found = {}
for index = 1, #KEYS do
  local held = redis.call('HMGET', KEYS[index], 'seq', 'inc', 'total_xp',
    'current_streak', 'last_success_date', 'last_played_at', 'freezes', 'frozen_days')
  found[index] = held[1] and held[7] and held
end
return found
"""


def read_wallets(player_ids: Sequence[int]) -> dict[int, WalletState]:
    """Return the wallets that Redis has, by player."""
    names = [keys.wallet(player_id) for player_id in player_ids]
    return {
        player_id: decode_wallet(held)
        for player_id, held in zip(
            player_ids, run_script(_READ_WALLETS, names, []), strict=True
        )
        if held is not None
    }


_READ_SUBJECTS = """
local found = {}
for index = 1, #KEYS, 6 do
  local wallet = redis.call('HMGET', KEYS[index], 'seq', 'inc')
  local held = redis.call('MGET', unpack(KEYS, index + 1, index + 5))
  local counts = wallet[1] and held[1] and held[2] and held[3] and held[4]
    and held[5] == wallet[2]
  found[(index + 5) / 6] = counts and {wallet[1], held}
end
return found
"""


def read_subjects(
    wanted: Sequence[tuple[int, str]],
) -> list[tuple[int, SubjectProgress] | None]:
    """Return the subjects of players, each with its ``seq``; None for a missing one.

    Args:
        wanted: player and subject of each.
    """
    names: list[str] = []
    for player_id, subject_id in wanted:
        names.append(keys.wallet(player_id))
        names += keys.subject(player_id, subject_id)
    return [
        None if found is None else (int(found[0]), decode_subject(found[1]))
        for found in run_script(_READ_SUBJECTS, names, [])
    ]


_READ_STAMPS = """
local found = {}
for index = 1, #KEYS do found[index] = redis.call('HGET', KEYS[index], 'seq') end
return found
"""


def read_stamps(player_ids: Sequence[int]) -> dict[int, int]:
    """Return the position of each wallet that Redis has, by player."""
    return _positions(_READ_STAMPS, player_ids)


def _positions(script: str, player_ids: Sequence[int]) -> dict[int, int]:
    names = [keys.wallet(player_id) for player_id in player_ids]
    return {
        player_id: int(seq)
        for player_id, seq in zip(
            player_ids, run_script(script, names, []), strict=True
        )
        if seq is not None
    }


_READ_BEGUN = """
local found = {}
for index = 1, #KEYS do
  local held = redis.call('HMGET', KEYS[index], 'seq', 'claim')
  found[index] = held[1] and tonumber(held[2]) > tonumber(held[1]) and held[1]
end
return found
"""


def read_begun(player_ids: Sequence[int]) -> dict[int, int]:
    """Return the position of each wallet that a writer has begun, by player.

    The ledger may be ahead of such a record, which lives `records.WRITE_MS` at most.
    """
    return _positions(_READ_BEGUN, player_ids)


_DROP_STAMPED = """
local dropped = 0
for index = 1, #KEYS do
  if redis.call('HGET', KEYS[index], 'seq') == ARGV[index] then
    dropped = dropped + redis.call('DEL', KEYS[index])
  end
end
return dropped
"""


def drop_stamped(stamps: Mapping[int, int]) -> int:
    """Delete the wallets that still are at these positions; return how many.

    Args:
        stamps: the position of each, by player.
    """
    names = [keys.wallet(player_id) for player_id in stamps]
    return int(run_script(_DROP_STAMPED, names, list(stamps.values())))


def drop_wallets(player_ids: Sequence[int]) -> None:
    """Delete the wallets of players, and with them all records of their subjects."""
    client().unlink(*(keys.wallet(player_id) for player_id in player_ids))


# --- The server -----------------------------------------------------------------------


class ServerId(NamedTuple):
    """Identifies a Redis server and its data.

    ``current`` changes when the server restarts and when a replica is promoted.
    ``reconciled`` is that of the last complete reconciliation. It is stored in Redis
    itself, so that a server without it, or with the one of another server, is found
    whatever happened in between.
    """

    current: str
    reconciled: str

    @property
    def is_reconciled(self) -> bool:
        return self.current == self.reconciled


def server_id() -> ServerId:
    """Return the id of the server; ``reconciled`` is "" if it was never reconciled."""
    pipeline = client().pipeline(transaction=False)
    pipeline.info("server")
    pipeline.info("replication")
    pipeline.get(keys.RECONCILED_SERVER)
    server, replication, reconciled = pipeline.execute()
    current = f"{server['run_id']} {replication.get('master_replid', '')}"
    return ServerId(current, (reconciled or b"").decode())


def mark_reconciled(server: ServerId) -> None:
    """Store that everything was reconciled with this server."""
    client().set(keys.RECONCILED_SERVER, server.current)


_COPIES = (b"active_session:", b"player:", b"access:")
_RECORDS = (
    *(b"player:", b"wallet:", b"user_prog:", b"best_hearts:", b"subject_xp:"),
    *(b"subject_played:", b"subject_stamp:", b"in_flight:", b"rebuilding:"),
    *(b"pending_wallet_sync", b"{pending_wallet_sync", b"pending_bitmap_sync"),
    b"{pending_bitmap_sync",
)
_SCAN_COUNT = 1000

# A tombstone stays: its change may not be committed yet, so that a copy which was filled
# without it could be older than the change.
_DROP_COPIES = """
local dropped = 0
for index = 1, #KEYS do
  if redis.pcall('GETRANGE', KEYS[index], 0, 0) ~= 't' then
    dropped = dropped + redis.call('UNLINK', KEYS[index])
  end
end
return dropped
"""

_DROP_LASTING = """
local dropped = 0
for index = 1, #KEYS do
  if redis.call('PTTL', KEYS[index]) == -1 then
    dropped = dropped + redis.call('UNLINK', KEYS[index])
  end
end
return dropped
"""


def drop_copies() -> int:
    """Delete all copies of sign-in state and access, and records without a life.

    No record is stored without a life: such keys are from an older version of this
    program, or from an import. Three round trips for each thousand keys of the server.

    Returns:
        How many keys were deleted.
    """
    dropped = 0
    for names in _scan():
        for prefixes, script in ((_COPIES, _DROP_COPIES), (_RECORDS, _DROP_LASTING)):
            found = [name for name in names if name.startswith(prefixes)]
            if found:
                dropped += int(run_script(script, found, []))
    return dropped


def _scan() -> Iterator[list[Any]]:
    """Yield the names of all keys; one that is in Redis throughout at least once."""
    cursor: Any = 0
    while True:
        cursor, names = client().scan(cursor, count=_SCAN_COUNT)
        yield names
        if not int(cursor):
            return
