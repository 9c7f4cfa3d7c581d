"""A player's records in Redis: copies that are correct or missing.

The rule (docs/architecture.md, "Records in Redis"): every record holds absolute values
and a stamp, a writer announces itself before it writes to the database, and a record
that nobody finishes expires. The database is the truth; each record can be made again.

**Wallet and subjects** are stamped with a position in the player's ledger (``seq``). The
wallet record has ``seq``, ``claim`` (the highest first ``seq`` that a writer is about to
insert) and ``inc``, a random word set when the record is created. A subject's record
counts only while its stamp equals the wallet's ``inc``, so a new wallet record
invalidates all older subject records. A writer calls `enter` or `look` with ``begin``,
inserts its row with ``seq + 1``, and calls `put`:

- A record that a writer has begun lives `WRITE_MS`. If the writer stops, it expires.
- If the record is missing, or the insert finds its position taken, the writer reads the
  ledger and calls `create`.
- A reader that finds no wallet leaves a placeholder, reads the ledger and calls `fill`,
  which does nothing unless the placeholder is still there.

**Sign-in state and access** are copies with a version, which the transaction of a change
raises on the player's row. Before the commit `block` replaces the copy with a tombstone,
which sends readers to the database; after it `unblock` removes the tombstone. Readers
fill a missing copy under a placeholder, too.

The exhaustive check of the rule is ``tests/players/records_model.py``.

Every function is one round trip and raises `StoreUnavailableError` when Redis does not
answer.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

from redis.exceptions import RedisError

from core.redis_client import client, run_script
from players import keys
from players.player_state import LastPlayed, SubjectProgress, WalletState

StoreUnavailableError = RedisError
"""Redis does not answer; callers that can use the database instead catch this."""

WRITE_MS = 10_000
"""How long a record lives while a write is under way."""
PLACEHOLDER_MS = 5_000
FILLED_MS = 15 * 60_000
"""How long a wallet lives that a reader filled; of one that a writer put:"""
WRITTEN_MS = 60 * 60_000
SUBJECT_MS = 2 * WRITTEN_MS
"""Longer than any wallet: only the stamp decides whether a subject counts."""
TOMBSTONE_MS = 60_000
"""Longer than a transaction of a change takes."""
SESSION_SECONDS = 900
"""How long a copy of the sign-in state is believed: the limit of what a Redis that
comes back with old data can do. A session itself does not expire."""
NO_SESSION_SECONDS = 60
ACCESS_SECONDS = 300

NO_SESSION = "none"
_NONE: Mapping[str, Any] = {}


class SessionStatus(Enum):
    """The result of a session check."""

    GOOD = "good"
    OTHER_DEVICE = "other_device"
    """The session is good, for another device."""
    ENDED = "ended"
    """The player has no session, or another one."""
    UNKNOWN = "unknown"
    """Redis has no copy: ask the database."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The records that a request needs, beside the session.

    ``begin`` announces a write to the ledger; ``subject_ids`` need ``wallet``.
    """

    access: bool = False
    wallet: bool = False
    subject_ids: tuple[str, ...] = ()
    begin: bool = False


NOTHING = Wanted()


@dataclass(frozen=True, slots=True)
class Count:
    """Requests in the current window, this one included, and its rest."""

    requests: int
    window_rest_ms: int


@dataclass(frozen=True, slots=True)
class Found:
    """The answer of one round trip.

    ``access`` and ``wallet`` are None when they are missing or were not wanted;
    ``subjects`` has those of the wanted subjects that are not missing. ``token`` is that
    of the placeholders that the call left, "" if a copy may not be filled: `fill` and
    `fill_access` take it. ``inc`` is the wallet's.
    """

    player_id: int
    wanted: Wanted = NOTHING
    status: SessionStatus = SessionStatus.GOOD
    count: Count | None = None
    access: bytes | None = None
    wallet: WalletState | None = None
    subjects: Mapping[str, SubjectProgress] = field(default_factory=dict)
    inc: bytes = b""
    token: str = ""
    may_fill_session: bool = False
    may_fill_access: bool = False


# --- Reading, and beginning a write ---------------------------------------------

_COPIES = """
local function read_copy(key, token, placeholder_ms)
  local held = redis.call('GET', key)
  local kind = held and string.sub(held, 1, 1)
  if kind == 'v' then return string.match(held, '|(.*)$'), 0 end
  if kind == 't' then return false, 0 end
  redis.call('SET', key, 'p' .. token, 'PX', placeholder_ms)
  return false, 1
