"""What the benchmarks of the students' API share: servers, load, floors, figures.

Everything runs in an own folder: MariaDB with durable commits and Redis with an
append-only file, Granian with one worker of four threads for the site, and another one
for the floors (`tests.benchmarks.floor`); ``--workers`` and ``--threads`` change both. Without MariaDB's server, SQLite is used and
the figures say so.
"""

import argparse
import contextlib
import json
import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from memora_site import embedded_redis
from tests.servers import PrivateMariaDB, PrivateRedis, free_port

BASE = Path(__file__).resolve().parents[2]
CONNECTIONS = 8
_PATIENCE = 60.0
_SCRIPT = r"""
local number, requests = 0, {}
init = function(_arguments)  -- wrk knows the Host header only now
    for line in io.lines("%(requests)s") do
        local method, path, headers, body =
            line:match("([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)")
        local fields = {}
        for name, value in headers:gmatch("([^:|]+): ([^|]*)") do fields[name] = value end
        if body == "" then body = nil end
        requests[#requests + 1] = wrk.format(method, path, fields, body)
    end
end
request = function()
    number = number %% #requests + 1
    return requests[number]
end
done = function(summary, latency, _)
    io.write(string.format(
        'FOUND {"requests": %%d, "us": %%d, "bytes": %%d, "p50": %%d, "p99": %%d, ' ..
        '"connect": %%d, "read": %%d, "write": %%d, "status": %%d, "timeout": %%d}\n',
        summary.requests, summary.duration, summary.bytes,
        latency:percentile(50), latency:percentile(99),
        summary.errors.connect, summary.errors.read, summary.errors.write,
        summary.errors.status, summary.errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as wrk sends it."""

    path: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""

    def line(self) -> str:
        fields = "|".join(f"{name}: {value}" for name, value in self.headers)
        return "\t".join((self.method, self.path, fields, self.body))


@dataclass
class Server:
    """A Granian and its port."""

    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        return cpu_seconds({self.process.pid})

    def ask(self, ask: Ask) -> tuple[int, dict[str, str], bytes]:
        """Send one request and return status, headers and body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(
                ask.method, ask.path, ask.body.encode() or None, dict(ask.headers)
            )
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, headers, answer.read()
        finally:
            connection.close()


@dataclass
class Bench:
    """The running servers."""

    folder: Path
    database: str
    environment: dict[str, str]
    mariadb: PrivateMariaDB | None
    redis: PrivateRedis
    servers: list[Server] = field(default_factory=list)

    def serve(self, application: str, *, workers: int = 1, threads: int = 4) -> Server:
        """Start Granian and wait until it listens."""
        port = free_port()
        with (self.folder / f"granian-{port}.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "memora_site.web_server", "--interface"),
                    *("wsgi", application, "--host", "127.0.0.1"),
                    *("--port", str(port), "--workers", str(workers)),
                    *("--blocking-threads", str(threads), "--backlog", "2048"),
                    *("--http", "1", "--no-ws", "--log-level", "warning"),
                ],
                cwd=BASE,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=embedded_redis.end_with_parent,
                start_new_session=True,
            )
        server = Server(port, process)
        self.servers.append(server)
        deadline = time.monotonic() + _PATIENCE
        while True:
            assert process.poll() is None, self.logs()
            with contextlib.suppress(OSError):
                server.ask(Ask("/"))
                return server
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.05)

    def logs(self) -> str:
        return "\n".join(
            path.read_text(errors="replace")[-5000:]
            for path in self.folder.glob("granian-*.log")
        )

    def stop(self) -> None:
        for server in self.servers:
            server.process.terminate()
        for server in self.servers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.process.pid, 9)
            server.process.wait()
        self.servers.clear()


def add_server_options(
    parser: argparse.ArgumentParser, *, workers: int = 1, threads: int = 4
) -> None:
    """Add the numbers of Granian's processes, and of the threads of each."""
    parser.add_argument("--workers", type=int, default=workers)
    parser.add_argument("--threads", type=int, default=threads)


