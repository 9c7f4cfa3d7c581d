"""Players in Redis: the only module of this app that uses its commands.

Everything here except the request counts is a copy that can be rebuilt: sign-in state,
plans and products from the database, wallets from the ledger.

To fill a missing copy, a reader takes a **lease**, reads the source, and writes with
``put_…``, which does nothing if the lease is gone. A change of the source deletes the
lease, and so does a loss of Redis: a slow reader can never store a value that it read
before a change.

Sign-in state must not be used after its change is committed, even if Redis cannot be
reached at that moment. So the transaction that changes it first calls
`block_sign_in_state` (the change fails if Redis does not answer). Readers use the
database until the block is removed, or for a minute.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, cast

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import RedisError
from redis.retry import Retry

from players import keys

StoreUnavailableError = RedisError
"""Redis does not answer; who can ask the database instead catches this."""

_TIMEOUT_SECONDS = 1.0
_BLOCK_MS = 60_000
_LEASE_MS = 10_000
_SESSION_SECONDS = 900
"""How long a copy of the sign-in state is believed: bounds what a Redis that comes
back with old data can do. A session itself does not expire."""
_NO_SESSION_SECONDS = 60
_ACCESS_SECONDS = 300

_BLOCKED = "changing:"
_NO_SESSION = "none"


@lru_cache(maxsize=4)
def _client_for(url: str) -> "Redis":
    # One retry at once: a connection kept from before a restart is replaced, and a
    # server that is away is not waited for.
    return Redis.from_url(
        url,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 1),
        decode_responses=True,
    )


def _client() -> "Redis":
    return _client_for(settings.REDIS_URL)


@lru_cache(maxsize=32)
def _script_for(url: str, source: str) -> Script:
    return _client_for(url).register_script(source)


def _run(source: str, names: Sequence[str], arguments: Sequence[str | int]) -> Any:
    return _script_for(settings.REDIS_URL, source)(keys=names, args=arguments)


# --- Counting requests ------------------------------------------------------

_COUNT = """
local function count(key, window)
  local requests = redis.call('INCR', key)
  local rest = redis.call('PTTL', key)
  if rest < 0 then
    redis.call('PEXPIRE', key, window)
    rest = tonumber(window)
  end
  return {requests, rest}
end
"""


@dataclass(frozen=True, slots=True)
class Count:
    """Requests in the current window, this one included, and its rest."""

    requests: int
    window_rest_ms: int


def count_request(*, who: str, endpoint: str, window_ms: int) -> Count:
    """Count one request of ``who``; the window starts with its first. One round trip.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    source = _COUNT + "return count(KEYS[1], ARGV[1])"
    requests, rest = _run(source, [keys.rate_limit(who, endpoint)], [window_ms])
    return Count(requests, rest)


_TAKE_ATTEMPT = """
local full = false
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('HGET', key, 'spent') or '0') >= tonumber(ARGV[2 * i - 1]) then
    full = true
    redis.call('HINCRBY', key, 'refused', 1)
  end
end
local found = {full and 0 or 1}
for i, key in ipairs(KEYS) do
  if not full then redis.call('HINCRBY', key, 'spent', 1) end
  local rest = redis.call('PTTL', key)
  if rest == -1 then
    redis.call('PEXPIRE', key, ARGV[2 * i])
    rest = tonumber(ARGV[2 * i])
  end
  local spent, refused = unpack(redis.call('HMGET', key, 'spent', 'refused'))
  found[i + 1] = {tonumber(spent or '0'), tonumber(refused or '0'), rest}
end
return found
"""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``limit`` attempts of ``who`` in a window."""

    who: str
    scope: str
    limit: int
    window_ms: int

    @property
    def key(self) -> str:
        return keys.attempts(self.who, self.scope)


@dataclass(frozen=True, slots=True)
class Attempts:
    """What a budget's window holds; ``rest_ms`` is negative before its first attempt."""

    spent: int
    refused: int
    rest_ms: int


def take_attempt(budgets: Sequence[Budget]) -> tuple[bool, list[Attempts]]:
    """Spend one attempt of every budget, or of none when one of them is used up.

    The refusal is counted in each budget that is used up. One round trip.

    Returns:
        Whether it was spent; and the budgets' windows, in their order.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    arguments = [
        part for budget in budgets for part in (budget.limit, budget.window_ms)
    ]
    taken, *found = _run(_TAKE_ATTEMPT, [budget.key for budget in budgets], arguments)
    return bool(taken), [Attempts(*one) for one in found]


_GIVE_ATTEMPT_BACK = """
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('HGET', key, 'spent') or '0') > 0 then
    redis.call('HINCRBY', key, 'spent', -1)
  end