end
"""

# KEYS: session, devices, request count, access, wallet, then five keys of each subject.
# ARGV: token hash ('' skips the check), device, window ms ('' does not count), limit,
# placeholder token, its ms, letters of what is wanted, write ms.
_ENTER = (
    _COPIES
    + """
local session, devices, counter, access, wallet = unpack(KEYS, 1, 5)
local sha, device, window, limit, token, placeholder_ms, wanted, write_ms =
  unpack(ARGV, 1, 8)
if sha ~= '' then
  local held, may_fill = read_copy(session, token, placeholder_ms)
  local good = held == sha .. ':' .. device
  if good and redis.call('SISMEMBER', devices, device) == 0 then
    redis.call('SET', session, 'p' .. token, 'PX', placeholder_ms)
    return {'unknown', 1}
  end
  if not held then return {'unknown', may_fill} end
  if not good then
    return {string.sub(held, 1, 65) == sha .. ':' and 'other_device' or 'ended'}
  end
end
local found = {'good', false, false, false, 0, false, false}
if window ~= '' then
  local requests = redis.call('INCR', counter)
  local rest = redis.call('PTTL', counter)
  if rest < 0 then
    redis.call('PEXPIRE', counter, window)
    rest = tonumber(window)
  end
  found[2], found[3] = requests, rest
  if requests > tonumber(limit) then return found end
end
if string.find(wanted, 'a', 1, true) then
  found[4], found[5] = read_copy(access, token, placeholder_ms)
end
local begins = string.find(wanted, 'b', 1, true)
if not begins and not string.find(wanted, 'w', 1, true) then return found end
local held = redis.call('HMGET', wallet, 'seq', 'inc', 'total_xp', 'current_streak',
  'last_success_date', 'last_played_at', 'freezes', 'frozen_days', 'claim')
-- A record of a version without freezes counts as missing.
if not held[1] or not held[7] then
  if not begins then
    redis.call('DEL', wallet)
    redis.call('HSET', wallet, 'reader', token)
    redis.call('PEXPIRE', wallet, placeholder_ms)
  end
  return found
end
if begins then
  local first = tonumber(held[1]) + 1
  if first > tonumber(held[9]) then redis.call('HSET', wallet, 'claim', first) end
  redis.call('PEXPIRE', wallet, write_ms, 'LT')
