"""What uploading costs: requests counted at the bucket, and time against a floor.

``python -m tests.benchmarks.upload [--files 2000] [--latency 0.02] [--rounds 3]``
(``make bench-upload``). The bucket is a small S3 server in a process of its own that
answers each request after ``latency`` seconds and counts what it was asked. Measured,
in the same rounds and by medians:

- **first**: every file of a release, uploaded and verified;
- **again**: the same release once more: nothing is sent;
- **edit**: after one stage was edited: four files;
- **ceiling**: what the concurrency allows at that latency, ``UPLOAD_CONCURRENCY /
  latency`` requests a second;
- **client**: the same files through the same boto3 client and as many threads, without
  Memora: the floor.

The goals are printed beside the figures; it fails only when it cannot measure. The
database is the one ``DATABASE_URL`` names (a scratch one is made beside it), else
SQLite. The last line is JSON with every figure.
"""

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import re
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.benchmarks.publish import make_plan, scratch

BUCKET = "bench"
SECRET = "benchmark"
GOALS = {"over_ceiling": 0.65, "again": 0, "edit": 4}
"""At least this share of the ceiling; exactly these PUTs, unchanged and one edit."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with scratch(), serving(options.latency) as server:
        figures = measure(server, options.files, options.latency, options.rounds)
    report(figures)
    print(json.dumps(figures))


def report(figures: dict[str, Any]) -> None:
    print(
        f"{figures['files']:,} files at {figures['latency'] * 1000:.0f} ms, "
        f"{figures['concurrency']} at once: at most {figures['ceiling']:,.0f} PUT/s; "
        f"the client alone {figures['client']:,.0f} PUT/s"
    )
    for name, words in {
        "first": "first upload",
        "again": "unchanged",
        "edit": "one stage edited",
    }.items():
        row = figures[name]
        goal = f"  (goal {GOALS[name]} PUT)" if name in GOALS else ""
        print(
            f"  {words:<18} {row['seconds']:7.3f} s  {row['PUT']:5} PUT  "
            f"{row['HEAD']:5} HEAD  {row['LIST']:3} LIST  {row['queries']:4} queries"
            f"{goal}"
        )
    print(
        f"  first: {figures['puts_per_second']:,.0f} PUT/s, "
        f"{figures['over_ceiling']:.2f} of the ceiling "
        f"(goal ≥ {GOALS['over_ceiling']}), "
        f"{figures['over_client']:.2f} of the client alone, "
        f"{figures['cpu_over_client']:.2f} × its CPU"
    )


def measure(
    server: "Server", files: int, latency: float, rounds: int
) -> dict[str, Any]:
    from django.conf import settings
    from django.db import connection

    from content.models import LessonStage
    from plans.models import AcademicPlan
    from publishing.building import builds
    from publishing.cdn import sync
    from publishing.models import UploadedDocument

    plan = make_plan(lessons_for(files))
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=True)
    make_all_open()
    turn_on(server.url)
    builds.build_plan(plan.pk)
    runs: dict[str, list[dict[str, float]]] = {"first": [], "again": [], "edit": []}
    client = []
    stage = LessonStage.objects.order_by("pk").first()
    for number in range(rounds):
        server.forget()
        UploadedDocument.objects.all().delete()
        runs["first"].append(timed(server, sync.distribute))
        runs["again"].append(timed(server, sync.distribute))
        LessonStage.objects.filter(pk=stage.pk).update(title=f"Edit {number}")
        builds.build_plan(plan.pk)
        runs["edit"].append(timed(server, sync.distribute))
        client.append(client_alone(server))
    found = {
        name: {
            "seconds": round(statistics.median(run["seconds"] for run in measured), 3),
            **{
                key: int(measured[-1][key])
                for key in ("PUT", "HEAD", "LIST", "queries")
            },
        }
        for name, measured in runs.items()
    }
    ceiling = settings.UPLOAD_CONCURRENCY / latency if latency else float("inf")
    speed = found["first"]["PUT"] / found["first"]["seconds"]
    alone = statistics.median(speed for speed, _cpu in client)
    cpu = statistics.median(run["cpu"] for run in runs["first"])
    return {
        "bench": "upload",
        "database": connection.vendor,
        "files": found["first"]["PUT"],
        "latency": latency,
        "concurrency": settings.UPLOAD_CONCURRENCY,
        "rounds": rounds,
        **found,
        "ceiling": round(ceiling, 1),
        "client": round(alone, 1),
        "puts_per_second": round(speed, 1),
        "over_ceiling": round(speed / ceiling, 2),
        "over_client": round(speed / alone, 2),
        "cpu_over_client": round(cpu / statistics.median(c for _s, c in client), 2),
    }


def lessons_for(files: int) -> int:
    """The number of lessons, ten to a topic, whose release has about so many files."""
    return max(10, (files - 4) * 10 // 11 // 10 * 10)


def make_all_open() -> None:
    from content.models import Node

    root = Node.objects.get(public_id="SUBJ-BENCH")
    root.is_public = True
    root.save()


def turn_on(url: str) -> None:
    from django.conf import settings

    from core import secrets
    from publishing.models import PublishingSettings

    settings.PRIVATE_HOSTS = ["127.0.0.1"]
    current = PublishingSettings.get_solo()
    current.cdn_enabled, current.cdn_base_url = True, "https://cdn.example.org"
    current.cdn_endpoint, current.cdn_region = url, "us-east-1"
    current.cdn_bucket = BUCKET
    current.cdn_access_key = secrets.encrypt("bench")
    current.cdn_secret_key = secrets.encrypt(SECRET)
    current.full_clean()
    current.save()


def timed(server: "Server", work: Any) -> dict[str, float]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from publishing.models import SyncLog, SyncStatus

    server.counts()
    start, cpu = time.perf_counter(), time.process_time()
    with CaptureQueriesContext(connection) as captured:
        work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    entry = SyncLog.objects.latest("pk")
    assert entry.status == SyncStatus.SUCCESS, entry.error
    counts = server.counts()
    return {
        "seconds": seconds,
        "cpu": cpu,
        "queries": len(captured),
        **{name: counts.get(name, 0) for name in ("PUT", "HEAD", "LIST", "DELETE")},
    }


def client_alone(server: "Server") -> tuple[float, float]:
    """Return PUT/s and CPU seconds of the bare client for the same bytes.

    No state is recorded and nothing is verified.
    """
    from django.conf import settings

    from publishing.cdn import desired_state
    from publishing.cdn.backends import s3
    from publishing.cdn.backends.storage import targets_of
    from publishing.models import PublishingSettings
    from publishing.storage import file_store

    current = PublishingSettings.get_solo()
    bucket = s3.public_bucket(current)
    files = desired_state.of_everything(targets_of(current)).files

    def put(file: Any) -> None:
        data = file_store.read(file.source)
        assert data is not None
        bucket.put(file.path, data, sha256=file.sha256)

    start, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(settings.UPLOAD_CONCURRENCY) as pool:
        list(pool.map(put, files))
    seconds = time.perf_counter() - start
    server.counts()
    return len(files) / seconds, time.process_time() - cpu


# --- The bucket -----------------------------------------------------------------------


class Server:
    """The bucket's address and its request counts."""

    def __init__(self, url: str, pipe: Any) -> None:
        self.url = url
        self._pipe = pipe

    def counts(self) -> dict[str, int]:
        """Requests by kind since the last call."""
        self._pipe.send("counts")
        found: dict[str, int] = self._pipe.recv()
        return found

    def forget(self) -> None:
        """Empty the bucket."""
        self._pipe.send("forget")
        self._pipe.recv()


