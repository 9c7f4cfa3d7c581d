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
import io
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import uuid4

from PIL import Image

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
    """A request of a student.

    Attributes:
        body: JSON, or the bytes of a picture; a function makes it at each request.
        method: "" for a GET, or a POST if there is a body.
        status: the one of success.
        is_alone: whether it changes the session, the password or the plan, so that a
            crowd would refuse itself.
    """

    name: str
    path: str
    body: Any = None
    method: str = ""
    status: int = 200
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
        world = make_world(site, students=3)
        _prepare(world)
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
    problems = _problems(cells, endpoints, faults)
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

_NEEDS_REDIS = frozenset(
    {
        *("sign in", "sign out", "switch the plan", "new password with a code"),
        "link for a new password",
    }
)
"""Redis might show the session or the plan of before; a task sends the e-mail."""
_NEEDS_NO_DATABASE = frozenset({"session", "device", "wallet", "progress", "products"})
"""What Redis and the published files answer alone."""


def _endpoints(world: World) -> Sequence[Endpoint]:
    player, leaver, forgetful = world.students
    subject_id, lessons = next(iter(world.school.lessons.items()))
    lesson_id = lessons[0]
    rating = {
        "item_id": items_of(lesson_id)[0],
        "lesson_id": lesson_id,
        "rating": 3,
    }
    credentials = {"email": leaver.email, "password": leaver.password}
    passwords = {
        "current_password": leaver.password,
        "new_password": leaver.password,
    }
    with_code = {"email": forgetful.email, "new_password": forgetful.password}
    device = f"me/devices/{_device_of(player)}/"
    assert player.token != leaver.token
    return (
        Endpoint(
            *("switch the plan", "me/plan/", {"plan_id": _OTHER_PLAN}, "PUT"),
            is_alone=True,
        ),
        Endpoint(
            *("change the password", "me/password/", passwords),
            status=204,
            is_alone=True,
        ),
        Endpoint("sign out", "auth/logout/", {}, is_alone=True),
        Endpoint("sign in", "auth/login/", credentials, is_alone=True),
        Endpoint(
            "new password with a code",
            "auth/password-reset/confirm/",
            lambda: {**with_code, "code": _codes[-1]},
            status=204,
            is_alone=True,
        ),
        Endpoint(
            *("link for a new password", "auth/password-reset/"),
            {"email": forgetful.email},
            status=202,
        ),
        Endpoint("start", "start/"),
        Endpoint("session", "auth/session/"),
        Endpoint("device", "devices/check/"),
        Endpoint("profile", "me/"),
        Endpoint("change the profile", "me/", {"name": "Lina"}, "PATCH"),
        Endpoint("set the photo", "me/photo/", _picture(), "PUT"),
        Endpoint("remove the photo", "me/photo/", method="DELETE", status=204),
        Endpoint("plans", "me/plans/"),
        Endpoint("products", "me/entitlements/"),
        Endpoint("devices", "me/devices/"),
        Endpoint("rename a device", device, {"name": "Phone"}, "PATCH"),
        Endpoint("wallet", "wallet/"),
        Endpoint("content", "content/"),
        Endpoint("link to a lesson", f"content/lessons/{lesson_id}/"),
        Endpoint("links of a subject", f"content/nodes/{subject_id}/lessons/"),
        Endpoint("progress", f"progress/{subject_id}/"),
        Endpoint("complete a lesson", f"lessons/{lesson_id}/complete/", {"hearts": 3}),
        Endpoint("send queued work", "sync/events/", lambda: _events(lesson_id)),
        Endpoint("reviews", "reviews/"),
        Endpoint("due reviews", "reviews/due/"),
        Endpoint("rate reviews", "reviews/", {"reviews": [rating]}),
    )


_OTHER_PLAN = "PLAN-B"
_codes: list[str] = []
"""Codes for a new password of the forgetful student; the last one is valid."""


_numbers = itertools.count(1)
"""The numbers of the device's queued events."""


