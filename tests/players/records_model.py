"""An exhaustive model of the records in Redis (`players.records`), for one player.

Writers append one row each to the ledger, on a subject; readers read one subject. The
model visits every order of their steps. At any point a process may be killed and a
record may expire; once, Redis may lose its data or return to an older state.

It checks that a row which was acknowledged is in the ledger exactly once, that a row is
inserted only by a writer that knew all rows of its subject, and that no record that
lives long is older than the ledger at the end.

The functions of `Redis` do what the scripts do. ``test_records_model`` runs the model,
and compares each of their calls with the real script.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

Rows = tuple[int, ...]
"""The numbers of writers, in the order of their rows."""


class Wallet(NamedTuple):
    """A wallet record; ``life`` is "write", "filled" or "written"."""

    seq: int
    claim: int
    life: str
    inc: int


class Placeholder(NamedTuple):
    """What the reader with this token left."""

    token: int


class Redis(NamedTuple):
    """The keys of one player. ``subjects``: (subject, rows known, inc)."""

    wallet: Wallet | Placeholder | None = None
    subjects: frozenset[tuple[str, Rows, int]] = frozenset()

    def subject(self, name: str) -> Rows | None:
        """Return the subject's rows if its record counts."""
        if not isinstance(self.wallet, Wallet):
            return None
        for held, rows, inc in self.subjects:
            if (held, inc) == (name, self.wallet.inc):
                return rows
        return None

    def _storing(self, wallet: Wallet, name: str, rows: Rows) -> "Redis":
        others = frozenset(held for held in self.subjects if held[0] != name)
        return Redis(wallet, others | {(name, rows, wallet.inc)})

    def begin(self, name: str) -> tuple["Redis", Any]:
        """A writer reads: (seq, inc, rows or None), or None without a wallet."""
        held = self.wallet
        if not isinstance(held, Wallet):
            return self, None
        claim = max(held.claim, held.seq + 1)
        after = self._replace(wallet=held._replace(claim=claim, life="write"))
        return after, (held.seq, held.inc, self.subject(name))

    def load(self, name: str, inc: int, seq: int, rows: Rows) -> tuple["Redis", Any]:
        held = self.wallet
        if not isinstance(held, Wallet) or (held.seq, held.inc) != (seq, inc):
            return self, False
        wallet = held._replace(claim=max(held.claim, seq + 1), life="write")
        return self._storing(wallet, name, rows), True

    def create(self, name: str, new: int, seq: int, rows: Rows) -> tuple["Redis", Any]:
        held = self.wallet if isinstance(self.wallet, Wallet) else None
        if held is not None and held.seq > seq:
            return self, False
        claim = max(held.claim if held else 0, seq + 1)
        return self._storing(Wallet(seq, claim, "write", new), name, rows), True

    def put(self, name: str, inc: int, seq: int, rows: Rows) -> tuple["Redis", Any]:
        """Store the state after the row ``seq``."""
        held = self.wallet
        if not isinstance(held, Wallet):
            return self._replace(wallet=None), None
        if held.seq >= seq:
            return self, None
        if held.inc != inc or held.claim < seq or held.seq != seq - 1:
            return self._replace(wallet=None), None
        life = "written" if held.claim <= seq else "write"
        wallet = held._replace(seq=seq, life=life)
        return self._storing(wallet, name, rows), None

    def look(self, name: str, token: int) -> tuple["Redis", Any]:
        """A reader reads; without a wallet it leaves a placeholder."""
        held = self.wallet
        if isinstance(held, Wallet):
            return self, (held.seq, held.inc, self.subject(name))
        return self._replace(wallet=Placeholder(token)), None

    def fill(
        self, name: str, token: int, inc: int, new: int, seq: int, rows: Rows
    ) -> tuple["Redis", Any]:
        """A reader stores what it lacked; ``inc`` is 0 if it found no wallet."""
        held = self.wallet
        if not inc:
            if held != Placeholder(token):
                return self, False
            return self._storing(Wallet(seq, 0, "filled", new), name, rows), True
        if not isinstance(held, Wallet) or (held.seq, held.inc) != (seq, inc):
            return self, False
        if self.subject(name) is None:
            return self._storing(held, name, rows), True
        return self, True


