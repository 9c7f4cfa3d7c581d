"""Progress in Redis: the only module of this app that uses its commands.

Everything here is a projection of the ledger (`progress.services.ledger`): the wallet
hash (`players.keys`), and per subject the bitmap, the best hearts and the XP.

How the projections stay equal to the ledger after any failure:

- A write **begins** with a mark in ``in_flight`` and gives all keys it will change an
  expiry of `MARK_MS`. After the ledger's commit it is **applied**: this removes the
  mark and makes the keys permanent again. If the writer crashes in between, the keys
  expire, and the next reader rebuilds them from the ledger.
- While a mark exists, readers use the ledger, keys changed by other writers stay
  temporary, and no rebuilt value is stored.
- A writer whose mark is missing (Redis lost it, or the writer took too long) deletes
  the keys that it would have changed.
- To rebuild, a reader **claims** first, reads the ledger, then **stores**. Every apply
  deletes all claims, so a value read before a commit is never stored after it.
  ``players`` fills the wallet under its own lease, which apply also deletes.
"""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from players import keys as player_keys
from players.services.wallet import WalletState
from progress import keys
from progress.bitmap import SubjectProgress
from progress.streak import Streak

StoreUnavailableError = RedisError
"""Redis does not answer."""

MARK_MS = 10_000
"""How long a write may take; one that takes longer counts as dead."""
_FLIGHT_MS = 6 * MARK_MS  # longer than all a dead mark's writer touched can live
_CLAIM_MS = 60_000
_SYNC_LOCK_MS = 120_000
_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WriteTicket:
    """A write under way. ``subject_id`` is "" when it touches the wallet alone."""

    player_id: int
    subject_id: str
    token: str

    @property
    def keys(self) -> list[str]:
        return _keys(self.player_id, self.subject_id)


@dataclass(frozen=True, slots=True)
class PendingWrite:
    """What a write found when it began.

    ``state`` is None when Redis lacks some of it; the mark is then a claim, too.
    """

    mark: WriteTicket
    others_in_flight: bool
    state: "State | None"


@dataclass(frozen=True, slots=True)
class State:
    """What the rules of a completion are asked with."""

    total_xp: int
    streak: Streak
    subject: SubjectProgress


@dataclass(frozen=True, slots=True)
class Change:
    """What a committed row of the ledger changes.

    ``streak_before`` is what ``streak`` was computed from.
    """

    xp: int
    streak_before: Streak
    streak: Streak
    played_at: datetime
    bit_index: int | None = None
    hearts: int = 0


# --- Scripts ----------------------------------------------------------------

# KEYS: wallet, in_flight, rebuilding, wallet lease, then (where a subject is touched)
# bitmap, best hearts, subject XP.
_COMMON = """
local wallet, in_flight, rebuilding, lease = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local touched = {wallet, unpack(KEYS, 5)}
local function purge(mark_ms, prefixes)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local dead = redis.call('ZRANGEBYSCORE', in_flight, '-inf', now - mark_ms)
  for _, token in ipairs(dead) do
    local subject = string.match(token, '|(.*)$')
    redis.call('DEL', wallet)
    if subject ~= '' then
      for _, prefix in ipairs(prefixes) do redis.call('DEL', prefix .. subject) end
    end
    redis.call('ZREM', in_flight, token)
  end
  return now
end
local function settle()
  if redis.call('ZCARD', in_flight) == 0 then
    for _, key in ipairs(touched) do redis.call('PERSIST', key) end
  end
end
"""

_BEGIN = (
    _COMMON
    + """
local token, mark_ms = ARGV[1], tonumber(ARGV[2])
local now = purge(mark_ms, {ARGV[5], ARGV[6], ARGV[7]})
local others = redis.call('ZCARD', in_flight)
redis.call('ZADD', in_flight, now, token)
redis.call('PEXPIRE', in_flight, ARGV[3])
local held = redis.call('HMGET', wallet,
  'total_xp', 'current_streak', 'last_success_date')
local complete = held[1]
for index = 5, #KEYS do
  local value = redis.call('GET', KEYS[index])
  complete = complete and value
  held[index - 1] = value
end
if not complete then
  redis.call('SADD', rebuilding, token)
  redis.call('PEXPIRE', rebuilding, ARGV[4])
  return {others}
end
for _, key in ipairs(touched) do
  if redis.call('PTTL', key) == -1 then redis.call('PEXPIRE', key, mark_ms) end
end
return {others, unpack(held)}
"""
)

