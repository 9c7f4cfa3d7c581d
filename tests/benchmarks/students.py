"""A school at work: 10,000 students, each asking something every 30 seconds.

``python -m tests.benchmarks.students [--students 10000] [--seconds 60] [--warm 30]``
(``make load``). Everything runs on this machine: MariaDB, Redis, Granian as the shipped
unit starts it, a Celery worker with beat, and the client.

Requests arrive independently of the answers, as those of many people do, and a latency
is counted from the moment at which a request should have been sent. Of 100 requests 20
complete a lesson, 30 ask for progress with the tag of the last answer, 20 for the
wallet, 20 for a lesson's link, 10 for reviews. Beside them, other students sign in.

Connections stay open. The server closes one that was idle for 30 seconds; a request that
meets a closed one is sent again on a new connection, as the HTTP libraries of apps do
(OkHttp, URLSession) and nginx does. These are counted as ``reconnected``. A connection
that ends within an answer is a failure. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memora_site import embedded_redis
from tests.benchmarks import api_load, school
from tests.benchmarks.api_load import Ask, Bench, Reach
from tests.benchmarks.school import Student
from tests.deploy.stack import UNITS

MAX_P99_MS = 500
CONNECTIONS = 256
MIX = {"complete": 20, "progress": 30, "wallet": 20, "lesson": 20, "reviews": 10}
"""Of 100 requests."""
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_TAG = re.compile(rb"\r\netag: ([^\r]+)", re.IGNORECASE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=10_000)
    parser.add_argument("--interval", type=float, default=30.0)
    parser.add_argument("--sign-ins", type=float, default=2.0, help="per second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--warm", type=float, default=30.0)
    parser.add_argument("--lessons", type=int, default=2_000)
    unit = _shipped_unit()
    api_load.add_server_options(
        parser, workers=unit["workers"], threads=unit["blocking-threads"]
    )
    options = parser.parse_args()
    with api_load.running() as bench:
        plan = school.publish_plan(options.lessons)
        students = school.make_students(options.students, plan=plan)
        newcomers = school.make_students(200, plan=plan, prefix="new")
        server = bench.serve(
            "tests.benchmarks.site.wsgi:application",
            workers=options.workers,
            threads=options.threads,
        )
        celery = start_celery(bench)
        groups = {
            "web": server.process.pid,
            "worker": celery.pid,
            "redis": bench.redis.process.pid,
        }
        if bench.mariadb is not None:
            groups["mariadb"] = bench.mariadb.process.pid
        try:
            client = Client(server.port, students, newcomers, options)
            figures = asyncio.run(client.run(_Meter(groups)))
        finally:
            celery.terminate()
            celery.wait()
    report(figures, bench, options)


def _shipped_unit() -> dict[str, int]:
    """The numbers of workers and threads in ``deploy/systemd``."""
    unit = (UNITS / "memora-web.service").read_text()
    found = re.findall(r"--(workers|blocking-threads) (\d+)", unit)
    return {name: int(number) for name, number in found}


def start_celery(bench: Bench) -> "subprocess.Popen[bytes]":
    with (bench.folder / "celery.log").open("ab") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "--app", "memora_site", "worker"),
                *("--beat", "--concurrency", "2", "--loglevel", "warning"),
                *("--schedule", str(bench.folder / "beat")),
            ],
            env=bench.environment,
            stdout=log,
            stderr=log,
            preexec_fn=embedded_redis.end_with_parent,
            start_new_session=True,
        )


class _Meter:
    """CPU seconds of each part, and the machine's idle time, since `start`."""

    def __init__(self, groups: dict[str, int]) -> None:
        self._groups = groups
        self._before: dict[str, float] = {}

    def start(self) -> None:
        self._before = self._now()

    def read(self) -> dict[str, float]:
        now = self._now()
        spent = {name: now[name] - self._before[name] for name in now}
        total = spent.pop("total")
        return {name: round(seconds / total, 3) for name, seconds in spent.items()}

    def _now(self) -> dict[str, float]:
        ticks = os.sysconf("SC_CLK_TCK")
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        values = [int(value) / ticks for value in fields]
        found = {
            name: _process_seconds(pid)
            if name in ("redis", "mariadb")
            else api_load.cpu_seconds({pid})
            for name, pid in self._groups.items()
        }
        own = os.times()
        return found | {
            "client": own.user + own.system,
            "idle": values[3] + values[4],
            "total": sum(values),
        }


