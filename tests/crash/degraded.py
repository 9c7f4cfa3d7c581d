"""What the students' API answers, and how fast, while services are away.

``make degraded`` prints the table of docs/architecture.md, "When a service is away", from
a running site (`tests.crash.site`): Granian with one worker of eight threads, Redis with
an append-only file, MariaDB. Every endpoint meets every fault with open connections: a
crowd larger than the number of threads asks at once, then one more request follows. The
time is that of the slowest answer.

The last line is JSON; the exit status is 1 after an unexpected status, or an answer that
took longer than `LIMIT_SECONDS`. Without MariaDB's server, or without the right to mount,
the faults that need it are left out.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.crash.apps import Student
from tests.crash.players import World, items_of, make_world, sign_in
from tests.crash.site import Site, running

LIMIT_SECONDS = 10.0
"""Generous: a busy machine adds its own time to that of `core.time_budget`."""
_CROWD = 12
_WARM_UP = 24
_TIMEOUT_SECONDS = 30.0
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A request of a student; a body makes it a POST.

    Attributes:
        is_alone: whether it changes the session, so that a crowd would refuse itself.
    """

    name: str
    path: str
    body: Any = None
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What is away, and how: ``strike`` causes it until its context ends.

    Attributes:
        away: the parts that do not answer: "redis", "database".
        is_lasting: whether it is struck once for all endpoints. A server that hangs is
            met anew by each endpoint, with open connections.
    """

    name: str
    strike: Callable[[Site], contextlib.AbstractContextManager[None]]
    away: frozenset[str] = frozenset()
    is_lasting: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; ``is_counted`` tells whether Redis has counted the request."""

    status: int
    seconds: float
    is_counted: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """The answers of an endpoint during a fault."""

    endpoint: str
    fault: str
    statuses: tuple[int, ...]
    seconds: float

    def __str__(self) -> str:
        return f"{'/'.join(map(str, self.statuses))}, {self.seconds:.1f} s"


