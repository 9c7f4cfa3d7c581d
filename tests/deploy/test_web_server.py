"""The web server's master process replaces workers that died, however early."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection

import pytest
from granian.http import HTTP1Settings

from memora_site import embedded_redis, web_server
from tests.deploy.stack import CONFIG, UNITS
from tests.processes import children
from tests.servers import free_port

WORKERS = 2


class Web:
    """The web server with an application that does nothing."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "memora_site.web_server"),
                *("--interface", "wsgi", "wsgiref.simple_server:demo_app"),
                *("--host", "127.0.0.1", "--port", str(self.port)),
                *("--workers", str(WORKERS), "--blocking-threads", "1"),
                *("--respawn-failed-workers", "--log-level", "critical"),
                *options,
            ],
            preexec_fn=embedded_redis.end_with_parent,
            start_new_session=True,
        )

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/")
                return connection.getresponse().status == 200
            finally:
                connection.close()
        return False

    def kill_newest_worker(self) -> None:
        """Kill a worker as soon as all run; return when it has been replaced."""
        _wait(lambda: len(children(self.process.pid)) == WORKERS or self.has_ended())
        if self.has_ended():
            return
        victim = children(self.process.pid)[-1]
        os.kill(victim, signal.SIGKILL)
        _wait(lambda: victim not in children(self.process.pid) or self.has_ended())

    def has_ended(self) -> bool:
        return self.process.poll() is not None


def _wait(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def running(*options: str) -> Iterator[Web]:
    web = Web(*options)
    try:
        _wait(web.answers)
        yield web
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(web.process.pid, signal.SIGKILL)
        web.process.wait()


@pytest.fixture
def web() -> Iterator[Web]:
    with running() as web:
        yield web


def test_a_worker_that_dies_soon_after_its_start_is_replaced(web):
    """Granian's own master gives up when one dies within 5.5 seconds of its start."""
    for _death in range(3):
        web.kill_newest_worker()
    _wait(lambda: len(children(web.process.pid)) == WORKERS)
    assert not web.has_ended()
    assert web.answers()


def test_workers_that_keep_dying_end_the_server_so_that_systemd_restarts_it(web):
    for _death in range(web_server.MOST_DEATHS + 2):
        web.kill_newest_worker()
    _wait(web.has_ended)
    assert web.process.returncode == 1


@pytest.mark.skipif(
    len(web_server.usable_cores()) < WORKERS, reason="the machine has too few cores"
)
def test_each_worker_stays_on_its_own_core_and_so_does_one_that_replaces_it(web):
    def cores() -> set[int]:
        found = [os.sched_getaffinity(pid) for pid in children(web.process.pid)]
        assert all(len(allowed) == 1 for allowed in found)
        return set().union(*found)

    _wait(lambda: len(children(web.process.pid)) == WORKERS)
    first = cores()
    assert first == set(web_server.usable_cores()[:WORKERS])
    web.kill_newest_worker()
    _wait(lambda: len(children(web.process.pid)) == WORKERS)
    assert cores() == first


def test_the_time_to_read_headers_also_ends_an_idle_connection():
    with running("--http1-header-read-timeout", "500") as web:
        connection = HTTPConnection("127.0.0.1", web.port, timeout=30)
        connection.request("GET", "/")
        assert connection.getresponse().read()
        assert connection.sock.recv(1) == b""
        connection.close()


def test_nginx_closes_idle_connections_before_the_web_server_does():
    upstream = (CONFIG / "memora.conf").read_text().partition("upstream memora {")[2]
    proxy = re.search(r"keepalive_timeout (\d+)s;", upstream.partition("}")[0])
    unit = (UNITS / "memora-web.service").read_text()
    assert "--http1-header-read-timeout" not in unit
    assert proxy is not None
    assert int(proxy[1]) * 1000 < HTTP1Settings().header_read_timeout
