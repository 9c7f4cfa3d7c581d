"""``/healthz`` and ``/readyz``: correct, fast, without secrets."""

import threading
import time
from pathlib import Path

import pytest
from django.test import Client

from memora_site import health
from publishing import queue
from publishing.models import PublishingSettings

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def ready(settings) -> None:
    """Everything that the server needs is available."""
    Path(settings.CONTENT_ROOT).mkdir()
    settings.CELERY_BROKER_URL = settings.REDIS_URL
    if settings.REDIS_URL.startswith("unix://"):
        path = settings.REDIS_URL.removeprefix("unix://").partition("?")[0]
        settings.CELERY_BROKER_URL = f"redis+socket://{path}?virtual_host=0"
    queue.record_beat_heartbeat(time.time())


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Set the deadline of the checks to 50 ms."""
    monkeypatch.setattr(health, "DEADLINE_SECONDS", 0.05)


def test_healthz_asks_nobody(client: Client, settings):
    settings.REDIS_URL = NOWHERE

    response = client.get("/healthz")

    assert response.status_code == 200
    assert response.json() == {"ok": True}


@pytest.mark.django_db
def test_readyz_is_ok_when_every_check_passes(client: Client, ready):
    response = client.get("/readyz")

    assert response.json() == {
        "ok": True,
        "checks": {
            name: {"ok": True}
            for name in (
                "database",
                "redis",
                "broker",
                "disk",
                "publishing",
                "workers",
                "periodic_jobs",
            )
        },
    }
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]


def failed(client: Client) -> dict[str, str]:
    """The failed checks and their errors, of a server that is not ready."""
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["ok"] is False
    checks = response.json()["checks"]
    return {name: check["why"] for name, check in checks.items() if not check["ok"]}


@pytest.mark.django_db
def test_a_redis_that_is_down_is_a_503_in_words(client: Client, ready, settings):
    settings.REDIS_URL = "redis://user:hunter2@127.0.0.1:1/0"

    assert failed(client) == {
        "redis": "Redis does not answer.",
        "workers": "Redis does not answer.",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("is_beat", [False, True])
def test_a_silent_worker_is_said_and_fails_nothing(
    client: Client, ready, redis_client, is_beat
):
    """Students can read and learn without a worker: load balancers must keep us."""
    redis_client.flushdb()
    if is_beat:
        queue.record_worker_heartbeat(time.time())
    response = client.get("/readyz")
    assert response.status_code == 200
    body = response.json()
    assert body["ok"] is True
    why = "Beat is not running." if is_beat else "No worker is running."
    assert body["checks"].pop("workers") == {"ok": False, "why": why}
    assert all(check["ok"] for check in body["checks"].values())


@pytest.mark.django_db
def test_a_broker_that_is_down_is_a_503(client: Client, ready, settings):
    settings.CELERY_BROKER_URL = NOWHERE

    assert failed(client) == {
        "broker": "The message broker of the workers does not answer."
    }


def test_a_database_that_does_not_answer_is_a_503(client: Client, ready):
    # Without the database mark, pytest-django refuses every query, like a dead server.
    assert failed(client) == {"database": "The database does not answer."}


@pytest.mark.django_db
def test_a_missing_content_root_is_a_503(client: Client, ready, settings):
    Path(settings.CONTENT_ROOT).rmdir()

    assert failed(client) == {"publishing": "The content root does not exist."}


@pytest.mark.django_db
def test_a_content_root_that_cannot_be_written_is_a_503(
    client: Client, ready, monkeypatch
):
    monkeypatch.setattr(health.os, "access", lambda *_args: False)

    assert failed(client) == {"publishing": "The content root cannot be written."}


@pytest.mark.django_db(transaction=True)
def test_a_disk_below_the_operators_line_is_a_503(client: Client, ready, monkeypatch):
    PublishingSettings.objects.create(min_free_disk_percent=40)
    usage = type("Usage", (), {"total": 1000, "free": 399})
    monkeypatch.setattr(health.shutil, "disk_usage", lambda _folder: usage)

    assert failed(client) == {
        "disk": "39.9 % of the disk is free; publishing pauses below 40 %."
    }


@pytest.mark.django_db
def test_the_reason_is_in_the_callers_language(client: Client, ready, settings):
    settings.REDIS_URL = NOWHERE

    response = client.get("/readyz", headers={"Accept-Language": "ar"})

    assert response.headers["Content-Language"] == "ar"
    assert response.json()["checks"]["redis"]["ok"] is False


def test_a_check_that_hangs_is_a_failure_and_is_not_started_twice(impatient):
    started = []
    let_go = threading.Event()

    def hang() -> None:
        started.append(1)
        let_go.wait()

    try:
        for _request in range(3):
            assert health.run({"stuck": hang}) == {
                "stuck": "No answer within 0.05 seconds."
            }
    finally:
        let_go.set()

    assert len(started) == 1


def test_a_check_with_a_bug_is_a_failure_not_an_error_page():
    def broken() -> None:
        raise ZeroDivisionError

    assert health.run({"broken": broken}) == {
        "broken": "The check itself failed; see the log."
    }


def test_only_reading_is_allowed(client: Client):
    assert client.post("/readyz").status_code == 405
    assert client.head("/healthz").status_code == 200
