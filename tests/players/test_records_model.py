"""The rule of the records in Redis, exhaustively; and the real scripts against it."""

from types import SimpleNamespace
from typing import Any

import pytest

from players import keys, records
from players.player_state import SubjectProgress, WalletState
from players.records import Found, Wanted
from tests.players.records_model import Call, Model, Placeholder, Redis, Wallet

PLAYER = 42
LIVES = {
    "write": (0, records.WRITE_MS),
    "filled": (records.WRITE_MS, records.FILLED_MS),
    "written": (records.FILLED_MS, records.WRITTEN_MS),
}


@pytest.mark.parametrize(
    ("processes", "kills", "fault"),
    [
        ("AA/A", 1, ""),
        ("AB/A", 1, ""),
        ("AAB/", 1, ""),
        ("A/AB", 1, ""),
        ("AA/A", 0, "lose"),
        ("AA/A", 0, "revert"),
        ("AB/", 1, "revert"),
    ],
)
def test_no_order_of_steps_decides_wrongly_or_leaves_an_old_record(
    processes, kills, fault
):
    writers, _slash, readers = processes.partition("/")
    result = Model(writers, readers, fault=fault, kills=kills).run()
    assert result.states > 100
    if not fault:
        assert result.stale == []


def test_an_old_record_needs_a_loss_and_a_kill_at_the_same_time():
    """Documented: reconciliation drops it after a minute."""
    assert Model("AA", "A", fault="lose", kills=0).run().stale == []
    assert Model("A", "A", fault="lose", kills=1).run().stale != []


# --- The real scripts -------------------------------------------------------------


def calls() -> list[tuple[Call, Redis, Any]]:
    found: dict[Call, tuple[Redis, Any]] = {}
    for writers, readers, fault, kills in (
        ("AB", "A", "", 1),
        ("AA", "A", "lose", 0),
        ("AA", "A", "revert", 0),
    ):
        found |= Model(writers, readers, fault=fault, kills=kills).run().calls
    return [(call, redis, reply) for call, (redis, reply) in found.items()]


def word(number: int) -> str:
    return f"word-{number}"


def progress(rows: tuple[int, ...]) -> SubjectProgress:
    return SubjectProgress(bytes(rows), b"", len(rows))


def write(client, redis: Redis) -> None:
    """Make the keys of the player those of ``redis``."""
    client.flushdb()
    wallet = keys.wallet(PLAYER)
    match redis.wallet:
        case Placeholder(token):
            client.hset(wallet, "reader", word(token))
            client.pexpire(wallet, records.PLACEHOLDER_MS)
        case Wallet(seq, claim, life, inc):
            fields = {"seq": seq, "claim": claim, "inc": word(inc), "total_xp": seq}
            client.hset(
                wallet,
                mapping=fields
                | {"current_streak": 0, "last_success_date": "", "last_played_at": ""}
                | {"freezes": 0, "frozen_days": ""},
            )
            client.pexpire(wallet, LIVES[life][1])
    for name, rows, inc in redis.subjects:
        values = [bytes(rows), b"", len(rows), b"", word(inc)]
        for key, value in zip(keys.subject(PLAYER, name), values, strict=True):
            client.set(key, value)


def read(client) -> Redis:
    """The player's keys as the model has them."""
    wallet = keys.wallet(PLAYER)
    held = {name.decode(): value for name, value in client.hgetall(wallet).items()}
    found: Wallet | Placeholder | None = None
    if "reader" in held:
        assert set(held) == {"reader"}
        assert 0 < client.pttl(wallet) <= records.PLACEHOLDER_MS
        found = Placeholder(number(held["reader"]))
    elif held:
        ms = client.pttl(wallet)
        (life,) = [name for name, (low, high) in LIVES.items() if low < ms <= high]
        assert held["total_xp"] == held["seq"]
        found = Wallet(int(held["seq"]), int(held["claim"]), life, number(held["inc"]))
    subjects = set()
    for name in "AB":
        values = client.mget(keys.subject(PLAYER, name))
        if None not in values:
            rows = tuple(values[0])
            assert int(values[2]) == len(rows)
            subjects.add((name, rows, number(values[4])))
    return Redis(found, frozenset(subjects))


def number(text: bytes) -> int:
    return int(text.decode().removeprefix("word-"))


def run(call: Call, monkeypatch) -> Any:
    """Call the real script, and return its reply as the model has it."""

    def words(*numbers: int) -> None:
        left = [word(one) for one in numbers]
        named = SimpleNamespace(token_hex=lambda _bytes: left.pop(0))
        monkeypatch.setattr(records, "secrets", named)

    match call.script, call.arguments:
        case "begin", (name,):
            words(0)
            wanted = Wanted(wallet=True, subject_ids=(name,), begin=True)
            return found_reply(records.look(PLAYER, wanted))
        case "look", (name, token):
            words(token)
            wanted = Wanted(wallet=True, subject_ids=(name,))
            return found_reply(records.look(PLAYER, wanted))
        case "load", (name, inc, seq, rows):
            return records.load(
                PLAYER,
                inc=word(inc).encode(),
                seq=seq,
                subjects={name: progress(rows)},
            )
        case "create", (name, new, seq, rows):
            words(new)
            inc = records.create(
                PLAYER,
                wallet=WalletState(seq=seq, total_xp=seq),
                subjects={name: progress(rows)},
            )
            return inc is not None
        case "put", (name, inc, seq, rows):
            return records.put(
                PLAYER,
                inc=word(inc).encode(),
                first=seq,
                wallet=WalletState(seq=seq, total_xp=seq),
                subjects={name: progress(rows)},
            )
        case "fill", (name, token, inc, new, seq, rows):
            words(new)
            return records.fill(
                Found(
                    PLAYER,
                    Wanted(wallet=True, subject_ids=(name,)),
                    inc=word(inc).encode() if inc else b"",
                    token=word(token),
                ),
                wallet=WalletState(seq=seq, total_xp=seq),
                subjects={name: progress(rows)},
            )
    raise AssertionError(call)


def found_reply(found: Found) -> Any:
    if found.wallet is None:
        return None
    rows = [tuple(subject.bitmap) for subject in found.subjects.values()]
    return found.wallet.seq, number(found.inc), rows[0] if rows else None


def test_every_call_of_the_model_does_the_same_in_redis(redis_client, monkeypatch):
    everything = calls()
    assert {call.script for call, _redis, _reply in everything} == {
        *("begin", "load", "create", "put", "look", "fill")
    }
    for call, after, reply in everything:
        write(redis_client, call.redis)
        assert run(call, monkeypatch) == reply, call
        assert read(redis_client) == after, call