def _process_seconds(pid: int) -> float:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Client:
    """Sends the requests, on a pool of connections that stay open."""

    port: int
    students: list[Student]
    newcomers: list[Student]
    options: argparse.Namespace
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(
        default_factory=list
    )
    _tags: dict[int, str] = field(default_factory=dict)
    _next_lesson: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    _times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _failures: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _counts: bool = False
    _reconnected: int = 0

    async def run(self, meter: _Meter) -> dict[str, Any]:
        slots = asyncio.Semaphore(CONNECTIONS)
        end = time.monotonic() + self.options.warm + self.options.seconds
        arrivals = [
            asyncio.create_task(self._arrive(rate, make, slots, end))
            for rate, make in (
                (self.options.students / self.options.interval, self._something),
                (self.options.sign_ins, self._sign_in),
            )
            if rate > 0
        ]
        await asyncio.sleep(self.options.warm)
        meter.start()
        self._counts = True
        await asyncio.sleep(max(0.0, end - time.monotonic()))
        shares = meter.read()
        await asyncio.gather(*arrivals)
        return {
            "times": self._times,
            "failures": dict(self._failures),
            "reconnected": self._reconnected,
            "cpu": shares,
        }

    async def _arrive(
        self, rate: float, make: Any, slots: asyncio.Semaphore, end: float
    ) -> None:
        """Send requests at random moments, ``rate`` a second on average."""
        pending: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        while (due := due + random.expovariate(rate)) < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._send(due, *make(), slots))
            pending.add(task)
            task.add_done_callback(pending.discard)
        if pending:
            await asyncio.gather(*pending)

    def _something(self) -> tuple[str, Ask, int]:
        student = random.choice(self.students)
        kind = random.choices(list(MIX), list(MIX.values()))[0]
        size, pk = self.options.lessons, student.player_id
        if kind == "complete":
            number = self._next_lesson[pk] % size
            self._next_lesson[pk] += 1
            return kind, student.complete(school.lesson_id(size, number)), pk
        if kind == "progress":
            tag = self._tags.get(pk)
            more = [("If-None-Match", tag)] if tag else []
            path = f"progress/{school.subject_id(size)}/"
            return kind, student.ask(path, more=more), pk
        if kind == "lesson":
            number = self._next_lesson[pk] % size
            path = f"content/lessons/{school.lesson_id(size, number)}/"
            return kind, student.ask(path), pk
        if kind == "reviews":
            path = random.choice(["reviews/", "reviews/due/"])
            return kind, student.ask(path), pk
        return kind, student.ask("wallet/"), pk

    def _sign_in(self) -> tuple[str, Ask, int]:
        student = random.choice(self.newcomers)
        return "sign_in", student.sign_in(), student.player_id

    async def _send(
        self, due: float, kind: str, ask: Ask, pk: int, slots: asyncio.Semaphore
    ) -> None:
        counts = self._counts
        try:
            async with slots:
                status, head = await asyncio.wait_for(self._exchange(ask), 30)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            if counts:
                self._failures[f"{kind} {type(error).__name__}"] += 1
            return
        if kind == "progress" and (tag := _TAG.search(head)):
            self._tags[pk] = tag[1].decode()
        if counts:
            self._times[kind].append(time.monotonic() - due)
            if status not in (200, 304):
                self._failures[f"{kind} {status}"] += 1

    async def _exchange(self, ask: Ask) -> tuple[int, bytes]:
        if self._idle:
            try:
                return await self._exchange_on(*self._idle.pop(), ask)
            except _ClosedError:
                self._reconnected += self._counts
        connection = await asyncio.open_connection("127.0.0.1", self.port)
        return await self._exchange_on(*connection, ask)

    async def _exchange_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ask: Ask
    ) -> tuple[int, bytes]:
        try:
            lines = [f"{ask.method} {ask.path} HTTP/1.1", "Host: 127.0.0.1"]
            lines += [f"{name}: {value}" for name, value in ask.headers]
            lines.append(f"Content-Length: {len(ask.body)}")
            writer.write("\r\n".join([*lines, "", ask.body]).encode())
            head = await _read_head(reader)
            length = _LENGTH.search(head)
            if length is not None:
                await reader.readexactly(int(length[1]))
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return int(head[9:12]), head


class _ClosedError(ConnectionError):
    """The server has closed the connection without a byte of an answer."""


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except ConnectionError as error:
        raise _ClosedError from error
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        raise _ClosedError from error


def report(figures: dict[str, Any], bench: Bench, options: argparse.Namespace) -> None:
    rows: dict[str, Any] = {}
    everything: list[float] = []
    for kind, times in sorted(figures["times"].items()):
        rows[kind] = _latencies(times)
        if kind != "sign_in":
            everything += times
    rows["all but sign_in"] = _latencies(everything)
    for kind, row in rows.items():
        print(
            f"  {kind:<16} {row['requests']:7,} requests  p50 {row['p50_ms']:8.1f} ms  "
            f"p99 {row['p99_ms']:8.1f} ms  max {row['max_ms']:8.1f} ms"
        )
    shares = "  ".join(
        f"{name} {100 * share:.0f} %" for name, share in figures["cpu"].items()
    )
    print(f"  of the machine's CPU: {shares}")
    print(f"  sent again on a new connection: {figures['reconnected']}")
    for what, count in figures["failures"].items():
        print(f"  failed: {what}: {count}")
    failed = sum(figures["failures"].values())
    reaches = [
        Reach("p99 in ms", rows["all but sign_in"]["p99_ms"], MAX_P99_MS, at_most=True),
        Reach("errors", failed, 0, at_most=True),
    ]
    print(
        json.dumps(
            {
                "bench": "students",
                "database": bench.database,
                "students": options.students,
                "interval": options.interval,
                "seconds": options.seconds,
                "workers": options.workers,
                "threads": options.threads,
                "requests_per_second": round(len(everything) / options.seconds, 1),
                "latencies": rows,
                "failures": figures["failures"],
                "reconnected": figures["reconnected"],
                "cpu": figures["cpu"],
                **api_load.print_reaches(reaches),
            }
        )
    )


def _latencies(times: list[float]) -> dict[str, float]:
    ordered = sorted(times) or [0.0]

    def at(share: float) -> float:
        return round(ordered[int(share * (len(ordered) - 1))] * 1000, 1)

    return {
        "requests": len(times),
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "max_ms": at(1.0),
    }


if __name__ == "__main__":
    main()