_APPLY = (
    _COMMON
    + """
local token, bit, hearts, xp = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local date_before, streak, date, played_at = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
redis.call('DEL', rebuilding, lease)
if redis.call('ZREM', in_flight, token) == 0 then
  redis.call('DEL', unpack(touched))
  return 0
end
local held = redis.call('HMGET', wallet, 'last_success_date', 'last_played_at')
if held[1] and held[1] ~= date_before and held[1] ~= date then
  -- Midnight passed between this write and one that overtook it.
  redis.call('DEL', wallet)
elseif redis.call('EXISTS', wallet) == 1 then
  redis.call('HINCRBY', wallet, 'total_xp', xp)
  redis.call('HSET', wallet, 'current_streak', streak, 'last_success_date', date)
  if (held[2] or '') < played_at then
    redis.call('HSET', wallet, 'last_played_at', played_at)
  end
end
if bit >= 0 then
  local bitmap, best, subject_xp = KEYS[5], KEYS[6], KEYS[7]
  if redis.call('EXISTS', bitmap) == 1 then redis.call('SETBIT', bitmap, bit, 1) end
  if redis.call('EXISTS', best) == 1 then
    local before = string.byte(redis.call('GETRANGE', best, bit, bit)) or 0
    if hearts > before then
      redis.call('SETRANGE', best, bit, string.char(hearts))
    end
  end
  if redis.call('EXISTS', subject_xp) == 1 then
    redis.call('INCRBY', subject_xp, xp)
  end
end
settle()
return 1
"""
)

_CANCEL = (
    _COMMON
    + """
redis.call('SREM', rebuilding, ARGV[1])
if redis.call('ZREM', in_flight, ARGV[1]) == 1 then settle() end
return 1
"""
)

_DISCARD = (
    _COMMON
    + """
redis.call('DEL', rebuilding, lease, unpack(touched))
redis.call('ZREM', in_flight, ARGV[1])
return 1
"""
)

_CLAIM = """
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

# ARGV: token, mark_ms, three prefixes, "1" for the wallet and its four fields, then
# bitmap, hearts, XP.
_STORE = (
    _COMMON
    + """
local token, mark_ms = ARGV[1], tonumber(ARGV[2])
if redis.call('SREM', rebuilding, token) == 0 then return 0 end
purge(mark_ms, {ARGV[3], ARGV[4], ARGV[5]})
local own = redis.call('ZSCORE', in_flight, token)
if redis.call('ZCARD', in_flight) > (own and 1 or 0) then return 0 end
if ARGV[6] == '1' then
  redis.call('DEL', wallet, lease)
  redis.call('HSET', wallet, 'total_xp', ARGV[7], 'current_streak', ARGV[8],
    'last_success_date', ARGV[9], 'last_played_at', ARGV[10])
end
if #KEYS > 4 then
  redis.call('SET', KEYS[5], ARGV[11])
  redis.call('SET', KEYS[6], ARGV[12])
  redis.call('SET', KEYS[7], ARGV[13])
end
if own then
  for _, key in ipairs(touched) do redis.call('PEXPIRE', key, mark_ms) end
end
return 1
"""
)

_PLAYED = """
local held = redis.call('HGET', KEYS[1], 'last_played_at')
if held and held < ARGV[1] then
  redis.call('HSET', KEYS[1], 'last_played_at', ARGV[1])
end
"""

_TAKE = """
local taken = redis.call('SPOP', KEYS[1], ARGV[1])
if #taken > 0 then redis.call('SADD', KEYS[2], unpack(taken)) end
return taken
"""

_EXTEND_LOCK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

_UNLOCK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


# --- Writing ----------------------------------------------------------------


def begin(player_id: int, subject_id: str) -> PendingWrite:
    """Read what a write starts from and leave its mark. One round trip.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    token = f"{uuid.uuid4().hex}|{subject_id}"
    mark = WriteTicket(player_id, subject_id, token)
    others, *held = _run(
        _BEGIN,
        mark.keys,
        [token, MARK_MS, _FLIGHT_MS, _CLAIM_MS, *_prefixes(player_id)],
    )
    if not held:
        return PendingWrite(mark, bool(others), state=None)
    total_xp, days, last, *subject = held
    return PendingWrite(
        mark,
        bool(others),
        State(
            total_xp=int(total_xp),
            streak=Streak(int(days or 0), _date(last)),
            subject=_subject(subject) if subject else SubjectProgress(),
        ),
    )


