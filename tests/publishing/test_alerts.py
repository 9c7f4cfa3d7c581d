"""System Managers get one mail about each problem, and one when it is over."""

import errno
import os
import threading

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection, transaction
from django.utils.translation import gettext_lazy

from content.models import LessonStage
from players.roles import SYSTEM_MANAGERS
from publishing import alerts, sync_log, tasks
from publishing.building import builds, sweep
from publishing.models import Alert, AlertKind, SyncLog, SyncStatus
from publishing.storage import file_store
from tests.publishing import release

pytestmark = pytest.mark.django_db

DISK = {"kind": AlertKind.DISK_LOW, "key": "", "message": "The disk is full."}


class BrokenBackend(EmailBackend):
    """A mail server that does not answer."""

    def send_messages(self, _messages):
        raise ConnectionRefusedError


@pytest.fixture(autouse=True)
def _mail_goes_at_once(monkeypatch):
    """Run on-commit callbacks immediately: the test's transaction never commits."""
    monkeypatch.setattr(
        transaction, "on_commit", lambda function, using=None, robust=False: function()
    )


@pytest.fixture
def manager():
    user = get_user_model().objects.create_user("manager@school.example")
    user.groups.add(Group.objects.get_or_create(name=alerts.RECIPIENTS)[0])
    return user


@pytest.fixture
def broken_mail(settings):
    settings.EMAIL_BACKEND = f"{__name__}.BrokenBackend"


@pytest.fixture
def disk(monkeypatch):
    """The disk: 1,000 bytes, of which ``disk.free`` are free."""
    usage = type("Usage", (), {"total": 1_000_000, "free": 500_000})
    monkeypatch.setattr(file_store.shutil, "disk_usage", lambda _path: usage)
    return usage


def test_the_group_is_the_role_of_players():
    assert alerts.RECIPIENTS == SYSTEM_MANAGERS


def test_an_alert_is_mailed_once(manager):
    for _time in range(3):
        alerts.raise_alert(**DISK)
    tasks.watch_disk()
    assert Alert.objects.count() == 1
    (message,) = mail.outbox
    assert message.recipients() == ["manager@school.example"]
    assert "The disk is full." in message.body
    assert "/admin/" in message.body


def test_two_keys_are_two_alerts(manager):
    for key in ("PLAN-A", "PLAN-B"):
        alerts.raise_alert(kind=AlertKind.DEAD_LETTER, key=key, message="Dead.")
    assert len(mail.outbox) == 2


def test_superusers_are_told_when_the_group_has_no_active_member(manager):
    manager.is_active = False
    manager.save()
    get_user_model().objects.create_superuser("root@school.example", "secret")
    alerts.raise_alert(**DISK)
    assert mail.outbox[0].recipients() == ["root@school.example"]


def test_an_alert_speaks_the_sites_language(manager, settings):
    settings.LANGUAGE_CODE = "ar"
    alert = alerts.raise_alert(
        kind=AlertKind.DEAD_LETTER,
        key="PLAN-A",
        message=gettext_lazy("Arabic"),
    )
    assert alert.message == "العربية"


def test_mail_that_fails_is_tried_again(manager, settings, broken_mail):
    alerts.raise_alert(**DISK)
    assert Alert.objects.get().sent_at is None
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert alerts.send_unsent() == 1
    assert alerts.send_unsent() == 0
    assert len(mail.outbox) == 1


def test_an_alert_nobody_can_be_told_of_waits_for_somebody():
    alerts.raise_alert(**DISK)
    assert Alert.objects.get().sent_at is None
    get_user_model().objects.create_superuser("root@school.example", "secret")
    assert alerts.send_unsent() == 1


def test_mail_half_sent_by_a_killed_worker_is_tried_again_later(
    manager, settings, broken_mail, monkeypatch
):
    def die(*_args):
        raise SystemExit

    with time_machine.travel(1_800_000_000, tick=False) as clock:
        alerts.raise_alert(**DISK)
        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        with monkeypatch.context() as patch:
            patch.setattr(alerts, "_mail", die)
            with pytest.raises(SystemExit):
                alerts.send_unsent()
        assert alerts.send_unsent() == 0, "somebody may still be at it"
        clock.shift(301)
        assert alerts.send_unsent() == 1


def test_a_new_occurrence_is_a_new_alert(manager):
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        alerts.raise_alert(**DISK)
        assert alerts.resolve(kind=AlertKind.DISK_LOW, key="")
        assert not alerts.resolve(kind=AlertKind.DISK_LOW, key="")
        clock.shift(3600)
        alerts.raise_alert(**DISK)
    assert Alert.objects.filter(open_key=None).count() == 1
    assert len(mail.outbox) == 2


