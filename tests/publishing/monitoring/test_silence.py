"""A silent worker or beat: which requests detect it, and the alert."""

from datetime import UTC, datetime

import pytest
import redis
import time_machine
from django.core import mail
from django.db import OperationalError
from django.test import Client

from players.models import User
from publishing import alerts, queue, tasks
from publishing.models import Alert, AlertKind
from publishing.monitoring import health, silence
from publishing.monitoring.silence import Fault

pytestmark = pytest.mark.django_db

START = 1_800_000_000


@pytest.fixture
def clock(settings):
    """A stopped clock, moved by `shift`."""
    User.objects.create_superuser("root@example.com", "root-password-1")
    with time_machine.travel(START, tick=False) as found:
        yield found


@pytest.fixture
def look(django_capture_on_commit_callbacks):
    def at_once() -> None:
        with django_capture_on_commit_callbacks(execute=True):
            silence.check_heartbeats(datetime.now(UTC))

    return at_once


@pytest.fixture
def watching(settings, monkeypatch, django_capture_on_commit_callbacks):
    """Check for silence as in production. Returns a GET that needs no query."""
    settings.HEALTH_WATCH_SECONDS = 60
    monkeypatch.setattr(silence, "_next_look", 0.0)

    def get() -> None:
        with django_capture_on_commit_callbacks(execute=True):
            assert Client().get("/healthz").status_code == 200

    return get


def opened() -> Alert | None:
    return Alert.objects.filter(kind=AlertKind.SILENT, open_key__isnull=False).first()


def next_process(monkeypatch) -> None:
    """Act as another web server process, which has not checked yet."""
    monkeypatch.setattr(silence, "_next_look", 0.0)


# --- What is silent -------------------------------------------------------------------


def test_nothing_is_wrong_while_both_report(clock):
    tasks.heartbeat()
    assert silence.fault(datetime.now(UTC)) is None


def test_a_worker_that_never_reported_is_silent(clock):
    assert silence.fault(datetime.now(UTC)) is Fault.WORKER


def test_a_worker_is_silent_after_the_time_of_the_settings(clock, settings):
    tasks.heartbeat()
    clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS - 1)
    assert silence.fault(datetime.now(UTC)) is None
    clock.shift(1)
    assert silence.fault(datetime.now(UTC)) is Fault.WORKER


def test_beat_is_silent_when_the_worker_alone_reports(clock, settings):
    tasks.heartbeat()
    clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS)
    queue.record_worker_heartbeat(datetime.now(UTC).timestamp())
    assert silence.fault(datetime.now(UTC)) is Fault.BEAT


def test_without_redis_nobody_knows(clock, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert silence.fault(datetime.now(UTC)) is Fault.REDIS


# --- The alert ------------------------------------------------------------------------


def test_a_silent_worker_raises_one_alert_with_one_mail(clock, settings, look):
    tasks.heartbeat()
    clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS)
    for _minute in range(3):
        look()
        clock.shift(60)
    assert "No worker has reported for 5 minutes" in opened().message
    assert len(mail.outbox) == 1
    assert "worker-silent.md" in mail.outbox[0].body


def test_a_silent_beat_is_named(clock, settings, look):
    tasks.heartbeat()
    clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS)
    queue.record_worker_heartbeat(datetime.now(UTC).timestamp())
    look()
    assert "Beat has sent nothing for 3 minutes" in opened().message


def test_the_worker_s_next_heartbeat_ends_it(clock, settings, look):
    look()
    clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS)
    look()
    assert opened()
    tasks.heartbeat()
    assert opened() is None


def test_a_worker_that_starts_before_beat_sends_no_second_mail(clock, settings, look):
    tasks.heartbeat()
    clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS)
    look()
    queue.record_worker_heartbeat(datetime.now(UTC).timestamp())
    look()
    tasks.heartbeat()
    assert (len(mail.outbox), opened()) == (1, None)


def test_a_redis_that_lost_its_keys_is_no_silence_at_once(
    clock, settings, look, redis_client
):
    tasks.heartbeat()
    redis_client.flushdb()
    look()
    clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS - 1)
    look()
    assert opened() is None
    clock.shift(1)
    look()
    assert opened()


def test_without_redis_no_alert_is_raised_or_ended(clock, settings, look):
    look()
    clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS)
    look()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    look()
    assert opened()
    Alert.objects.all().delete()
    clock.shift(3600)
    look()
    assert opened() is None


def test_a_mail_that_failed_is_sent_by_the_next_look(
    clock, settings, look, monkeypatch
):
    tasks.heartbeat()
    clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS)
    with monkeypatch.context() as broken:
        broken.setattr(alerts.EmailMessage, "send", _refuse)
        look()
    assert (opened().sent_at, mail.outbox) == (None, [])
    look()
    assert len(mail.outbox) == 1


def _refuse(_mail) -> None:
    raise OSError("no mail server")


def test_a_health_check_by_hand_raises_the_same_alert(
    clock, settings, django_capture_on_commit_callbacks
):
    tasks.heartbeat()
    clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS)
    with django_capture_on_commit_callbacks(execute=True):
        health.check(full=False)
    assert opened()
    assert Alert.objects.count() == len(mail.outbox) == 1


# --- Which requests check -------------------------------------------------------------


def test_a_request_notices_that_the_worker_is_silent(clock, settings, watching):
    tasks.heartbeat()
    clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS)
    watching()
    assert opened()
    assert len(mail.outbox) == 1


def test_a_process_looks_once_a_minute(watching, monkeypatch):
    turns = []
    monkeypatch.setattr(queue, "claim_check", lambda _s: turns.append(1) or False)
    for _request in range(3):
        watching()
    assert len(turns) == 1
    later = silence.time.monotonic() + 61
    monkeypatch.setattr(silence.time, "monotonic", lambda: later)
    watching()
    assert len(turns) == 2


def test_one_of_all_processes_looks_in_a_minute(clock, watching, monkeypatch):
    looks = []
    monkeypatch.setattr(silence, "check_heartbeats", looks.append)
    watching()
    next_process(monkeypatch)
    watching()
    assert len(looks) == 1


def test_a_look_that_fails_harms_no_request(clock, watching, monkeypatch, caplog):
    def fail(_now) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(silence, "check_heartbeats", fail)
    watching()
    assert "silence_not_watched" in caplog.text


def test_without_redis_no_request_looks(clock, watching, settings, monkeypatch):
    looks = []
    monkeypatch.setattr(silence, "check_heartbeats", looks.append)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    watching()
    assert looks == []


def test_a_turn_ends_by_itself(redis_client: redis.Redis):
    assert queue.claim_check(60)
    assert not queue.claim_check(60)
    assert 0 < redis_client.ttl(queue.WATCH_TURN_KEY) <= 60