class Process(NamedTuple):
    """A writer or a reader; ``seq``, ``inc`` and ``rows`` are what it knows."""

    step: str = "begin"
    seq: int = 0
    inc: int = 0
    rows: Rows = ()


class State(NamedTuple):
    """Everything at one moment."""

    ledger: Rows
    redis: Redis
    processes: tuple[Process, ...]
    kills: int
    faults: int
    words: int
    """The number of random words made so far."""


@dataclass(frozen=True)
class Call:
    """A call of a script: its name, the keys before it, and its arguments."""

    script: str
    redis: Redis
    arguments: tuple[Any, ...]


@dataclass
class Result:
    """What the model found."""

    states: int
    stale: list[State]
    calls: dict[Call, tuple[Redis, Any]]


class Model:
    """All orders of the steps of these processes.

    Args:
        writers: the subject of each writer, such as ``"AAB"``; ``readers`` likewise.
        fault: "", "lose" (Redis loses its data) or "revert" (it returns to an older
            state); at most once.
        kills: how many processes may be killed.
    """

    def __init__(
        self, writers: str, readers: str, *, fault: str = "", kills: int = 0
    ) -> None:
        self.subjects = writers + readers
        self.writers = len(writers)
        self.fault = fault
        self.kills = kills
        self.calls: dict[Call, tuple[Redis, Any]] = {}

    def run(self) -> Result:
        """Visit every state.

        Raises:
            AssertionError: a wrong decision; names the state.
        """
        processes = tuple(Process() for _subject in self.subjects)
        full = Redis(Wallet(0, 0, "written", 1), frozenset({("A", (), 1)}))
        stack = [
            State((), redis, processes, self.kills, 1, 1) for redis in (Redis(), full)
        ]
        seen: set[State] = set()
        stale = []
        while stack:
            state = stack.pop()
            if state in seen:
                continue
            seen.add(state)
            if all(found.step in ("done", "killed") for found in state.processes):
                self._check_end(state)
                if self._is_stale(state):
                    stale.append(state)
            stack.extend(self._after(state))
        return Result(len(seen), stale, self.calls)

    def _rows(self, ledger: Rows, subject: str) -> Rows:
        return tuple(row for row in ledger if self.subjects[row] == subject)

    def _check_end(self, state: State) -> None:
        for number, process in enumerate(state.processes[: self.writers]):
            count = state.ledger.count(number)
            assert count <= 1, state
            assert count == 1 or process.step == "killed", state

    def _is_stale(self, state: State) -> bool:
        wallet = state.redis.wallet
        if not isinstance(wallet, Wallet) or wallet.life == "write":
            return False
        return wallet.seq != len(state.ledger) or any(
            inc == wallet.inc and rows != self._rows(state.ledger, name)
            for name, rows, inc in state.redis.subjects
        )

    def _call(self, state: State, script: str, *arguments: Any) -> tuple[State, Any]:
        redis, reply = getattr(state.redis, script)(*arguments)
        self.calls[Call(script, state.redis, arguments)] = (redis, reply)
        return state._replace(redis=redis), reply

    def _after(self, state: State) -> Iterator[State]:
        for number, process in enumerate(state.processes):
            if process.step in ("done", "killed"):
                continue
            if state.kills:
                killed = _with(state, number, process._replace(step="killed"))
                yield killed._replace(kills=state.kills - 1)
            take = self._write if number < self.writers else self._read
            yield take(state, number, process)
        yield from self._without_processes(state)

    def _without_processes(self, state: State) -> Iterator[State]:
        """A life ends, or Redis fails.

        No life ends between the steps of a process: they end within the lives.
        """
        redis = state.redis
        under_way = any(
            found.step not in ("begin", "done", "killed") for found in state.processes
        )
        is_short = isinstance(redis.wallet, Placeholder) or (
            isinstance(redis.wallet, Wallet) and redis.wallet.life != "written"
        )
        if is_short and not under_way:
            yield state._replace(redis=redis._replace(wallet=None))
        if not state.faults or not isinstance(redis.wallet, Wallet):
            return
        if self.fault == "lose":
            yield state._replace(redis=Redis(), faults=0)
        if self.fault == "revert":
            for seq in range(redis.wallet.seq):
                older = state.ledger[:seq]
                subjects = frozenset(
                    (name, self._rows(older, name), inc)
                    for name, _rows, inc in redis.subjects
                )
                wallet = Wallet(seq, 0, "written", redis.wallet.inc)
                yield state._replace(redis=Redis(wallet, subjects), faults=0)

    def _write(self, state: State, number: int, process: Process) -> State:
        subject = self.subjects[number]
        head = len(state.ledger)
        rows = self._rows(state.ledger, subject)
        match process.step:
            case "begin":
                state, found = self._call(state, "begin", subject)
                if found is None:
                    return _with(state, number, Process("create", head, 0, rows))
                seq, inc, known = found
                step = "insert" if known is not None else "load"
                return _with(state, number, Process(step, seq, inc, known or ()))
            case "load":  # it has read the ledger
                if head != process.seq:
                    return _with(state, number, Process("create", head, 0, rows))
                loading = Process("loaded", head, process.inc, rows)
                return _with(state, number, loading)
            case "loaded":
                state, is_stored = self._call(
                    state, "load", subject, process.inc, process.seq, process.rows
                )
                step = "insert" if is_stored else "reread"
                return _with(state, number, process._replace(step=step))
            case "reread":
                return _with(state, number, Process("create", head, 0, rows))
            case "create":
                inc = state.words + 1
                state, is_stored = self._call(
                    state, "create", subject, inc, process.seq, process.rows
                )
                if not is_stored:
                    return _with(state, number, process._replace(step="reread"))
                state = state._replace(words=inc)
                created = process._replace(step="insert", inc=inc)
                return _with(state, number, created)
            case "insert":
                if process.seq != head:  # the position is taken
                    return _with(state, number, process._replace(step="reread"))
                assert process.rows == rows, ("decided on other rows", state)
                state = state._replace(ledger=(*state.ledger, number))
                known = (*process.rows, number)
                return _with(
                    state, number, Process("put", head + 1, process.inc, known)
                )
            case _:
                state, _reply = self._call(
                    state, "put", subject, process.inc, process.seq, process.rows
                )
                return _with(state, number, process._replace(step="done"))

    def _read(self, state: State, number: int, process: Process) -> State:
        subject = self.subjects[number]
        match process.step:
            case "begin":
                token = state.words + 1
                state, found = self._call(state, "look", subject, token)
                if found is None:
                    state = state._replace(words=token)
                    return _with(state, number, Process("read", token, 0))
                _seq, inc, known = found
                step = "done" if known is not None else "read"
                return _with(state, number, Process(step, 0, inc))
            case "read":
                rows = self._rows(state.ledger, subject)
                # The token and the head share a number: both are below a thousand.
                both = process.seq * 1000 + len(state.ledger)
                return _with(state, number, Process("fill", both, process.inc, rows))
            case _:
                token, seq = divmod(process.seq, 1000)
                new = state.words + 1
                state, _reply = self._call(
                    state, "fill", subject, token, process.inc, new, seq, process.rows
                )
                state = state._replace(words=new)
                return _with(state, number, process._replace(step="done"))


def _with(state: State, number: int, process: Process) -> State:
    processes = list(state.processes)
    processes[number] = process
    return state._replace(processes=tuple(processes))
