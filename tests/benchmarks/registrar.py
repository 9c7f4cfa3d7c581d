"""The registrar: accepting webhooks, reaching Moodle, and reading a whole school.

``python -m tests.benchmarks.registrar [--students 5000] [--rounds 3] [--seconds 4]
[--only NAME …]`` (``make bench-registrar``). Database, Redis and Granian as in
`tests.benchmarks.api_load`, a Celery worker of four threads, and the simulators of Zoho
CRM and Moodle in this process:

- **webhook**: deliveries, each with a body of its own, stored before their 200; **f0**,
  **f2**: the floors of `api_load`: a view that does nothing, and one committed INSERT.
  Over two connections, as Zoho sends them, and over eight, which keep the server busy:
  then a delivery waits for the others. No worker runs meanwhile;
- **sync**: `reconcile_registrar` reads the school into an empty mirror, and once more,
  when nothing has changed. Its floor reads the same pages and parses them, nothing else;
- **push**: the worker makes an account in Moodle for each student and writes its id to
  Zoho. Its floor makes as many calls, one after another on one connection;
- **hook**: seconds from a change in Zoho until Moodle has it, one change at a time,
  against three calls of that floor.

Read the ratios: seconds depend on what else the machine does, and on simulators that
answer at once. The last line is JSON.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

from memora_site import embedded_redis
from tests.benchmarks import api_load
from tests.benchmarks.api_load import Ask, Bench, Measure, Reach
from tests.registrar.simulators import moodle as moodles, zoho as zohos
from tests.registrar.simulators.moodle import MoodleSimulator
from tests.registrar.simulators.school import School, fill
from tests.registrar.simulators.server import Request
from tests.registrar.simulators.zoho import Webhook, ZohoSimulator

PARTS = ("webhook", "sync", "push", "hook")
HEADERS = (("X-Registrar-Key", "k" * 32), ("Content-Type", "application/json"))
HOOK_PATH = "/api/v1/webhooks/student-dashboard/student_updated"
CONNECTIONS = {"few": 2, "busy": 8}
DELIVERIES = 20_000
"""Bodies of one round: more than are sent, so that none is sent twice."""
HOOKS = 20
CALLS_OF_A_HOOK = 3
"""Read the record at Zoho, look up the account and update it in Moodle."""
MAX_P99_MS = 50.0
MAX_HOOK_SECONDS = 5.0
PATIENCE = 3600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    # As deploy/systemd/memora-web.service.
    api_load.add_server_options(parser, workers=2, threads=8)
    options = parser.parse_args()
    with ZohoSimulator() as zoho, MoodleSimulator() as moodle:
        zoho.max_refreshes = 1_000_000
        settings = environment(zoho, moodle)
        os.environ.update(settings)
        with api_load.running() as bench:
            bench.environment |= settings
            figures = {
                "bench": "registrar",
                "database": bench.database,
                "students": options.students,
                "load_average": os.getloadavg()[0],
            }
            figures |= measure(bench, zoho, moodle, options)
    figures |= api_load.print_reaches(reaches_of(figures))
    print(json.dumps(figures))


def environment(zoho: ZohoSimulator, moodle: MoodleSimulator) -> dict[str, str]:
    hosts = ",".join(urlsplit(peer.url).netloc for peer in (zoho, moodle))
    return {
        "MEMORA_REGISTRAR_HEADER_KEYS": HEADERS[0][1],
        "MEMORA_SECRETS_KEYS": Fernet.generate_key().decode(),
        "MEMORA_PRIVATE_HOSTS": hosts,
        "MEMORA_ZOHO_CLIENT_ID": zohos.CLIENT_ID,
        "MEMORA_ZOHO_CLIENT_SECRET": zohos.CLIENT_SECRET,
        "MEMORA_ZOHO_REFRESH_TOKEN": zohos.REFRESH_TOKEN,
        "MEMORA_ZOHO_ACCOUNTS_URL": zoho.url,
        "MEMORA_MOODLE_URL": moodle.url,
        "MEMORA_MOODLE_TOKEN": moodles.TOKEN,
    }


def measure(
    bench: Bench,
    zoho: ZohoSimulator,
    moodle: MoodleSimulator,
    options: argparse.Namespace,
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    if "webhook" in options.only:
        figures["webhook"] = webhooks(bench, options)
    school = fill(zoho.store, students=options.students)
    if {"sync", "push", "hook"} & {*options.only}:
        figures["sync"] = sync(bench, zoho)
    if {"push", "hook"} & {*options.only}:
        with working(bench):
            figures["push"] = push(zoho, moodle)
            if "hook" in options.only:
                figures["hook"] = hooks(bench, zoho, moodle, school, options)
    return figures


# --- Webhooks -------------------------------------------------------------------------


def webhooks(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """Load the floors and the inbox in turn; empty the inbox and the broker after it."""
    from core.redis_client import client
    from registrar.models import Delivery, Hint

    size = {"workers": options.workers, "threads": options.threads}
    floor = bench.serve("tests.benchmarks.floor.wsgi:application", **size)
    site = bench.serve("tests.benchmarks.site.wsgi:application", **size)
    f0, _f1, f2 = api_load.floors(floor)
    figures: dict[str, Any] = {}
    for at, (name, connections) in enumerate(CONNECTIONS.items()):
        first = at * (options.rounds + 1)
        rounds = [deliveries(first + number) for number in range(options.rounds + 1)]
        found = api_load.interleaved(
            bench,
            [f0, f2, Measure("webhook", site, rounds)],
            rounds=options.rounds,
            seconds=options.seconds,
            connections=connections,
        )
        print(f"  {name}: {connections} connections")
        for measured, row in found.items():
            print(api_load.row(measured, row))
        of_f2 = found["webhook"]["cpu_us"] / found["f2"]["cpu_us"]
        figures[name] = found | {"over_f2": round(of_f2, 2)}
    stored, once = Delivery.objects.count(), Delivery.objects.filter(times=1).count()
    assert stored == once == Hint.objects.count(), (stored, once)
    Delivery.objects.all().delete()
    client().flushdb()
    bench.stop()
    return figures | {"stored": stored}


def deliveries(number: int) -> list[Ask]:
    """The webhooks of one round: of records and times that no other one has."""
    modified = datetime(2026, 1, 1, 0, number, tzinfo=UTC).isoformat()
    first = 5_000_000_000_000_000_000 + number * DELIVERIES
    return [
        Ask(
            HOOK_PATH + "/",
            "POST",
            HEADERS,
            json.dumps({"id": str(first + at), "Modified_Time": modified}),
        )
        for at in range(DELIVERIES)
    ]


# --- A whole school -------------------------------------------------------------------


def sync(bench: Bench, zoho: ZohoSimulator) -> dict[str, Any]:
    """Read the school into the mirror with the command that staff use, and again."""
    before = len(zoho.requests)
    seconds, read = reconcile(bench)
    sent = zoho.requests[before:]
    again, _read = reconcile(bench)
    floor = timed(lambda: repeat(zoho.url, sent))
    figures = {
        "records": read,
        "calls": len(sent),
        "seconds": round(seconds, 2),
        "records_per_second": round(read / seconds),
        "seconds_without_a_change": round(again, 2),
        "floor_seconds": round(floor, 2),
        "over_floor": round(seconds / floor, 1),
    }
    print(f"  sync: {figures}")
    return figures


def reconcile(bench: Bench) -> tuple[float, int]:
    """Run the command; return its seconds and how many records it read."""
    started = time.perf_counter()
    done = subprocess.run(
        [
            *(sys.executable, "manage.py", "reconcile_registrar", "--apply", "--json"),
            "--skip-checks",
        ],
        cwd=api_load.BASE,
        env=bench.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    assert done.returncode == 0, done.stderr[-5000:]
    return seconds, sum(one["read"] for one in json.loads(done.stdout)["modules"])


def push(zoho: ZohoSimulator, moodle: MoodleSimulator) -> dict[str, Any]:
    """Let the worker bring the mirror to Moodle, as often as beat would ask it to."""
    from registrar import tasks
    from registrar.models import Student

    at_moodle, at_zoho = len(moodle.requests), len(zoho.requests)
    accounts = Student.objects.filter(deleted_at=None)
    behind = accounts.exclude(crm_moodle_id__gt="")
    started = time.perf_counter()
    while time.perf_counter() - started < PATIENCE and behind.exists():
        for _thread in range(4):
            tasks.send_effects.delay()
        wait_for(lambda: _queued() == 0 or not behind.exists(), seconds=PATIENCE)
    seconds = time.perf_counter() - started
    count = accounts.count()
    calls = len(moodle.requests) - at_moodle + len(zoho.requests) - at_zoho
    call = call_seconds(moodle)
    figures = {
        "accounts": count,
        "users_in_moodle": len(moodle.users),
        "calls_to_moodle": len(moodle.requests) - at_moodle,
        "calls_to_zoho": len(zoho.requests) - at_zoho,
        "seconds": round(seconds, 1),
        "accounts_per_second": round(count / seconds, 1),
        "floor_seconds": round(calls * call, 1),
        "over_floor": round(seconds / (calls * call), 2),
    }
    print(f"  push: {figures}")
    return figures


def hooks(
    bench: Bench,
    zoho: ZohoSimulator,
    moodle: MoodleSimulator,
    school: School,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Change one student at a time in Zoho, which sends a webhook, and watch Moodle."""
    size = {"workers": options.workers, "threads": options.threads}
    site = bench.serve("tests.benchmarks.site.wsgi:application", **size)
    webhook = Webhook("BTEC_Students", f"http://127.0.0.1:{site.port}{HOOK_PATH}/")
    webhook.headers = lambda _body: dict(HEADERS)
    zoho.webhooks.append(webhook)
    users = {user["idnumber"]: user for user in moodle.users.values()}
    times = []
    for at, student in enumerate(school.students[:HOOKS]):
        city = f"City {at}"
        started = time.perf_counter()
        with zoho.lock:
            zoho.store.update("BTEC_Students", student, {"City": city})
        wait_for(lambda u=users[student], c=city: u["city"] == c, seconds=60)
        times.append(time.perf_counter() - started)
    floor = CALLS_OF_A_HOOK * call_seconds(moodle)
    figures = {
        "hooks": len(times),
        "p50_seconds": round(statistics.median(times), 3),
        "max_seconds": round(max(times), 3),
        "over_floor": round(statistics.median(times) / floor, 1),
    }
    print(f"  hook: {figures}")
    return figures