end
"""


def give_attempt_back(budgets: Sequence[Budget]) -> None:
    """Undo what `take_attempt` spent; nothing where the window has ended.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    _run(_GIVE_ATTEMPT_BACK, [budget.key for budget in budgets], [])


# --- Sign-in state: the session and the devices ------------------------------


class SessionStatus(Enum):
    """What a session check found."""

    GOOD = "good"
    OTHER_DEVICE = "other_device"
    """The session is good, for another device."""
    ENDED = "ended"
    """The player has no session, or another one."""
    UNKNOWN = "unknown"
    """Redis cannot tell: ask the database."""


@dataclass(frozen=True, slots=True)
class SessionCheck:
    """The answer to one request's check.

    ``count`` is there when the session is good; ``lease`` when the answer is
    unknown and the caller may put the state it reads.
    """

    seen: SessionStatus
    count: Count | None = None
    lease: str = ""


_CHECK = (
    _COUNT
    + """
local session, devices, lease, requests = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local sha256, device = ARGV[1], ARGV[2]
local held = redis.call('GET', session)
if held and string.sub(held, 1, 9) == 'changing:' then
  return {'unknown'}
end
local good = held == sha256 .. ':' .. device
if not held or good and redis.call('SISMEMBER', devices, device) == 0 then
  redis.call('SET', lease, ARGV[3], 'PX', ARGV[4])
  return {'unknown', ARGV[3]}
end
if good then
  local counted = count(requests, ARGV[5])
  return {'good', counted[1], counted[2]}
end
if string.sub(held, 1, 65) == sha256 .. ':' then
  return {'other_device'}
end
return {'ended'}
"""
)


def check_session(
    *, player_id: int, sha256: str, device_id: str, endpoint: str, window_ms: int
) -> SessionCheck:
    """Check a token and its device, and count the request if they are good.

    One round trip, as every request makes it.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    names = [
        keys.active_session(player_id),
        keys.devices(player_id),
        keys.session_lease(player_id),
        keys.rate_limit(str(player_id), endpoint),
    ]
    lease = secrets.token_hex(8)
    seen, *rest = _run(_CHECK, names, [sha256, device_id, lease, _LEASE_MS, window_ms])
    match SessionStatus(seen):
        case SessionStatus.GOOD:
            return SessionCheck(SessionStatus.GOOD, count=Count(*rest))
        case SessionStatus.UNKNOWN if rest:
            return SessionCheck(SessionStatus.UNKNOWN, lease=rest[0])
        case found:
            return SessionCheck(found)


_BLOCK = """
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2], KEYS[3])
"""


def block_sign_in_state(player_id: int) -> str:
    """Send every reader to the database until `unblock_sign_in_state`.

    Call it inside the transaction that changes the player's devices or session.

    Returns:
        What to lift the block with.

    Raises:
        StoreUnavailableError: Redis does not answer; the change must not happen.
    """
    block = _BLOCKED + secrets.token_hex(8)
    names = [
        keys.active_session(player_id),
        keys.devices(player_id),
        keys.session_lease(player_id),
    ]
    _run(_BLOCK, names, [block, _BLOCK_MS])
    return block


_UNBLOCK = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and string.sub(held, 1, 9) == 'changing:' then
  return 0
end
-- Anything else was put while the block was lost, perhaps from before the change.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
"""


def unblock_sign_in_state(player_id: int, block: str) -> str:
    """Lift this block, once its change is committed.

    Returns:
        A lease to put the new state with; "" when another change is under way.

    Raises:
        StoreUnavailableError: Redis does not answer; the block ends by itself.
    """
    lease = secrets.token_hex(8)
    names = [keys.active_session(player_id), keys.session_lease(player_id)]
    return lease if _run(_UNBLOCK, names, [block, lease, _LEASE_MS]) else ""


_PUT_SIGN_IN = """
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
if #ARGV > 3 then
  redis.call('SADD', KEYS[2], unpack(ARGV, 4))
  redis.call('EXPIRE', KEYS[2], ARGV[3])
end
return 1
"""


def put_sign_in_state(
    player_id: int,
    *,
    lease: str,
    session: tuple[str, str] | None,
    devices: Iterable[str],
) -> bool:
    """Keep a player's state as the database has it, unless the lease is gone.

    Args:
        session: the token's SHA-256 and the device's id; None: not signed in.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    names = [
        keys.active_session(player_id),
        keys.devices(player_id),
        keys.session_lease(player_id),
    ]
    value = ":".join(session) if session else _NO_SESSION
    lifetime = _SESSION_SECONDS if session else _NO_SESSION_SECONDS
    return bool(_run(_PUT_SIGN_IN, names, [lease, value, lifetime, *devices]))


def count_devices(player_id: int) -> int:
    """How many devices the copy has; 0 when there is no copy.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    return int(_client().scard(keys.devices(player_id)))