def _prepare(world: World) -> None:
    """Enrol the student who leaves in a second plan."""
    from plans.models import AcademicPlan
    from players.models import Enrollment

    plan = AcademicPlan.objects.create(public_id=_OTHER_PLAN, title="Grade 6")
    Enrollment.objects.create(player_id=world.students[1].player_id, plan=plan)


def _repair(world: World) -> None:
    """Undo what requests changed: sign in, set the first plan, make a new code."""
    from players.models import PlayerProfile, User
    from players.services import enrolled_plans, password_resets

    _player, leaver, forgetful = world.students
    sign_in(leaver)
    enrolled_plans.activate(player_id=leaver.player_id, plan_id="PLAN-A")
    actor, _made = User.objects.get_or_create(
        email="support@school.example", defaults={"is_superuser": True}
    )
    profile = PlayerProfile.objects.get(pk=forgetful.player_id)
    _codes.append(password_resets.issue_code(profile, actor))


def _device_of(student: Student) -> int:
    from players.models import Device

    return Device.objects.get(player_id=student.player_id).pk


def _events(lesson_id: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    event = {
        "id": str(uuid4()),
        "seq": next(_numbers),
        "kind": "lesson_completed",
        "lesson_id": lesson_id,
        "hearts": 3,
        "occurred_at": now,
    }
    return {"device_time": now, "events": [event]}


def _picture() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (64, 64), "green").save(data, "PNG")
    return data.getvalue()


def _expected(endpoint: Endpoint, fault: Fault) -> int:
    name = endpoint.name
    if "redis" in fault.away and name in _NEEDS_REDIS:
        return 503
    if fault.strike is _read_only and name == "set the photo":
        return 503
    if "database" not in fault.away:
        return endpoint.status
    is_from_redis = name in _NEEDS_NO_DATABASE and "redis" not in fault.away
    return endpoint.status if is_from_redis else 503


def _ask(site: Site, student: Student, endpoint: Endpoint) -> Answer:
    headers = {"X-Device-ID": student.device_id, "Idempotency-Key": str(uuid4())}
    if not endpoint.path.startswith(("auth/login", "auth/password-reset")):
        headers["Authorization"] = f"Bearer {student.token}"
    body = endpoint.body() if callable(endpoint.body) else endpoint.body
    data = None
    if isinstance(body, bytes):
        data, headers["Content-Type"] = body, "image/png"
    elif body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    started = time.monotonic()
    connection = HTTPConnection("127.0.0.1", site.port, timeout=_TIMEOUT_SECONDS)
    try:
        method = endpoint.method or ("GET" if data is None else "POST")
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
    from players import keys

    redis_client.end_pause()
    connections.close_all()  # the server may have been another one
    player, leaver, _forgetful = world.students
    deadline = time.monotonic() + _PATIENCE_SECONDS
    # A completion that failed has left a wallet that lives ten seconds. The next request
    # stores one that lives longer than the fault lasts.
    redis_client.client().delete(keys.wallet(player.player_id))
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
    _repair(world)
    signed_in = _ask(world.site, leaver, Endpoint("session", "auth/session/"))
    assert signed_in.status == 200


def _cell(world: World, fault: Fault, endpoint: Endpoint, crowd: int) -> Cell:
    player, leaver, _forgetful = world.students
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


def _problems(
    cells: Sequence[Cell], endpoints: Sequence[Endpoint], faults: Sequence[Fault]
) -> list[str]:
    fault_of = {fault.name: fault for fault in faults}
    endpoint_of = {endpoint.name: endpoint for endpoint in endpoints}
    problems = []
    for cell in cells:
        expected = _expected(endpoint_of[cell.endpoint], fault_of[cell.fault])
        if cell.statuses != (expected,) or cell.seconds > LIMIT_SECONDS:
            problems.append(f"{cell.endpoint}, {cell.fault}: {cell}, not {expected}")
    return problems


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