def _queued() -> int:
    from core.redis_client import client

    waiting: Any = client().llen("celery")
    unfinished: Any = client().hlen("unacked")
    return int(waiting) + int(unfinished)


# --- Floors and waiting ---------------------------------------------------------------


def repeat(url: str, requests: list[Request]) -> None:
    """Send the same reads once more and parse the answers."""
    connection = HTTPConnection(urlsplit(url).netloc)
    for one in requests:
        if one.method != "GET":
            continue
        query = "&".join(f"{name}={value}" for name, value in one.query.items())
        connection.request(
            "GET",
            f"{one.path}?{query}".replace(" ", "%20").replace("+", "%2B"),
            headers={"Authorization": one.headers["Authorization"]},
        )
        body = connection.getresponse().read()
        json.loads(body) if body else None
    connection.close()


def call_seconds(moodle: MoodleSimulator) -> float:
    """Seconds of one call to Moodle's simulator: the look-up of an account."""
    connection = HTTPConnection(urlsplit(moodle.url).netloc)
    form = (
        f"wstoken={moodles.TOKEN}&wsfunction=core_user_get_users_by_field"
        "&moodlewsrestformat=json&field=idnumber&values[0]=5000000000000001"
    )
    kind = {"Content-Type": "application/x-www-form-urlencoded"}

    def call() -> None:
        connection.request("POST", "/webservice/rest/server.php", form, kind)
        connection.getresponse().read()

    found = statistics.median(timed(call) for _ in range(200))
    connection.close()
    return found