def apply(mark: WriteTicket, change: Change) -> None:
    """Make the projections follow a committed row. One round trip.

    Safe to run twice: the second time finds no mark and drops them.

    Raises:
        StoreUnavailableError: Redis does not answer; its mark repairs it later.
    """
    _run(
        _APPLY,
        mark.keys,
        [
            mark.token,
            -1 if change.bit_index is None else change.bit_index,
            change.hearts,
            change.xp,
            _text(change.streak_before.last),
            change.streak.days,
            _text(change.streak.last),
            _instant(change.played_at),
        ],
        dirty=mark,
    )


def cancel(mark: WriteTicket) -> None:
    """Take the mark away: nothing was written.

    Raises:
        StoreUnavailableError: Redis does not answer; the mark ends by itself.
    """
    _run(_CANCEL, mark.keys, [mark.token])


def discard(mark: WriteTicket) -> None:
    """Take the mark away and drop all it would have changed, to be rebuilt.

    Raises:
        StoreUnavailableError: Redis does not answer; its mark repairs it later.
    """
    _run(_DISCARD, mark.keys, [mark.token], dirty=mark)


def note_played(player_id: int, at: datetime) -> None:
    """The player did something that earned nothing.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    _run(
        _PLAYED,
        [player_keys.wallet(player_id)],
        [_instant(at)],
        dirty=WriteTicket(player_id, "", ""),
    )


# --- Reading and rebuilding -------------------------------------------------


def read_subject(player_id: int, subject_id: str) -> SubjectProgress | None:
    """A subject's projections, or None: ask the ledger. One round trip.

    None when any is missing, or while a write of the player's is under way: Redis may
    lack what that has committed.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    return read_subjects([(player_id, subject_id)])[0]


def read_subjects(
    wanted: Sequence[tuple[int, str]],
) -> list[SubjectProgress | None]:
    """The same of many players' subjects, in that order. One round trip.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    pipeline = _client().pipeline(transaction=False)
    for player_id, subject_id in wanted:
        # In this order: a write that ends between the two was applied before.
        pipeline.exists(player_keys.in_flight(player_id))
        pipeline.mget(_keys(player_id, subject_id)[4:])
    found = pipeline.execute()
    return [
        None if in_flight or None in held else _subject(held)
        for in_flight, held in zip(found[::2], found[1::2], strict=True)
    ]


def claim(player_id: int, subject_id: str) -> WriteTicket:
    """Say that the ledger is about to be read, to `store` what it says.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    mark = WriteTicket(player_id, subject_id, f"{uuid.uuid4().hex}|{subject_id}")
    _run(_CLAIM, [keys.rebuilding(player_id)], [mark.token, _CLAIM_MS])
    return mark


def store(
    claimed: WriteTicket, *, wallet: WalletState | None, subject: SubjectProgress | None
) -> bool:
    """Keep what the ledger said, unless it may have said more since.

    Args:
        claimed: what `claim` or `begin` gave, before the ledger was read.
        wallet: None leaves the wallet as it is; so does ``subject``.

    Returns:
        Whether it was kept.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    fields: list[Any] = ["0", "", "", "", ""]
    if wallet is not None:
        fields = [
            "1",
            wallet.total_xp,
            wallet.current_streak,
            _text(wallet.last_success_date),
            _instant(wallet.last_played_at) if wallet.last_played_at else "",
        ]
    parts: list[Any] = []
    if subject is not None:
        parts = [subject.bitmap, subject.hearts, subject.xp]
    return bool(
        _run(
            _STORE,
            claimed.keys if subject is not None else claimed.keys[:4],
            [claimed.token, MARK_MS, *_prefixes(claimed.player_id), *fields, *parts],
            dirty=claimed if subject is not None else None,
        )
    )


def forget_player(player_id: int, subject_ids: Iterable[str]) -> None:
    """Delete what is kept of a player who is no more.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    names = [player_keys.in_flight(player_id), keys.rebuilding(player_id)]
    pipeline = _client().pipeline(transaction=False)
    for subject_id in subject_ids:
        names += _keys(player_id, subject_id)[4:]
        pipeline.srem(keys.PENDING_BITMAPS, keys.pending(player_id, subject_id))
    pipeline.delete(*names)
    pipeline.execute()


# --- Progress waiting to be written back ------------------------------------


