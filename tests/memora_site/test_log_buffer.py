"""The buffered log: no request waits for it, and nothing is lost at an end."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from django.test import Client

from memora_site import embedded_redis, log_buffer
from memora_site.log_buffer import BufferedHandler
from tests.servers import free_port

NEVER = 3_600.0
"""An interval that no test waits for."""
BASE = Path(__file__).resolve().parents[2]


def wait(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Log:
    """A logger that writes to a descriptor through the buffer."""

    def __init__(self, descriptor: int, path: Path | None = None) -> None:
        self.descriptor = descriptor
        self.path = path
        self.handler = BufferedHandler(descriptor)
        self.logger = logging.getLogger("tests.buffered")
        self.logger.setLevel(logging.INFO)
        self.logger.propagate = False
        self.logger.addHandler(self.handler)

    def lines(self) -> list[str]:
        assert self.path is not None
        return self.path.read_text().splitlines()

    def close(self) -> None:
        self.logger.removeHandler(self.handler)
        self.handler.close()


@pytest.fixture
def log(tmp_path, monkeypatch) -> Iterator[Log]:
    monkeypatch.setattr(log_buffer, "INTERVAL_SECONDS", NEVER)
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    log = Log(descriptor, path)
    yield log
    log.close()
    os.close(descriptor)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose reader has not read yet: its writer waits once it is full."""
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_lines_are_written_after_the_interval(log, monkeypatch):
    monkeypatch.setattr(log_buffer, "INTERVAL_SECONDS", 0.01)
    log.logger.info("quiet")
    wait(lambda: log.lines() == ["quiet"])


def test_a_warning_is_written_at_once_behind_the_lines_before_it(log):
    for number in range(10):
        log.logger.info(number)
    log.logger.warning("trouble")
    wait(lambda: log.lines() == [*map(str, range(10)), "trouble"])


def test_a_full_batch_is_written_at_once(log):
    for number in range(log_buffer.BATCH_LINES):
        log.logger.info(number)
    wait(lambda: len(log.lines()) == log_buffer.BATCH_LINES)


def test_closing_writes_what_is_left_and_later_lines_are_not_buffered(log):
    log.logger.info("before")
    log.handler.close()
    assert log.lines() == ["before"]
    log.logger.info("after")
    assert log.lines() == ["before", "after"]


def test_the_lines_of_each_of_many_threads_stay_in_their_order(log):
    def write(thread: int) -> None:
        for number in range(1_000):
            log.logger.info("%d %d", thread, number)

    threads = [threading.Thread(target=write, args=(one,)) for one in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.handler.close()
    found = [tuple(map(int, line.split())) for line in log.lines()]
    for one in range(8):
        assert [number for thread, number in found if thread == one] == [*range(1_000)]


def test_a_pipe_that_nobody_reads_delays_no_line_and_the_rest_is_counted(
    pipe, monkeypatch
):
    reader, writer = pipe
    monkeypatch.setattr(log_buffer, "MAX_LINES", 100)
    log = Log(writer)
    log.logger.warning("x" * 1_000_000)
    wait(lambda: not log.handler._lines)  # the thread waits in its write
    for number in range(150):
        log.logger.info(number)
    assert log.handler.dropped == 50
    assert log_buffer.dropped_lines() >= 50

    received = b""
    while not received.endswith(b"99\n"):
        received += os.read(reader, 1_000_000)
    assert received.splitlines()[1:] == [
        b"log_lines_dropped",
        *(str(number).encode() for number in range(100)),
    ]
    log.close()


def test_a_broken_pipe_fails_no_request_and_its_lines_are_counted(pipe):
    reader, writer = pipe
    os.close(reader)
    log = Log(writer)
    for _line in range(7):
        log.logger.warning("lost")
    log.close()
    assert log.handler.dropped == 7


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_drops_lines_until_there_is_space_again(log):
    full = os.open("/dev/full", os.O_WRONLY)
    disk = os.dup(log.descriptor)
    os.dup2(full, log.descriptor)
    log.logger.warning("lost")
    wait(lambda: log.handler.dropped == 1)
    os.dup2(disk, log.descriptor)
    log.logger.warning("kept")
    wait(lambda: log.lines()[-1:] == ["log_lines_dropped"])
    assert log.lines() == ["", "kept", "log_lines_dropped"]
    os.close(full)
    os.close(disk)


def test_a_message_that_cannot_be_formatted_fails_no_request(log, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.logger.warning("%d", "no number")
    log.logger.warning("next")
    wait(lambda: log.lines() == ["next"])


def test_a_forked_process_writes_its_own_lines_and_not_those_of_its_parent(log):
    log.logger.info("parent")
    child = os.fork()
    if child == 0:
        log.logger.info("child")
        log.handler.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert log.lines() == ["child"]
    log.handler.close()
    assert log.lines() == ["child", "parent"]


def test_the_metrics_count_dropped_lines(settings, db):
    settings.METRICS_TOKEN = ""
    answer = Client().get("/metrics")
    assert f'memora_log_lines_dropped_total{{pid="{os.getpid()}"}}' in (
        answer.content.decode()
    )


APPLICATION = """
import logging
from memora_site import log_buffer, wsgi

log_buffer.INTERVAL_SECONDS = 3600.0

def application(environ, start_response):
    if environ["PATH_INFO"] != "/":
        for number in range(3):
            logging.getLogger("a.service").info("line", extra={"number": number})
    start_response("204 No Content", [])
    return [b""]
"""
EXIT = """
import logging
from memora_site import log_buffer, wsgi

log_buffer.INTERVAL_SECONDS = 3600.0
for number in range(3):
    logging.getLogger("a.service").info("line", extra={"number": number})
"""


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    (tmp_path / "logged_application.py").write_text(APPLICATION)
    return {
        **os.environ,
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{BASE}",
        "DJANGO_SETTINGS_MODULE": "memora_site.settings",
        "MEMORA_STATE_DIR": str(tmp_path),
    }


def numbers(text: str) -> list[str]:
    return [line.rpartition("=")[2] for line in text.splitlines() if "number=" in line]


def test_nothing_is_lost_when_a_process_ends(environment):
    run = subprocess.run(
        [sys.executable, "-c", EXIT],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert numbers(run.stderr) == ["0", "1", "2"]


def test_nothing_is_lost_when_the_web_server_is_terminated(environment, tmp_path):
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "memora_site.web_server"),
                *("--interface", "wsgi", "logged_application:application"),
                *("--host", "127.0.0.1", "--port", str(port)),
                *("--workers", "1", "--blocking-threads", "1"),
                *("--log-level", "critical"),
            ],
            env=environment,
            stderr=log,
            preexec_fn=embedded_redis.end_with_parent,
            start_new_session=True,
        )
    try:
        wait(lambda: _status(port, "/") == 204)
        assert _status(port, "/log") == 204
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert numbers((tmp_path / "log").read_text()) == ["0", "1", "2"]


def _status(port: int, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