def timed(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def wait_for(test: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)


@contextlib.contextmanager
def working(bench: Bench) -> Iterator[None]:
    """Run a worker of four threads; what it logs is in the bench's folder."""
    celery = ["celery", "--app", "memora_site", "worker", "--pool", "threads"]
    celery += ["--concurrency", "4", "--without-mingle", "--without-gossip"]
    with (bench.folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *celery, "--prefetch-multiplier", "1"],
            cwd=api_load.BASE,
            env=bench.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=embedded_redis.end_with_parent,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def reaches_of(figures: dict[str, Any]) -> list[Reach]:
    reaches = []
    if "webhook" in figures:
        found = figures["webhook"]
        p99 = found["few"]["webhook"]["p99_ms"]
        errors = sum(found[name]["webhook"]["errors"] for name in CONNECTIONS)
        reaches.append(
            Reach("a webhook stored, p99 in ms", p99, MAX_P99_MS, at_most=True)
        )
        reaches.append(Reach("errors", errors, 0, at_most=True))
    if "hook" in figures:
        slowest = figures["hook"]["max_seconds"]
        reaches.append(
            Reach("a hook in Moodle, s", slowest, MAX_HOOK_SECONDS, at_most=True)
        )
    return reaches


if __name__ == "__main__":
    main()