def sync_lock() -> str:
    """Become the one who writes back; "" when someone else is.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    token = uuid.uuid4().hex
    taken = _client().set(keys.BITMAP_SYNC_LOCK, token, nx=True, px=_SYNC_LOCK_MS)
    return token if taken else ""


def extend_sync_lock(token: str) -> bool:
    """Stay the one; False when it took too long and someone else may be.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    return bool(_run(_EXTEND_LOCK, [keys.BITMAP_SYNC_LOCK], [token, _SYNC_LOCK_MS]))


def release_sync_lock(token: str) -> None:
    """Let others write back.

    Raises:
        StoreUnavailableError: Redis does not answer; the lock ends by itself.
    """
    _run(_UNLOCK, [keys.BITMAP_SYNC_LOCK], [token])


def count_pending() -> int:
    """How many changed subjects of players wait to be written back.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    return int(_client().scard(keys.PENDING_BITMAPS))


def taken_pending() -> list[tuple[int, str]]:
    """What an earlier run took and did not settle.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    return _pairs(_client().smembers(keys.TAKEN_BITMAPS))


def take_pending(count: int) -> list[tuple[int, str]]:
    """Take up to ``count`` changed subjects of players.

    They stay taken until `mark_bitmaps_written`, so that a crash forgets none; one that
    changes again meanwhile waits again.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    return _pairs(_run(_TAKE, [keys.PENDING_BITMAPS, keys.TAKEN_BITMAPS], [count]))


def mark_bitmaps_written(written: Sequence[tuple[int, str]]) -> None:
    """These are written back.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    if written:
        _client().srem(keys.TAKEN_BITMAPS, *(keys.pending(*pair) for pair in written))


# --- Plumbing ---------------------------------------------------------------


@lru_cache(maxsize=4)
def _client_for(url: str) -> "Redis":
    # One retry at once: a connection kept from before a restart is replaced, and a
    # server that is away is not waited for.
    return Redis.from_url(
        url,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )


def _client() -> "Redis":
    return _client_for(settings.REDIS_URL)


@lru_cache(maxsize=32)
def _sha(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def _run(
    script: str,
    names: Sequence[str],
    args: Sequence[Any],
    *,
    dirty: WriteTicket | None = None,
) -> Any:
    """Run a script, and note what is to be written back, in one round trip.

    The sets of what is to be written back belong to no player, so they cannot be
    touched by the script itself in a cluster.
    """
    for attempt in (1, 2):
        pipeline = _client().pipeline(transaction=False)
        pipeline.evalsha(_sha(script), len(names), *names, *args)
        if dirty is not None:
            pipeline.sadd(player_keys.PENDING_WALLETS, str(dirty.player_id))
            if dirty.subject_id:
                pipeline.sadd(
                    keys.PENDING_BITMAPS,
                    keys.pending(dirty.player_id, dirty.subject_id),
                )
        answer = pipeline.execute(raise_on_error=False)[0]
        if isinstance(answer, NoScriptError) and attempt == 1:
            _client().script_load(script)  # Redis restarted and forgot it
            continue
        if isinstance(answer, Exception):
            raise answer
        return answer
    raise AssertionError("unreachable")


def _keys(player_id: int, subject_id: str) -> list[str]:
    names = [
        player_keys.wallet(player_id),
        player_keys.in_flight(player_id),
        keys.rebuilding(player_id),
        player_keys.wallet_lease(player_id),
    ]
    if subject_id:
        names += [
            keys.bitmap(player_id, subject_id),
            keys.best_hearts(player_id, subject_id),
            keys.subject_xp(player_id, subject_id),
        ]
    return names


def _prefixes(player_id: int) -> list[str]:
    """What the names of a subject's keys begin with, for marks of other subjects."""
    return [
        keys.bitmap(player_id, ""),
        keys.best_hearts(player_id, ""),
        keys.subject_xp(player_id, ""),
    ]


def _pairs(members: Iterable[Any]) -> list[tuple[int, str]]:
    return sorted(keys.read_pending(member.decode()) for member in members)


def _subject(held: Sequence[Any]) -> SubjectProgress:
    bitmap, hearts, xp = held
    return SubjectProgress(bitmap=bitmap, hearts=hearts, xp=int(xp))


def _text(day: date | None) -> str:
    return day.isoformat() if day is not None else ""


def _date(text: bytes | None) -> date | None:
    return date.fromisoformat(text.decode()) if text else None


def _instant(at: datetime) -> str:
    """ISO 8601 in UTC, of one length: these texts are compared."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