def test_what_comes_back_at_once_is_the_same_alert(manager):
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        alerts.raise_alert(**DISK)
        alerts.resolve(kind=AlertKind.DISK_LOW, key="")
        clock.shift(60)
        alerts.raise_alert(**DISK)
    assert Alert.objects.get().is_open
    assert len(mail.outbox) == 1


# --- The disk -------------------------------------------------------------------------


def test_a_full_disk_is_told_within_a_minute_and_over_by_itself(manager, disk):
    disk.free = 99_999
    tasks.watch_disk()
    tasks.watch_disk()
    assert len(mail.outbox) == 1
    assert "10.0 %" in Alert.objects.get().message
    disk.free = 100_001
    tasks.watch_disk()
    assert not Alert.objects.get().is_open


def test_publishing_pauses_and_goes_on_when_there_is_space(plan, manager, disk):
    disk.free = 100_000
    sweep.process_pending(limit=10)
    entry = SyncLog.objects.get()
    assert (entry.status, entry.attempts) == (SyncStatus.QUEUED, 0)
    assert not release.root().joinpath("plans/PLAN-A").exists()
    assert "needs 0.0 MB" in Alert.objects.get().message
    disk.free = 500_000
    tasks.watch_disk()
    entry.refresh_from_db()
    assert entry.status == SyncStatus.LOCAL_ONLY
    assert not Alert.objects.get().is_open
    release.walk("PLAN-A")


def test_too_little_for_the_build_that_waits_keeps_its_one_alert(plan, manager, disk):
    """The limit is not reached yet, but the next release would exceed it."""
    disk.free = 100_500
    sweep.process_pending(limit=10)
    for _minute in range(3):
        tasks.watch_disk()
        tasks.watch_queue()
    assert Alert.objects.get().is_open
    assert len(mail.outbox) == 1
    assert SyncLog.objects.get().status == SyncStatus.QUEUED


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_during_the_build_uses_up_no_attempt(
    plan, manager, disk, monkeypatch, reason
):
    def full(**_kwargs):
        raise OSError(reason, os.strerror(reason))

    with monkeypatch.context() as patch:
        patch.setattr(file_store, "write_generation", full)
        for _minute in range(8):
            builds.publish_plan(plan.pk)
            tasks.watch_disk()
    entry = SyncLog.objects.get()
    assert entry.attempts == 0
    assert len(mail.outbox) == 1
    tasks.watch_disk()
    entry.refresh_from_db()
    assert entry.status == SyncStatus.LOCAL_ONLY
    assert not Alert.objects.get().is_open


# --- Dead letters ---------------------------------------------------------------------


@pytest.fixture
def dead_letter(plan, settings):
    settings.PUBLISH_RETRY_DELAYS = ()
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="")
    return builds.publish_plan(plan.pk)


def test_a_dead_letter_is_told_with_its_place(manager, dead_letter):
    assert dead_letter.status == SyncStatus.DEAD_LETTER
    assert "lessons/LES-MATH-0-0.json" in mail.outbox[0].body
    assert Alert.objects.get().key == "PLAN-A"


def test_success_ends_the_dead_letters_alert(plan, manager, dead_letter):
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="Read")
    builds.publish_plan(plan.pk)
    assert not Alert.objects.get().is_open


def test_a_plan_no_longer_published_ends_its_dead_letter(plan, manager, dead_letter):
    type(plan).objects.filter(pk=plan.pk).update(is_published=False)
    tasks.watch_queue()
    dead_letter.refresh_from_db()
    assert dead_letter.status == SyncStatus.SUPERSEDED
    assert not Alert.objects.get().is_open


def test_a_deleted_plan_ends_its_dead_letter(worker_starts, plan, manager, dead_letter):
    plan.delete()
    tasks.watch_queue()
    dead_letter.refresh_from_db()
    assert dead_letter.status == SyncStatus.SUPERSEDED
    assert not Alert.objects.get().is_open


def test_broken_mail_breaks_no_build(plan, manager, broken_mail, dead_letter):
    assert dead_letter.status == SyncStatus.DEAD_LETTER
    assert Alert.objects.get().is_open


def test_retrying_all_dead_letters_tries_them_at_once(plan, dead_letter):
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="Read")
    assert sync_log.retry_all() == 1
    tasks.watch_queue()
    assert SyncLog.objects.get().status == SyncStatus.LOCAL_ONLY


def test_a_due_retry_does_not_wait_for_the_sweep(plan):
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="")
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        builds.publish_plan(plan.pk)
        tasks.watch_queue()
        assert SyncLog.objects.get().attempts == 1
        clock.shift(30)
        tasks.watch_queue()
        assert SyncLog.objects.get().attempts == 2


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_two_who_raise_at_once_raise_one_alert(manager):
    start = threading.Barrier(4)

    def raise_it():
        try:
            start.wait()
            alerts.raise_alert(**DISK)
        finally:
            connection.close()

    threads = [threading.Thread(target=raise_it) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Alert.objects.count() == 1
    assert Alert.objects.get().is_open