@contextmanager
def serving(latency: float) -> Any:
    parent_end, child_end = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=run_bucket, args=(latency, child_end), daemon=True
    )
    process.start()
    try:
        yield Server(parent_end.recv(), parent_end)
    finally:
        process.terminate()
        process.join()


def run_bucket(latency: float, pipe: Any) -> None:
    asyncio.run(_Bucket(latency).serve(pipe))


class _Bucket:
    """The part of S3 used here: PUT, HEAD, GET, LIST and multi-object delete."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.counted: Counter[str] = Counter()

    async def serve(self, pipe: Any) -> None:
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        pipe.send(f"http://127.0.0.1:{port}")
        loop = asyncio.get_running_loop()
        while True:
            match await loop.run_in_executor(None, pipe.recv):
                case "counts":
                    pipe.send(dict(self.counted))
                    self.counted.clear()
                case "forget":
                    self.objects.clear()
                    pipe.send(None)

    async def connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value.strip()
                    for name, _colon, value in (line.partition(":") for line in lines)
                }
                if headers.get("expect") == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(int(headers.get("content-length") or 0))
                await asyncio.sleep(self.latency)
                method, address, _version = first.split(" ")
                writer.write(self.answer(method, address, headers, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(
        self, method: str, address: str, headers: dict[str, str], body: bytes
    ) -> bytes:
        parts = urlsplit(address)
        key = unquote(parts.path).removeprefix(f"/{BUCKET}").removeprefix("/")
        query = parse_qs(parts.query, keep_blank_values=True)
        if method == "GET" and "list-type" in query:
            self.counted["LIST"] += 1
            return _response(200, {}, self.listing(query))
        if method == "POST":
            self.counted["DELETE"] += 1
            for name in re.findall(rb"<Key>(.*?)</Key>", body):
                self.objects.pop(name.decode(), None)
            return _response(200, {}, b"<DeleteResult/>")
        self.counted[method] += 1
        if method == "PUT":
            digest = headers.get("x-amz-meta-sha256", "")
            self.objects[key] = (body, digest)
            return _response(200, {"ETag": _etag(body)}, b"")
        if key not in self.objects:
            return _response(404, {}, b"")
        data, digest = self.objects[key]
        meta = {"ETag": _etag(data), "x-amz-meta-sha256": digest}
        if method == "HEAD":
            return _response(200, meta, b"", length=len(data))
        return _response(200, meta, data)

    def listing(self, query: dict[str, list[str]]) -> bytes:
        prefix = query.get("prefix", [""])[0]
        after = query.get("continuation-token", [""])[0]
        found = sorted(k for k in self.objects if k.startswith(prefix) and k > after)
        page = found[:1000]
        rows = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(self.objects[key][0])}</Size>"
            f"<ETag>{_etag(self.objects[key][0])}</ETag></Contents>"
            for key in page
        )
        more = len(found) > len(page)
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>"
        return (
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token if more else ''}{rows}</ListBucketResult>"
        ).encode()


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _response(
    status: int, headers: dict[str, str], body: bytes, *, length: int | None = None
) -> bytes:
    lines = [f"HTTP/1.1 {status} -", *(f"{k}: {v}" for k, v in headers.items())]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


if __name__ == "__main__":
    main()