def main(arguments: list[str] | None = None) -> int:
    """Measure and print the table; return 1 after a violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", help="faults whose name has one of these, comma-separated"
    )
    parser.add_argument(
        "--quick", action="store_true", help="each fault once, without a crowd"
    )
    options = parser.parse_args(arguments)
    words = options.only.split(",")
    cells: list[Cell] = []
    with running(workers=1) as site:
        site.set_up_django()
        world = make_world(site, students=2)
        endpoints = _endpoints(world)
        site.start_web()
        faults = [
            fault
            for fault in FAULTS
            if any(word in fault.name for word in words)
            and (site.database is not None or "database" not in fault.away)
            and (fault.strike is not _read_only or _can_make_read_only(site))
        ]
        for fault in faults:
            cells += _measure(world, fault, endpoints, is_quick=options.quick)
            _say(f"{fault.name}: done")
    _say(f"\n{_table(cells, endpoints, faults)}\n")
    problems = _problems(cells, faults)
    for problem in problems:
        _say(f"VIOLATION {problem}")
    summary = {
        "crash": "degraded",
        "faults": len(faults),
        "endpoints": len(endpoints),
        "slowest_seconds": round(max((cell.seconds for cell in cells), default=0), 2),
        "violations": len(problems),
    }
    _say(json.dumps(summary))
    return 1 if problems else 0


# --- Endpoints ------------------------------------------------------------------

_NEEDS_REDIS = frozenset({"sign in", "sign out"})
"""Nobody may be signed in or out while Redis might show the session of before."""
_NEEDS_NO_DATABASE = frozenset({"session", "device", "wallet", "progress"})
"""What Redis and the published files answer alone."""


def _endpoints(world: World) -> Sequence[Endpoint]:
    player, leaver = world.students
    subject_id, lessons = next(iter(world.school.lessons.items()))
    lesson_id = lessons[0]
    rating = {
        "item_id": items_of(lesson_id)[0],
        "lesson_id": lesson_id,
        "rating": 3,
    }
    credentials = {"email": leaver.email, "password": leaver.password}
    assert player.token != leaver.token
    return (
        Endpoint("sign out", "auth/logout/", {}, is_alone=True),
        Endpoint("sign in", "auth/login/", credentials, is_alone=True),
        Endpoint("session", "auth/session/"),
        Endpoint("device", "devices/check/"),
        Endpoint("profile", "me/"),
        Endpoint("wallet", "wallet/"),
        Endpoint("content", "content/"),
        Endpoint("link to a lesson", f"content/lessons/{lesson_id}/"),
        Endpoint("progress", f"progress/{subject_id}/"),
        Endpoint("complete a lesson", f"lessons/{lesson_id}/complete/", {"hearts": 3}),
        Endpoint("reviews", "reviews/"),
        Endpoint("due reviews", "reviews/due/"),
        Endpoint("rate reviews", "reviews/", {"reviews": [rating]}),
    )


def _expected(endpoint: str, fault: Fault) -> int:
    if "redis" in fault.away and endpoint in _NEEDS_REDIS:
        return 503
    if "database" not in fault.away:
        return 200
    is_from_redis = endpoint in _NEEDS_NO_DATABASE and "redis" not in fault.away
    return 200 if is_from_redis else 503


def _ask(site: Site, student: Student, endpoint: Endpoint) -> Answer:
    headers = {"X-Device-ID": student.device_id, "Idempotency-Key": str(uuid4())}
    if endpoint.name != "sign in":
        headers["Authorization"] = f"Bearer {student.token}"
    data = None
    if endpoint.body is not None:
        data = json.dumps(endpoint.body).encode()
        headers["Content-Type"] = "application/json"
    started = time.monotonic()
    connection = HTTPConnection("127.0.0.1", site.port, timeout=_TIMEOUT_SECONDS)
    try:
        method = "GET" if data is None else "POST"
        connection.request(method, f"/api/v1/{endpoint.path}", data, headers)
        answer = connection.getresponse()
        answer.read()
        return Answer(
            status=answer.status,
            seconds=time.monotonic() - started,
            is_counted=answer.getheader("X-RateLimit-Limit") is not None,
        )
    finally:
        connection.close()


# --- Faults ---------------------------------------------------------------------


@contextlib.contextmanager
def _redis_gone(site: Site) -> Iterator[None]:
    site.redis.kill()
    try:
        yield
    finally:
        site.redis.start()


@contextlib.contextmanager
def _redis_hangs(site: Site) -> Iterator[None]:
    site.redis.pause()
    try:
        yield
    finally:
        site.redis.resume()


@contextlib.contextmanager
def _database_gone(site: Site) -> Iterator[None]:
    assert site.database is not None
    site.database.kill()
    try:
        yield
    finally:
        site.database.start()


@contextlib.contextmanager
def _database_hangs(site: Site) -> Iterator[None]:
    assert site.database is not None
    site.database.pause()
    try:
        yield
    finally:
        site.database.resume()


@contextlib.contextmanager
def _both_gone(site: Site) -> Iterator[None]:
    with _redis_gone(site), _database_gone(site):
        yield


@contextlib.contextmanager
def _both_hang(site: Site) -> Iterator[None]:
    with _redis_hangs(site), _database_hangs(site):
        yield


@contextlib.contextmanager
def _read_only(site: Site) -> Iterator[None]:
    """Make published files, uploads and state read-only."""
    mounted: list[Path] = []
    try:
        for name in ("content", "state"):
            folder = site.folder / name
            _run("mount", "--bind", folder, folder)
            mounted.append(folder)
            _run("mount", "-o", "remount,ro,bind", folder)
        yield
    finally:
        for folder in mounted:
            _run("umount", "--lazy", folder)


def _can_make_read_only(site: Site) -> bool:
    if site.database is None:  # SQLite's file is in the state folder
        return False
    try:
        with _read_only(site):
            pass
    except (OSError, subprocess.CalledProcessError):
        _say("No right to mount: without the read-only disk")
        return False
    return True


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


_REDIS, _DATABASE = frozenset({"redis"}), frozenset({"database"})
FAULTS = (
    Fault("Redis gone", _redis_gone, _REDIS),
    Fault("Redis hangs", _redis_hangs, _REDIS, is_lasting=False),
    Fault("database gone", _database_gone, _DATABASE),
    Fault("database hangs", _database_hangs, _DATABASE, is_lasting=False),
    Fault("both gone", _both_gone, _REDIS | _DATABASE),
    Fault("both hang", _both_hang, _REDIS | _DATABASE, is_lasting=False),
    Fault("disk read-only", _read_only),
)


# --- Measuring ------------------------------------------------------------------


def _measure(
    world: World, fault: Fault, endpoints: Sequence[Endpoint], *, is_quick: bool
) -> Sequence[Cell]:
    crowd = 2 if is_quick else _CROWD
    if not fault.is_lasting and not is_quick:
        cells = []
        for endpoint in endpoints:
            _warm_up(world)
            with fault.strike(world.site):
                cells.append(_cell(world, fault, endpoint, crowd))
        return cells
    _warm_up(world)
    with fault.strike(world.site):
        return [_cell(world, fault, endpoint, crowd) for endpoint in endpoints]


def _warm_up(world: World) -> None:
    """Repair what the last fault left, and open the connections of all threads."""
    from django.db import connections

    from core import redis_client

    redis_client.end_pause()
    connections.close_all()  # the server may have been another one
    player, leaver = world.students
    deadline = time.monotonic() + _PATIENCE_SECONDS
    asked = (
        Endpoint("profile", "me/"),
        Endpoint("wallet", "wallet/"),
        Endpoint("reviews", "reviews/"),
        Endpoint("progress", f"progress/{next(iter(world.school.lessons))}/"),
    )
    while not all(
        answer.status == 200 and answer.is_counted
        for endpoint in asked
        for answer in _crowd(world.site, player, endpoint, _WARM_UP)
    ):
        assert time.monotonic() < deadline, world.site.log("web")[-5000:]
        time.sleep(0.2)
    sign_in(leaver)
    signed_in = _ask(world.site, leaver, Endpoint("session", "auth/session/"))
    assert signed_in.status == 200


def _cell(world: World, fault: Fault, endpoint: Endpoint, crowd: int) -> Cell:
    player, leaver = world.students
    student = leaver if endpoint.is_alone else player
    answers = _crowd(world.site, student, endpoint, 1 if endpoint.is_alone else crowd)
    if not endpoint.is_alone:
        answers += [_ask(world.site, student, endpoint)]
    return Cell(
        endpoint=endpoint.name,
        fault=fault.name,
        statuses=tuple(sorted({answer.status for answer in answers})),
        seconds=max(answer.seconds for answer in answers),
    )


def _crowd(site: Site, student: Student, endpoint: Endpoint, size: int) -> list[Answer]:
    with ThreadPoolExecutor(size) as threads:
        asked = [threads.submit(_ask, site, student, endpoint) for _ in range(size)]
        return [one.result() for one in asked]


# --- The result -----------------------------------------------------------------


def _table(
    cells: Sequence[Cell], endpoints: Sequence[Endpoint], faults: Sequence[Fault]
) -> str:
    found = {(cell.endpoint, cell.fault): str(cell) for cell in cells}
    lines = [
        ["", *(fault.name for fault in faults)],
        ["---"] * (len(faults) + 1),
        *(
            [endpoint.name, *(found[endpoint.name, fault.name] for fault in faults)]
            for endpoint in endpoints
        ),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _problems(cells: Sequence[Cell], faults: Sequence[Fault]) -> list[str]:
    fault_of = {fault.name: fault for fault in faults}
    problems = []
    for cell in cells:
        expected = _expected(cell.endpoint, fault_of[cell.fault])
        if cell.statuses != (expected,) or cell.seconds > LIMIT_SECONDS:
            problems.append(f"{cell.endpoint}, {cell.fault}: {cell}, not {expected}")
    return problems


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