@contextlib.contextmanager
def running() -> Iterator[Bench]:
    """Start database and Redis, migrate, and set up Django in this process."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed; on Debian: apt-get install wrk")
    folder = Path(tempfile.mkdtemp(prefix="memora-bench-"))
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        for name in ("content", "state"):
            (folder / name).mkdir()
        redis = PrivateRedis(folder, durable=True)
        cleanup.callback(redis.kill)
        mariadb = None
        if PrivateMariaDB.is_installed():
            mariadb = PrivateMariaDB(folder)
            cleanup.callback(mariadb.kill)
        database_url = (
            mariadb.url if mariadb else f"sqlite:///{folder}/state/db.sqlite3"
        )
        environment = {
            "MEMORA_ENVIRONMENT": "production",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "ALLOWED_HOSTS": "127.0.0.1",
            "MEMORA_SITE_URL": "http://127.0.0.1",
            "SECURE_SSL_REDIRECT": "false",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis.url,
            "EMAIL_URL": "dummymail://",
            "MEMORA_STATE_DIR": str(folder / "state"),
            "MEMORA_CONTENT_ROOT": str(folder / "content"),
            "MEMORA_STATIC_ROOT": str(folder / "static"),
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.site.settings",
        }
        os.environ.update(environment)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")
        }
        bench = Bench(
            folder,
            "MariaDB" if mariadb else "SQLite",
            inherited | environment | {"MEMORA_HEALTH_WATCH_SECONDS": "0"},
            mariadb,
            redis,
        )
        _set_up_django()
        try:
            yield bench
        finally:
            bench.stop()


def _set_up_django() -> None:
    import logging

    import django

    django.setup()
    logging.disable(logging.WARNING)
    from django.core.management import call_command
    from django.db import connection

    from tests.benchmarks.floor.urls import CREATE_TABLE

    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        for statement in CREATE_TABLE[connection.vendor]:
            cursor.execute(statement)


def cpu_seconds(groups: Iterable[int]) -> float:
    """CPU seconds used so far by all processes of these process groups."""
    pids, ticks = set(groups), 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) in pids:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def load(
    bench: Bench,
    server: Server,
    asks: Sequence[Ask],
    *,
    seconds: int,
    connections: int = CONNECTIONS,
) -> dict[str, float]:
    """Return what wrk measured while it sent ``asks`` in turn, and the server's CPU."""
    listed = bench.folder / "requests.txt"
    listed.write_text("".join(f"{ask.line()}\n" for ask in asks))
    script = bench.folder / "load.lua"
    script.write_text(_SCRIPT % {"requests": listed})
    before = server.cpu_seconds()
    done = subprocess.run(
        [
            *("wrk", "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{seconds}s", "--timeout", "10s"),
            *("--script", str(script), f"http://127.0.0.1:{server.port}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"^FOUND (.+)$", done.stdout, re.M)
    assert found is not None, done.stdout
    run: dict[str, float] = json.loads(found[1])
    run["cpu_us"] = (server.cpu_seconds() - before) * 1e6
    return run


def summary(runs: Sequence[dict[str, float]]) -> dict[str, Any]:
    """The medians of several runs: rate, latencies, CPU and wall time per request."""

    def median(values: Iterable[float]) -> float:
        return statistics.median(values)

    errors = sum(
        run[kind]
        for run in runs
        for kind in ("connect", "read", "write", "status", "timeout")
    )
    return {
        "rate": round(median(run["requests"] * 1e6 / run["us"] for run in runs), 1),
        "p50_ms": round(median(run["p50"] for run in runs) / 1000, 2),
        "p99_ms": round(median(run["p99"] for run in runs) / 1000, 2),
        "cpu_us": round(
            median(run["cpu_us"] / max(run["requests"], 1) for run in runs), 1
        ),
        "errors": int(errors),
    }


def row(name: str, found: dict[str, Any], against: str = "") -> str:
    return (
        f"  {name:<24} {found['rate']:9,.1f} requests/s  p50 {found['p50_ms']:8.2f} ms  "
        f"p99 {found['p99_ms']:8.2f} ms  {found['cpu_us']:8,.1f} µs CPU  "
        f"{found['errors']} errors{against}"
    )


@dataclass
class Measure:
    """Something to load: its server, and its requests for each round."""

    name: str
    server: Server
    rounds: Sequence[Sequence[Ask]]

    def asks(self, round_number: int) -> Sequence[Ask]:
        return self.rounds[round_number % len(self.rounds)]


def interleaved(
    bench: Bench,
    measures: Sequence[Measure],
    *,
    rounds: int,
    seconds: int,
    connections: int = CONNECTIONS,
) -> dict[str, dict[str, Any]]:
    """Load each measure once a round, so that all meet the same machine.

    The first requests of each are sent once before, and must succeed.
    """
    for measure in measures:
        for ask in list(measure.asks(0))[:CONNECTIONS]:
            status, _headers, body = measure.server.ask(ask)
            assert status in (200, 304), (measure.name, status, body[:500])
    runs: dict[str, list[dict[str, float]]] = {one.name: [] for one in measures}
    for number in range(rounds):
        for measure in measures:
            asks = measure.asks(number + 1)
            runs[measure.name].append(
                load(
                    bench,
                    measure.server,
                    asks,
                    seconds=seconds,
                    connections=connections,
                )
            )
    return {name: summary(found) for name, found in runs.items()}


def floors(server: Server) -> list[Measure]:
    """F0, F1, F2 (`tests.benchmarks.floor.urls`)."""
    return [Measure(name, server, [[Ask(f"/{name}")]]) for name in ("f0", "f1", "f2")]


@dataclass(frozen=True, slots=True)
class Reach:
    """What a figure should reach: at least, or at most, ``goal``."""

    name: str
    value: float
    goal: float
    at_most: bool = False

    @property
    def is_met(self) -> bool:
        return self.value <= self.goal if self.at_most else self.value >= self.goal

    def row(self) -> str:
        sign = "≤" if self.at_most else "≥"
        mark = "met" if self.is_met else "MISSED"
        return f"  {self.name:<44} {self.value:8.2f}  ({sign} {self.goal}: {mark})"


def print_reaches(reaches: Sequence[Reach]) -> dict[str, Any]:
    """Print each, and return them for the last line."""
    for reach in reaches:
        print(reach.row())
    return {
        "reach": {reach.name: round(reach.value, 3) for reach in reaches},
        "missed": [reach.name for reach in reaches if not reach.is_met],
    }
