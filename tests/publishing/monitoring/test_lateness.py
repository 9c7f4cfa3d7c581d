"""Write-backs and reconciliation that are late: the alert, and where it is shown."""

from datetime import UTC, datetime

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.utils import translation

from memora_site import health
from players.models import User, WriteBackRun
from progress.services import reconciliation
from publishing import tasks
from publishing.admin_views.dashboard_views import headlines
from publishing.models import Alert, AlertKind
from publishing.monitoring import dashboard, lateness

pytestmark = pytest.mark.django_db

START = 1_800_000_000
KIND = reconciliation.KIND
OTHERS = ("wallets", "subjects")
LATE = 10 * 60
"""After how many seconds reconciliation is late."""


@pytest.fixture
def clock():
    """A stopped clock, moved by `shift`."""
    User.objects.create_superuser("root@example.com", "root-password-1")
    with time_machine.travel(START, tick=False) as found:
        yield found


@pytest.fixture
def beat(clock, django_capture_on_commit_callbacks):
    """Let beat run for some minutes; every other job completes each minute."""

    def run(minutes: int) -> None:
        for _minute in range(minutes):
            clock.shift(60)
            for kind in OTHERS:
                complete(kind)
            with django_capture_on_commit_callbacks(execute=True):
                tasks.heartbeat()

    return run


def complete(kind: str = KIND) -> None:
    now = datetime.now(UTC)
    WriteBackRun.objects.update_or_create(pk=kind, defaults={"complete_until": now})


def opened() -> Alert | None:
    return Alert.objects.filter(kind=AlertKind.LATE, open_key__isnull=False).first()


def lag() -> lateness.JobLag:
    jobs = {job.name: job for job in lateness.load(datetime.now(UTC))}
    return jobs[KIND]


# --- What is late ---------------------------------------------------------------------


def test_a_job_that_completes_is_not_late(beat):
    for _time in range(3):
        complete()
        beat(9)
    assert (lag().lag_seconds, lag().is_late) == (9 * 60, False)
    assert opened() is None


def test_a_job_without_a_complete_run_for_its_time_is_late(beat):
    beat(1)
    complete()
    beat(LATE // 60)
    assert not lag().is_late
    beat(1)
    assert (lag().lag_seconds, lag().is_late) == (LATE + 60, True)


def test_a_job_that_never_completed_counts_from_the_start_of_beat(beat):
    assert lag().lag_seconds is None
    beat(1 + LATE // 60)
    assert (lag().lag_seconds, lag().is_late) == (LATE, False)
    beat(1)
    assert lag().is_late


def test_a_site_that_starts_after_a_night_off_is_not_late_at_once(beat, clock):
    complete()
    beat(2)
    clock.shift(8 * 3600)
    beat(1 + LATE // 60)
    assert lag().lag_seconds > 8 * 3600
    assert opened() is None
    beat(1)
    assert "no complete run for 494 minutes" in opened().message


def test_a_short_gap_of_beat_does_not_count(beat, clock, settings):
    complete()
    beat(5)
    clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS - 61)
    beat(5)
    assert lag().is_late


def test_while_beat_is_silent_nothing_is_late(beat, clock, settings):
    complete()
    beat(9)
    clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS)
    assert not lag().is_late


def test_without_redis_nothing_is_late(beat, settings):
    complete()
    beat(12)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert not lag().is_late
    Alert.objects.all().delete()
    lateness.check(datetime.now(UTC))
    assert opened() is None


# --- The alert ------------------------------------------------------------------------


def test_a_late_job_raises_one_alert_with_one_mail(beat):
    complete()
    beat(14)
    alert = opened()
    assert alert.key == KIND
    assert alert.message.startswith(
        "Reconciliation of Redis: no complete run for 14 minutes. Nothing is lost"
    )
    assert len(mail.outbox) == 1
    assert "write-back-late.md" in mail.outbox[0].body


def test_a_complete_run_ends_it(beat):
    complete()
    beat(12)
    complete()
    beat(1)
    assert (opened(), len(mail.outbox)) == (None, 1)


def test_a_restart_of_beat_alone_does_not_end_it(beat, clock):
    complete()
    beat(12)
    clock.shift(3600)
    beat(2)
    assert opened()
    assert not lag().is_late


def test_each_job_has_its_own_alert(beat, clock, django_capture_on_commit_callbacks):
    for _minute in range(12):
        clock.shift(60)
        complete("wallets")
        with django_capture_on_commit_callbacks(execute=True):
            tasks.heartbeat()
    opened = Alert.objects.filter(kind=AlertKind.LATE).order_by("key")
    assert [alert.key for alert in opened] == [KIND, "subjects"]
    assert len(mail.outbox) == 2


# --- Where it is shown ----------------------------------------------------------------


@pytest.fixture
def late(beat, clock):
    complete()
    beat(12)


@pytest.mark.django_db(transaction=True)
def test_readyz_tells_it_and_stays_ready(late, monkeypatch):
    monkeypatch.setattr(health, "CHECKS", {})
    for language, why in (
        ("en", "Reconciliation of Redis: no complete run for 12 minutes."),
        ("ar", "مطابقة سجلات Redis: لم يكتمل أي تشغيل منذ 12 دقيقة."),
    ):
        answer = Client().get("/readyz", headers={"Accept-Language": language})
        assert answer.status_code == 200
        assert answer.json()["checks"]["periodic_jobs"] == {"ok": False, "why": why}


def test_the_dashboard_and_the_home_page_tell_it(late):
    facts = dashboard.load()
    texts = [line["text"] for line in headlines(facts)]
    assert "Reconciliation of Redis: no complete run for 12 minutes." in texts
    with translation.override("ar"):
        texts = [line["text"] for line in headlines(facts)]
    assert "مطابقة سجلات Redis: لم يكتمل أي تشغيل منذ 12 دقيقة." in texts


def test_the_metrics_tell_the_lag_of_each_kind(late, client):
    answer = client.get("/metrics").content.decode()
    assert 'memora_periodic_job_lag_seconds{kind="reconciliation"} 720.0' in answer
    assert 'memora_periodic_job_lag_seconds{kind="wallets"} 0.0' in answer
    assert 'memora_periodic_job_lag_seconds{kind="subjects"} 0.0' in answer
    assert 'memora_periodic_job_late{kind="reconciliation"} 1.0' in answer
    assert 'memora_periodic_job_late{kind="wallets"} 0.0' in answer
    assert 'memora_publishing_open_alerts{kind="late"} 1.0' in answer


# --- Cost -----------------------------------------------------------------------------


def test_a_look_at_jobs_that_are_not_late_is_two_queries(
    beat, django_assert_num_queries
):
    complete()
    beat(1)
    with django_assert_num_queries(2):  # the open alerts; the last runs
        lateness.check(datetime.now(UTC))
