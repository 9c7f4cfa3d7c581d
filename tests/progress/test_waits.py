"""A service that hangs costs a request one short wait; whoever sent it gets an answer."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection, transaction
from redis.exceptions import TimeoutError as RedisTimeoutError

from core import redis_client as connections, time_budget
from players.models import PlayerProfile
from progress.models import InteractionLog
from tests.servers import PrivateRedis

COMPLETE = "lessons/LES-MATH-0-0/complete/"


@pytest.fixture
def hanging(settings, monkeypatch) -> Iterator[PrivateRedis]:
    monkeypatch.setattr(connections, "TIMEOUT_SECONDS", 0.2)
    # A short path: a socket's may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="memora-redis-") as folder:
        server = PrivateRedis(Path(folder))
        settings.REDIS_URL = server.url
        yield server
        server.resume()
        server.kill()


@pytest.fixture
def timeouts(monkeypatch) -> list[str]:
    """Each wait for Redis that ended without an answer."""
    found: list[str] = []
    real = connections._Guard.__exit__

    def end(guard, kind, error, traceback):
        if isinstance(error, RedisTimeoutError):
            found.append(str(error))
        real(guard, kind, error, traceback)

    monkeypatch.setattr(connections._Guard, "__exit__", end)
    return found


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "body"),
    [
        *(("auth/session/", None), ("devices/check/", None), ("me/", None)),
        *(("wallet/", None), ("content/", None), ("progress/SUBJ-MATH/", None)),
        ("progress/", None),
        *(("content/lessons/LES-MATH-0-0/", None), (COMPLETE, {"hearts": 5})),
        *(("reviews/", None), ("reviews/due/", None)),
    ],
)
def test_a_redis_that_hangs_costs_a_request_one_wait(
    phone, hanging, timeouts, path, body
):
    """Each call of Redis was tried twice for a second: 6 to 10 seconds a request."""
    phone.get("wallet/")
    hanging.pause()
    answer = phone.get(path) if body is None else phone.post(path, body)
    assert answer.status_code == 200
    assert len(timeouts) == 1


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_a_lock_that_is_held_costs_a_request_a_few_seconds(phone, student):
    """There was no limit: whoever held a lock made requests hang as long.

    With MariaDB stopped for 20 seconds the API hung for 20 seconds, too
    (`tests/crash/test_degraded.py`).
    """
    phone.post(COMPLETE, {"hearts": 5})
    holds, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            list(PlayerProfile.objects.select_for_update().filter(pk=student.pk))
            holds.set()
            done.wait(40)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert holds.wait(10)
        answer = phone.post(COMPLETE, {"hearts": 5})
        assert holder.is_alive()
        assert answer.status_code == 503
        assert answer.json()["error_code"] == "SERVICE_UNAVAILABLE"
        assert phone.get("wallet/").status_code == 200
    finally:
        done.set()
        holder.join()
    assert InteractionLog.objects.count() == 1
    assert phone.post(COMPLETE, {"hearts": 5}).status_code == 200


@pytest.mark.django_db
def test_a_request_that_has_waited_long_begins_no_statement(phone, monkeypatch):
    """Waits for Redis and for statement after statement added up to 8 seconds."""
    monkeypatch.setattr(connection, "is_limited", True)
    for path in ("me/", "wallet/"):
        assert phone.get(path).status_code == 200
    monkeypatch.setattr(time_budget, "BUDGET_SECONDS", 0.0)
    asked = []

    def note(execute, sql, *rest):
        asked.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        assert phone.get("me/").status_code == 503
    assert asked == []
    assert phone.get("wallet/").status_code == 200  # from Redis alone
