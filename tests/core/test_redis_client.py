"""The students' client of Redis: one round trip, short waits, one wait at a time."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

from core import redis_client, time_budget
from tests.servers import PrivateRedis

ECHO = "return {KEYS[1], ARGV[1], tonumber(ARGV[2])}"
COUNT = "return redis.call('INCR', KEYS[1])"


@pytest.fixture
def server(settings) -> Iterator[PrivateRedis]:
    # A short path: a socket's may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="memora-redis-") as folder:
        server = PrivateRedis(Path(folder))
        settings.REDIS_URL = server.url
        yield server
        server.resume()
        server.kill()


@pytest.fixture
def short_pause(monkeypatch) -> None:
    monkeypatch.setattr(redis_client, "PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(redis_client, "TIMEOUT_SECONDS", 0.2)


def commands_of(server: PrivateRedis) -> int:
    found = redis_client.client().info("commandstats")
    return sum(
        stat["calls"]
        for name, stat in found.items()
        if name.removeprefix("cmdstat_") in ("evalsha", "eval", "script|load")
    )


def test_a_script_answers_in_bytes_whether_redis_has_it_or_not():
    for _again in range(2):
        assert redis_client.run_script(ECHO, ["key"], ["välue", 7]) == [
            b"key",
            "välue".encode(),
            7,
        ]


def test_a_script_that_redis_has_takes_one_command(server):
    redis_client.run_script(COUNT, ["n"], [])
    before = commands_of(server)
    redis_client.run_script(COUNT, ["n"], [])
    assert commands_of(server) - before == 1


def test_a_script_that_redis_lost_runs_once(server):
    redis_client.run_script(COUNT, ["n"], [])
    redis_client.client().script_flush()
    assert redis_client.run_script(COUNT, ["n"], []) == 2


def test_a_script_that_fails_is_not_a_redis_that_is_away():
    for _again in range(2):
        with pytest.raises(ResponseError, match="no such thing"):
            redis_client.run_script("return redis.error_reply('no such thing')", [], [])


def test_the_client_returns_bytes():
    redis_client.client().set("name", "ليلى")
    assert redis_client.client().get("name") == "ليلى".encode()
    with redis_client.client().pipeline() as pipeline:
        pipeline.get("name")
        pipeline.incr("n")
        assert pipeline.execute() == ["ليلى".encode(), 1]


def test_each_thread_has_its_own_connection():
    def connection() -> int:
        barrier.wait(5)
        return int(redis_client.client().client_id())

    barrier = threading.Barrier(3)
    with ThreadPoolExecutor(3) as threads:
        found = [threads.submit(connection) for _ in range(3)]
        assert len({one.result() for one in found}) == 3
    first, second = (redis_client.client().client_id() for _ in range(2))
    assert first == second


def test_it_follows_the_setting(settings, server):
    redis_client.client().set("here", 1)
    settings.REDIS_URL = server.url.replace("db=2", "db=3")
    assert redis_client.client().get("here") is None
    settings.REDIS_URL = server.url
    assert redis_client.client().get("here") == b"1"


def test_a_forked_process_opens_its_own_connection():
    own_id = redis_client.client().client_id()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, str(redis_client.client().client_id()).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    child_id = int(os.read(read, 20))
    os.close(read)
    os.close(write)
    assert child_id != own_id
    assert redis_client.client().client_id() == own_id


def test_a_restarted_redis_is_not_noticed(server):
    redis_client.run_script(COUNT, ["n"], [])
    server.kill()
    server.start()
    assert redis_client.run_script(COUNT, ["n"], []) == 1
    server.kill()
    server.start()
    assert redis_client.client().incr("n") == 1


def test_a_redis_that_hangs_is_waited_for_once(server):
    """A request that asks three times waits once, not three times."""
    redis_client.run_script(COUNT, ["n"], [])
    server.pause()
    started = time.monotonic()
    for _ask in range(2):
        with pytest.raises(TimeoutError):
            redis_client.run_script(COUNT, ["n"], [])
        with pytest.raises(TimeoutError):
            redis_client.client().get("n")
        with redis_client.client().pipeline() as pipeline, pytest.raises(TimeoutError):
            pipeline.get("n").execute()
    assert 0.7 < time.monotonic() - started < 1.5


def test_a_command_that_timed_out_is_not_repeated(server, short_pause):
    redis_client.run_script(COUNT, ["n"], [])
    server.pause()
    with pytest.raises(TimeoutError):
        redis_client.run_script(COUNT, ["n"], [])
    server.resume()
    redis_client.end_pause()
    assert redis_client.run_script(COUNT, ["n"], []) == 3


def test_a_new_connection_to_a_redis_that_hangs_is_waited_for_once(server):
    server.pause()
    started = time.monotonic()
    for _ask in range(3):
        with pytest.raises(TimeoutError):
            redis_client.run_script(COUNT, ["n"], [])
    assert 0.7 < time.monotonic() - started < 1.5


def test_a_redis_that_is_gone_fails_at_once(server):
    redis_client.run_script(COUNT, ["n"], [])
    server.kill()
    started = time.monotonic()
    for _ask in range(3):
        with pytest.raises(ConnectionError):
            redis_client.run_script(COUNT, ["n"], [])
        with pytest.raises(ConnectionError):
            redis_client.client().get("n")
    assert time.monotonic() - started < 0.5


def test_it_is_asked_again_after_the_pause(server, short_pause):
    server.kill()
    with pytest.raises(ConnectionError):
        redis_client.run_script(COUNT, ["n"], [])
    with pytest.raises(ConnectionError, match="a moment ago"):
        redis_client.run_script(COUNT, ["n"], [])
    server.start()
    time.sleep(0.25)
    assert redis_client.run_script(COUNT, ["n"], []) == 1
    assert redis_client.run_script(COUNT, ["n"], []) == 2


def test_after_the_pause_one_thread_tries_and_the_others_fail_at_once(server):
    server.pause()
    with pytest.raises(TimeoutError):
        redis_client.run_script(COUNT, ["n"], [])
    time.sleep(redis_client.PAUSE_SECONDS + 0.05)
    barrier = threading.Barrier(4)

    def ask() -> float:
        barrier.wait(5)
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            redis_client.run_script(COUNT, ["n"], [])
        return time.monotonic() - started

    with ThreadPoolExecutor(4) as threads:
        waits = sorted(one.result() for one in [threads.submit(ask) for _ in range(4)])
    assert waits[3] > 0.7
    assert waits[2] < 0.5


def test_waiting_for_redis_uses_up_the_budget_of_a_request(server, monkeypatch):
    monkeypatch.setattr(time_budget, "BUDGET_SECONDS", 0.5)
    redis_client.run_script(COUNT, ["n"], [])
    with time_budget.STUDENT_REQUEST:
        redis_client.run_script(COUNT, ["n"], [])
        assert not time_budget.is_used_up()
        server.pause()
        with pytest.raises(TimeoutError):
            redis_client.run_script(COUNT, ["n"], [])
        assert time_budget.is_used_up()
        server.resume()
        redis_client.end_pause()
        with pytest.raises(TimeoutError, match="too long"):
            redis_client.run_script(COUNT, ["n"], [])
    with time_budget.STUDENT_REQUEST:
        assert not time_budget.is_used_up()
    assert not time_budget.is_used_up()


def test_another_redis_is_not_affected(server, settings):
    server.kill()
    with pytest.raises(ConnectionError):
        redis_client.run_script(COUNT, ["n"], [])
    with tempfile.TemporaryDirectory(prefix="memora-redis-") as folder:
        other = PrivateRedis(Path(folder))
        settings.REDIS_URL = other.url
        assert redis_client.run_script(COUNT, ["n"], []) == 1
        other.kill()