# --- Plans and products, wallets: copies under a lease ------------------------

_READ_ACCESS = """
local held = redis.call('GET', KEYS[1])
if held then return {held} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {false, ARGV[1]}
"""


def read_access(player_id: int) -> tuple[str | None, str]:
    """The player's plans and products as put, and a lease when there are none.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    names = [keys.access(player_id), keys.access_lease(player_id)]
    found = _run(_READ_ACCESS, names, [secrets.token_hex(8), _LEASE_MS])
    return found[0], "" if found[0] is not None else found[1]


_PUT_ACCESS = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""


def put_access(player_id: int, *, lease: str, value: str) -> bool:
    """Keep the player's plans and products for some minutes, unless the lease is gone.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    names = [keys.access(player_id), keys.access_lease(player_id)]
    return bool(_run(_PUT_ACCESS, names, [lease, value, _ACCESS_SECONDS]))


def drop_access(player_ids: Iterable[int]) -> None:
    """Forget these players' plans and products, and every lease on them.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    pipeline = _client().pipeline(transaction=False)
    for player_id in player_ids:
        pipeline.delete(keys.access(player_id), keys.access_lease(player_id))
    pipeline.execute()


_READ_WALLET = """
if redis.call('EXISTS', KEYS[3]) == 1 then return {false, ''} end
local held = redis.call('HGETALL', KEYS[1])
if #held > 0 then return {held} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {false, ARGV[1]}
"""


def _wallet_names(player_id: int) -> list[str]:
    return [
        keys.wallet(player_id),
        keys.wallet_lease(player_id),
        keys.in_flight(player_id),
    ]


def read_wallet(player_id: int) -> tuple[Mapping[str, str] | None, str]:
    """The wallet's fields, or None and a lease.

    While a write of the ledger is under way, None and no lease: the ledger tells.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    found = _run(
        _READ_WALLET, _wallet_names(player_id), [secrets.token_hex(8), _LEASE_MS]
    )
    if found[0] is None:
        return None, found[1]
    return _pairs(found[0]), ""


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


_PUT_WALLET = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if redis.call('EXISTS', KEYS[1], KEYS[3]) > 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
"""


def put_wallet(player_id: int, *, lease: str, fields: Mapping[str, str | int]) -> bool:
    """Keep a wallet read from the ledger, unless the lease is gone.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    flat = [part for pair in fields.items() for part in pair]
    return bool(_run(_PUT_WALLET, _wallet_names(player_id), [lease, *flat]))


# --- Wallets waiting to be written back ---------------------------------------


def count_waiting_wallets() -> int:
    """How many players wait to be claimed.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    return int(_client().scard(keys.PENDING_WALLETS))


_CLAIM = """
local taken = redis.call('SPOP', KEYS[1], ARGV[1])
if #taken > 0 then redis.call('SADD', KEYS[2], unpack(taken)) end
return taken
"""


def claim_wallets(count: int) -> list[int]:
    """Take up to ``count`` waiting players.

    They stay claimed until `mark_wallets_written`, so that a crash forgets nobody.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    names = [keys.PENDING_WALLETS, keys.CLAIMED_WALLETS]
    return [int(player_id) for player_id in _run(_CLAIM, names, [count])]


def claimed_wallets() -> list[int]:
    """The players an earlier run claimed and did not settle.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    members = cast("set[str]", _client().smembers(keys.CLAIMED_WALLETS))
    return sorted(int(player_id) for player_id in members)


def mark_wallets_written(player_ids: Sequence[int]) -> None:
    """These players' wallets are written back.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    if player_ids:
        _client().srem(keys.CLAIMED_WALLETS, *(str(found) for found in player_ids))


def read_wallets(player_ids: Sequence[int]) -> dict[int, Mapping[str, str]]:
    """The wallets that are there, by player. One round trip.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    pipeline = _client().pipeline(transaction=False)
    for player_id in player_ids:
        pipeline.hgetall(keys.wallet(player_id))
    found = pipeline.execute()
    return {
        player_id: fields
        for player_id, fields in zip(player_ids, found, strict=True)
        if fields
    }


def forget_player(player_id: int) -> None:
    """Delete what is kept of a player who is no more.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    pipeline = _client().pipeline(transaction=False)
    pipeline.delete(
        keys.access(player_id),
        keys.access_lease(player_id),
        keys.wallet(player_id),
        keys.wallet_lease(player_id),
        # Without the lease nobody can put back what they read before.
        keys.active_session(player_id),
        keys.devices(player_id),
        keys.session_lease(player_id),
    )
    pipeline.srem(keys.PENDING_WALLETS, str(player_id))
    pipeline.srem(keys.CLAIMED_WALLETS, str(player_id))
    pipeline.execute()