end
found[6] = held
found[7] = {}
for first = 6, #KEYS, 5 do
  local subject = redis.call('MGET', unpack(KEYS, first, first + 4))
  local is_whole = subject[1] and subject[2] and subject[3] and subject[4]
    and subject[5] == held[2]
  found[7][#found[7] + 1] = is_whole and subject
end
return found
"""
)


def enter(
    *,
    player_id: int,
    sha256: str,
    device_id: str,
    endpoint: str,
    window_ms: int,
    limit: int,
    wanted: Wanted,
) -> Found:
    """Check a token and its device, count the request, and read what it needs.

    A request that is refused, or is more than ``limit``, reads and begins nothing.

    Args:
        sha256: the token's hash; "" skips the check of the session.
    """
    token = secrets.token_hex(8)
    letters = "a" * wanted.access + "w" * wanted.wallet + "b" * wanted.begin
    names = [
        keys.active_session(player_id),
        keys.devices(player_id),
        keys.rate_limit(str(player_id), endpoint),
        keys.access(player_id),
        keys.wallet(player_id),
    ]
    for subject_id in wanted.subject_ids:
        names += keys.subject(player_id, subject_id)
    window = window_ms if window_ms else ""
    answer = run_script(
        _ENTER,
        names,
        [
            *(sha256, device_id, window, limit),
            *(token, PLACEHOLDER_MS, letters, WRITE_MS),
        ],
    )
    return _found(player_id, wanted, token, answer)


def look(player_id: int, wanted: Wanted) -> Found:
    """Read a player's records without a session, as `enter` does."""
    return enter(
        player_id=player_id,
        sha256="",
        device_id="",
        endpoint="",
        window_ms=0,
        limit=0,
        wanted=wanted,
    )


def _found(player_id: int, wanted: Wanted, token: str, answer: list[Any]) -> Found:
    status = SessionStatus(answer[0].decode())
    if status is not SessionStatus.GOOD:
        may_fill = len(answer) > 1 and bool(answer[1])
        return Found(player_id, wanted, status, token=token, may_fill_session=may_fill)
    _status, requests, rest, access, may_fill, wallet, subjects = answer
    return Found(
        player_id,
        wanted,
        count=None if requests is None else Count(requests, rest),
        access=access,
        may_fill_access=bool(may_fill),
        wallet=None if wallet is None else decode_wallet(wallet),
        inc=b"" if wallet is None else wallet[1],
        subjects={
            subject_id: decode_subject(held)
            for subject_id, held in zip(
                wanted.subject_ids, subjects or (), strict=False
            )
            if held is not None
        },
        token=token,
    )


# --- The wallet and subjects -------------------------------------------------------

# The last keys of a script that stores subjects: five of each; the last arguments:
# bitmap, hearts, XP and last attempt of each, then ms.
_SUBJECTS = """
local function store_subjects(first, inc)
  local ms, at = ARGV[#ARGV], #ARGV - (#KEYS - first + 1) / 5 * 4
  for key = first, #KEYS, 5 do
    for part = 0, 3 do
      redis.call('SET', KEYS[key + part], ARGV[at + part], 'PX', ms)
    end
    redis.call('SET', KEYS[key + 4], inc, 'PX', ms)
    at = at + 4
  end
end
"""

_LOAD = (
    _SUBJECTS
    + """
local inc, seq, write_ms = ARGV[1], ARGV[2], ARGV[3]
local held = redis.call('HMGET', KEYS[1], 'seq', 'inc', 'claim')
if held[1] ~= seq or held[2] ~= inc then return 0 end
if tonumber(held[3]) <= tonumber(seq) then
  redis.call('HSET', KEYS[1], 'claim', tonumber(seq) + 1)
end
redis.call('PEXPIRE', KEYS[1], write_ms, 'LT')
store_subjects(2, inc)
return 1
"""
)


def load(
    player_id: int, *, inc: bytes, seq: int, subjects: Mapping[str, SubjectProgress]
) -> bool:
    """Store the subjects of a writer that found the wallet but not these.

    Returns:
        False: the wallet is no longer the one with ``inc`` and ``seq``; call `create`.
    """
    names = _names(player_id, subjects)
    return bool(run_script(_LOAD, names, [inc, seq, WRITE_MS, *_parts(subjects)]))


_CREATE = (
    _SUBJECTS
    + """
local inc, seq, write_ms = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local held = redis.call('HMGET', KEYS[1], 'seq', 'claim')
if held[1] and tonumber(held[1]) > seq then return 0 end
local claim = seq + 1
if held[1] then claim = math.max(claim, tonumber(held[2])) end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'inc', inc, 'seq', seq, 'claim', claim,
  'total_xp', ARGV[4], 'current_streak', ARGV[5], 'last_success_date', ARGV[6],
  'last_played_at', ARGV[7], 'freezes', ARGV[8], 'frozen_days', ARGV[9])
redis.call('PEXPIRE', KEYS[1], write_ms)
store_subjects(2, inc)
return 1
"""
)


def create(
    player_id: int,
    *,
    wallet: WalletState,
    subjects: Mapping[str, SubjectProgress] = _NONE,
) -> bytes | None:
    """Begin a write from what the ledger says, as a new wallet record.

    Returns:
        The record's ``inc``; None when Redis is further than ``wallet``: begin again.
    """
    inc = secrets.token_hex(8).encode()
    arguments: list[Any] = [inc, wallet.seq, WRITE_MS, *_fields(wallet)]
    arguments += _parts(subjects)
    return inc if run_script(_CREATE, _names(player_id, subjects), arguments) else None


_PUT = (
    _SUBJECTS
    + """
local inc, first, last = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local write_ms, written_ms = ARGV[4], ARGV[5]
local held = redis.call('HMGET', KEYS[1], 'seq', 'inc', 'claim')
if not held[1] then
  redis.call('DEL', KEYS[1])
  return 0
end
local seq, claim = tonumber(held[1]), tonumber(held[3])
if seq >= last then return 0 end
if held[2] ~= inc or claim < first or seq ~= first - 1 then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('HSET', KEYS[1], 'seq', last, 'total_xp', ARGV[6], 'current_streak', ARGV[7],
  'last_success_date', ARGV[8], 'last_played_at', ARGV[9], 'freezes', ARGV[10],
  'frozen_days', ARGV[11])
redis.call('PEXPIRE', KEYS[1], claim <= last and written_ms or write_ms)
store_subjects(2, inc)
return 1
"""
)


def put(
    player_id: int,
    *,
    inc: bytes,
    first: int,
    wallet: WalletState,
    subjects: Mapping[str, SubjectProgress] = _NONE,
) -> None:
    """Store the state after the committed rows ``first`` … ``wallet.seq``.

    Harmless however late it is: a record that is further stays, and one that lacks a
    row is deleted.
    """
    arguments: list[Any] = [inc, first, wallet.seq, WRITE_MS, WRITTEN_MS]
    arguments += [*_fields(wallet), *_parts(subjects)]
    run_script(_PUT, _names(player_id, subjects), arguments)


_FILL = (
    _SUBJECTS
    + """
local token, inc, new_inc, seq, filled_ms = unpack(ARGV, 1, 5)
local held = redis.call('HMGET', KEYS[1], 'reader', 'seq', 'inc')
if inc == '' then
  if held[1] ~= token then return 0 end
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'inc', new_inc, 'seq', seq, 'claim', 0,
    'total_xp', ARGV[6], 'current_streak', ARGV[7], 'last_success_date', ARGV[8],
    'last_played_at', ARGV[9], 'freezes', ARGV[10], 'frozen_days', ARGV[11])
  redis.call('PEXPIRE', KEYS[1], filled_ms)
  inc = new_inc
elseif held[3] ~= inc or held[2] ~= seq then
  return 0
end
store_subjects(2, inc)
return 1
"""
)


def fill(
    found: Found,
    *,
    wallet: WalletState,
    subjects: Mapping[str, SubjectProgress] = _NONE,
) -> bool:
    """Store what a reader's `look` or `enter` lacked, as the ledger has it.

    Args:
        wallet: as read from the ledger; if ``found`` has a wallet, only its ``seq`` is
            compared.
        subjects: those that were read, at the same ``seq``.

    Returns:
        False: a writer or a newer reader was first; nothing is stored.
    """
    new_inc = secrets.token_hex(8)
    arguments: list[Any] = [found.token, found.inc, new_inc, wallet.seq, FILLED_MS]
    arguments += [*_fields(wallet), *_parts(subjects)]
    return bool(run_script(_FILL, _names(found.player_id, subjects), arguments))


_DROP = """
local held = redis.call('HGET', KEYS[1], 'seq')
if held and tonumber(held) >= tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])
"""


def drop_older(player_id: int, head: int) -> None:
    """Delete the wallet if it is older than ``head``, the ledger's last position."""
    run_script(_DROP, [keys.wallet(player_id)], [head])


def decode_wallet(held: Sequence[bytes]) -> WalletState:
    seq, _inc, total_xp, days, last, played, freezes, frozen = held[:8]
    return WalletState(
        seq=int(seq),
        total_xp=int(total_xp),
        current_streak=int(days),
        last_success_date=date.fromisoformat(last.decode()) if last else None,
        last_played_at=datetime.fromisoformat(played.decode()) if played else None,
        freezes=int(freezes),
        frozen_days=tuple(map(date.fromisoformat, frozen.decode().split())),
    )


def _fields(wallet: WalletState) -> list[str | int]:
    """The arguments total XP, streak, day, time, freezes, frozen days; "" is None."""
    day, played = wallet.last_success_date, wallet.last_played_at
    return [
        wallet.total_xp,
        wallet.current_streak,
        day.isoformat() if day else "",
        played.astimezone(UTC).isoformat() if played else "",
        wallet.freezes,
        " ".join(map(date.isoformat, wallet.frozen_days)),
    ]


def decode_subject(held: Sequence[bytes]) -> SubjectProgress:
    return SubjectProgress(
        bitmap=held[0], hearts=held[1], xp=int(held[2]), last_played=_played(held[3])
    )


def _played(held: bytes) -> LastPlayed | None:
    at, _space, bit = held.decode().partition(" ")
    return LastPlayed(datetime.fromisoformat(at), int(bit)) if at else None


def _played_text(played: LastPlayed | None) -> str:
    if played is None:
        return ""
    return f"{played.at.astimezone(UTC).isoformat()} {played.bit_index}"


def _names(player_id: int, subjects: Iterable[str]) -> list[str]:
    """The keys of the wallet and of these subjects."""
    names = [keys.wallet(player_id)]
    for subject_id in subjects:
        names += keys.subject(player_id, subject_id)
    return names


def _parts(subjects: Mapping[str, SubjectProgress]) -> list[bytes | int | str]:
    """The last arguments of a script that stores subjects."""
    parts: list[bytes | int | str] = []
    for subject in subjects.values():
        parts += [subject.bitmap, subject.hearts, subject.xp]
        parts.append(_played_text(subject.last_played))
    return [*parts, SUBJECT_MS]


# --- Copies with a version: sign-in state and access -------------------------------

_BLOCK = """
local held = redis.call('GET', KEYS[1])
local version = held and string.match(held, '^[vt](%d+)')
if version and tonumber(version) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], 't' .. ARGV[1], 'PX', ARGV[2])
if #KEYS > 1 then redis.call('DEL', KEYS[2]) end
return 1
"""

_UNBLOCK = """
local held = redis.call('GET', KEYS[1])
local version = held and string.match(held, '^[vt](%d+)')
if version and tonumber(version) > tonumber(ARGV[1]) then return 0 end
if version == ARGV[1] and string.sub(held, 1, 1) == 'v' then return 0 end
return redis.call('DEL', KEYS[1])
"""

_FILL_COPY = """
if redis.call('GET', KEYS[1]) ~= 'p' .. ARGV[1] then return 0 end
redis.call('SET', KEYS[1], 'v' .. ARGV[2] .. '|' .. ARGV[3], 'EX', ARGV[4])
if #KEYS > 1 then
  redis.call('DEL', KEYS[2])
  if #ARGV > 4 then
    redis.call('SADD', KEYS[2], unpack(ARGV, 5))
    redis.call('EXPIRE', KEYS[2], ARGV[4])
  end
end
return 1
"""


def block_sign_in(versions: Mapping[int, int]) -> None:
    """Send readers of these players' sign-in state to the database.

    Args:
        versions: the version that the transaction will commit, by player.
    """
    names = [
        [keys.active_session(player_id), keys.devices(player_id)]
        for player_id in versions
    ]
    _for_each(_BLOCK, names, versions, TOMBSTONE_MS)


def unblock_sign_in(versions: Mapping[int, int]) -> None:
    """Let readers fill the copies again; call it after the commit or the rollback."""
    names = [[keys.active_session(player_id)] for player_id in versions]
    _for_each(_UNBLOCK, names, versions)


def block_access(versions: Mapping[int, int]) -> None:
    """Send readers of these players' access to the database."""
    _for_each(_BLOCK, _access_names(versions), versions, TOMBSTONE_MS)


def unblock_access(versions: Mapping[int, int]) -> None:
    """Let readers fill the copies again."""
    _for_each(_UNBLOCK, _access_names(versions), versions)


def _access_names(player_ids: Iterable[int]) -> list[list[str]]:
    return [[keys.access(player_id)] for player_id in player_ids]


def _for_each(
    source: str,
    names: Sequence[list[str]],
    versions: Mapping[int, int],
    *arguments: int,
) -> None:
    """Run a script on the keys of each player; one round trip."""
    if len(names) == 1:
        run_script(source, names[0], [*versions.values(), *arguments])
        return
    pipeline = client().pipeline(transaction=False)
    for own, version in zip(names, versions.values(), strict=True):
        pipeline.eval(source, len(own), *own, str(version), *map(str, arguments))
    pipeline.execute()


def fill_sign_in(
    found: Found,
    *,
    version: int,
    session: tuple[str, str] | None,
    devices: Iterable[str],
) -> bool:
    """Store a player's sign-in state, if the placeholder of ``found`` still stands.

    Args:
        version: of the sign-in state, read before or together with it.
        session: the token's SHA-256 and the device's id; None: not signed in.
    """
    names = [keys.active_session(found.player_id), keys.devices(found.player_id)]
    value = ":".join(session) if session else NO_SESSION
    seconds = SESSION_SECONDS if session else NO_SESSION_SECONDS
    arguments: list[Any] = [found.token, version, value, seconds, *devices]
    return bool(run_script(_FILL_COPY, names, arguments))


def fill_access(found: Found, *, version: int, value: bytes) -> bool:
    """Store a player's access, if the placeholder of ``found`` still stands."""
    arguments: list[Any] = [found.token, version, value, ACCESS_SECONDS]
    return bool(run_script(_FILL_COPY, [keys.access(found.player_id)], arguments))


def count_devices(player_id: int) -> int:
    """Return how many devices the copy has; 0 when there is no copy."""
    return int(client().scard(keys.devices(player_id)))


# --- Deleting -----------------------------------------------------------------------


def forget_player(player_id: int, subject_ids: Iterable[str] = ()) -> None:
    """Delete the records of a player who is deleted or erased."""
    names = [
        keys.active_session(player_id),
        keys.devices(player_id),
        keys.access(player_id),
        keys.wallet(player_id),
    ]
    for subject_id in subject_ids:
        names += keys.subject(player_id, subject_id)
    client().unlink(*names)
