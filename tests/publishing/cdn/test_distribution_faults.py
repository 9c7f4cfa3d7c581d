"""Network faults: failed uploads are retried, and no reader meets a broken link."""

import hashlib
import threading
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import orjson
import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.utils import timezone

from content import services
from content.kinds import Kind
from content.models import LessonStage, Node
from players.models import User
from publishing import queue, sync_log, tasks, upload_log
from publishing.building import builds
from publishing.cdn import remote_state, sync, uploader
from publishing.cdn.backends.storage import targets_of
from publishing.models import (
    Alert,
    AlertKind,
    SyncLog,
    SyncStatus,
    SyncStep,
    UploadedDocument,
)
from publishing.storage import file_store
from tests.factories.content import trash_node
from tests.publishing import release
from tests.publishing.conftest import node
from tests.publishing.fake_s3 import turn_on

pytestmark = pytest.mark.django_db

MANIFEST = "plans/PLAN-A/manifest.json"
TOPIC = "plans/PLAN-A/TOP-MATH-0.json"
LESSON = "lessons/LES-MATH-0-0.json"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FAULTS = ["500", "reset", "cut", "hang", "flip", "lie"]


@pytest.fixture
def open_math(math):
    math.is_public = True
    math.save()
    return math


@pytest.fixture
def on(wire, plan, open_math):
    """The CDN is on, and has the first release."""
    current = turn_on(wire.url)
    assert publish(plan).status == SyncStatus.SUCCESS
    wire.reset()
    return current


def publish(plan) -> SyncLog:
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None, "nothing to publish"
    return entry


def edit(title: str = "Edited") -> None:
    LessonStage.objects.filter(lesson__public_id="LES-MATH-0-0").update(title=title)


def rewrite() -> None:
    """Edit everything: each file of the plan changes."""
    for lesson in Node.objects.filter(kind=Kind.LESSON):
        lesson.title = f"New {lesson.title}"
        lesson.save()


def try_again() -> SyncLog:
    SyncLog.objects.filter(status=SyncStatus.QUEUED).update(
        next_attempt_at=timezone.now() - timedelta(seconds=1)
    )
    sync.distribute()
    return SyncLog.objects.latest("pk")


def assert_closed(objects: dict[str, bytes]) -> None:
    """Every link in the bucket leads to a file; no lesson is older than linked.

    Hashes may differ while files of one name are replaced: apps expect that.
    """
    manifest = orjson.loads(objects[MANIFEST])
    assert manifest["search_index_path"] in objects
    for subject in manifest["subjects"]:
        assert subject["bitmap_path"] in objects
        hierarchy = orjson.loads(objects[subject["hierarchy_path"]])
        for track in hierarchy["tracks"]:
            for unit in track["units"]:
                for entry in unit["topics"]:
                    topic = orjson.loads(objects[entry["topic_path"]])
                    for lesson in topic["lessons"]:
                        file = orjson.loads(objects[lesson["lesson_path"]])
                        assert file["version"] >= lesson["lesson_version"]


def assert_whole(objects: dict[str, bytes]) -> None:
    assert_closed(objects)
    assert objects == release.everything()


# --- Each fault -----------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", [LESSON, TOPIC, MANIFEST])
def test_a_fault_on_the_wire_is_seen_and_mended(
    s3, wire, on, plan, impatient, fault, path
):
    before = s3.objects()
    edit()
    wire.fault = lambda method, found: (
        fault if method == "PUT" and found.endswith(path) else None
    )
    with impatient() if fault == "hang" else nullcontext():
        entry = publish(plan)
    assert (entry.status, entry.step) == (SyncStatus.QUEUED, SyncStep.UPLOAD)
    assert entry.error
    assert entry.next_attempt_at is not None
    assert release.read(LESSON)["stages"][0]["title"] == "Edited", "here it is out"
    if (
        fault != "flip"
    ):  # a server that does not check Content-MD5 keeps the wrong bytes
        assert_closed(s3.objects())
    if path != MANIFEST or fault not in ("cut", "flip"):
        assert s3.objects()[MANIFEST] == before[MANIFEST]
    wire.reset()
    assert try_again().status == SyncStatus.SUCCESS
    assert_whole(s3.objects())


@pytest.mark.parametrize("fault", ["500", "reset", "hang"])
def test_a_verification_that_fails_is_no_success(s3, wire, on, plan, impatient, fault):
    edit()
    wire.fault = lambda method, _path: fault if method == "HEAD" else None
    with impatient() if fault == "hang" else nullcontext():
        entry = publish(plan)
    assert entry.status == SyncStatus.QUEUED
    wire.reset()
    assert try_again().status == SyncStatus.SUCCESS
    assert_whole(s3.objects())


@pytest.fixture
def many_lessons(open_math) -> None:
    """So many lessons that their upload is verified by a listing."""
    for number in range(40):
        services.create_node(
            kind=Kind.LESSON,
            parent=node("TOP-MATH-0"),
            title=f"More {number}",
            public_id=f"LES-MORE-{number}",
            is_published=True,
        )


@pytest.mark.parametrize("fault", ["flip", "lie"])
def test_what_a_listing_shows_as_wrong_is_sent_again_at_once(
    s3, wire, plan, many_lessons, fault
):
    turn_on(wire.url)
    wrong = "lessons/LES-MORE-7.json"

    def once(method: str, path: str) -> str | None:
        is_it = method == "PUT" and path.endswith(wrong)
        return fault if is_it and wire.paths("PUT").count(wrong) == 1 else None

    wire.fault = once
    assert publish(plan).status == SyncStatus.SUCCESS
    assert wire.counts()["LIST"] == 1
    assert wire.paths("PUT").count(wrong) == 2
    assert_whole(s3.objects())


def test_a_listing_shows_what_was_stored_wrongly(s3, wire, plan, many_lessons):
    turn_on(wire.url)
    wrong = "lessons/LES-MORE-7.json"
    wire.fault = lambda method, path: (
        "flip" if method == "PUT" and path.endswith(wrong) else None
    )
    entry = publish(plan)
    assert wire.counts()["LIST"] == 1
    assert wrong in entry.error
    assert MANIFEST not in s3.objects()
    wire.reset()
    assert try_again().status == SyncStatus.SUCCESS
    assert wire.counts()["LIST"] == 0
    assert_whole(s3.objects())


def test_a_delete_that_fails_is_tried_again(s3, wire, on, plan):
    trash_node(node=node("LES-MATH-0-0"))
    wire.fault = lambda method, _path: "500" if method == "POST" else None
    entry = publish(plan)
    assert entry.status == SyncStatus.SUCCESS, "students have the release"
    assert LESSON in s3.objects()
    wire.reset()
    sync.distribute()
    assert_whole(s3.objects())


def test_what_cannot_be_deleted_for_an_hour_alerts_until_it_can(s3, wire, on, plan):
    with time_machine.travel(NOON, tick=False) as clock:
        trash_node(node=node("LES-MATH-0-0"))
        wire.fault = lambda method, _path: "500" if method == "POST" else None
        publish(plan)
        assert not Alert.objects.exists()
        clock.shift(timedelta(hours=1, seconds=1))
        sync.distribute()
        assert Alert.objects.get().kind == AlertKind.UPLOAD_FAILED
        assert Alert.objects.get().is_open
        wire.reset()
        sync.distribute()
        assert not Alert.objects.get().is_open


# --- A connection lost half-way -------------------------------------------------------


@pytest.mark.parametrize("after", range(10))
def test_a_partition_half_way_leaves_no_broken_link(s3, wire, on, plan, after):
    rewrite()
    trash_node(node=node("LES-MATH-1-0"))
    services.create_node(
        kind=Kind.LESSON,
        parent=node("TOP-MATH-0"),
        title="Another",
        public_id="LES-NEW",
        is_published=True,
    )
    sent = []

    def cut(method: str, path: str) -> str | None:
        if method == "PUT":
            sent.append(path)
        return "reset" if len(sent) > after else None

    wire.fault = cut
    entry = publish(plan)
    objects = s3.objects()
    assert_closed(objects)
    if entry.status != SyncStatus.SUCCESS:
        manifest = orjson.loads(objects[MANIFEST])
        mixed = {
            subject["id"]
            for subject in manifest["subjects"]
            if subject["hierarchy_hash"]
            != hashlib.sha256(objects[subject["hierarchy_path"]]).hexdigest()
        }
        assert mixed <= {"SUBJ-MATH"}, "an app sees by the hash what is mixed"
    wire.reset()
    assert try_again().status == SyncStatus.SUCCESS
    assert_whole(s3.objects())


def test_an_upload_that_resumes_sends_only_what_is_missing(s3, wire, on, plan):
    rewrite()
    wire.fault = lambda method, path: (
        "reset" if method == "PUT" and path.endswith(TOPIC) else None
    )
    publish(plan)
    sent = {path for path in wire.paths("PUT") if path != TOPIC}
    wire.reset()
    assert try_again().status == SyncStatus.SUCCESS
    assert not sent & set(wire.paths("PUT"))
    assert {TOPIC, MANIFEST} <= set(wire.paths("PUT"))


def test_after_a_kill_only_what_did_not_arrive_is_sent(s3, wire, on, plan, monkeypatch):
    rewrite()

    def die(*_args, **_kwargs):
        raise KeyboardInterrupt  # nothing is recorded after this

    with monkeypatch.context() as dying:
        dying.setattr(remote_state, "record", die)
        with pytest.raises(KeyboardInterrupt):
            publish(plan)
    arrived = set(wire.paths("PUT"))
    assert arrived
    assert UploadedDocument.objects.filter(sha256="").count() == len(arrived)
    wire.reset()
    tasks.distribute()
    assert not arrived & set(wire.paths("PUT"))
    assert SyncLog.objects.latest("pk").status == SyncStatus.SUCCESS
    assert_whole(s3.objects())


# --- Attempts -------------------------------------------------------------------------


def test_failures_follow_the_steps_to_about_an_hour_then_wait_for_retry(
    s3, wire, on, plan, django_capture_on_commit_callbacks
):
    User.objects.create_superuser("root@example.com", "root-password-1")
    steps = (30, 60, 120, 300, 900, 900, 900)
    with time_machine.travel(NOON, tick=False) as clock:
        edit()
        wire.fault = lambda _method, _path: "500"
        entry = publish(plan)
        for number, seconds in enumerate(steps, start=1):
            assert entry.status == SyncStatus.QUEUED
            assert entry.attempts == number
            assert entry.next_attempt_at == timezone.now() + timedelta(seconds=seconds)
            assert not Alert.objects.exists()
            clock.shift(timedelta(seconds=seconds - 1))
            tasks.distribute()
            entry.refresh_from_db()
            assert entry.attempts == number, "not before its time"
            clock.shift(timedelta(seconds=1))
            with django_capture_on_commit_callbacks(execute=True):
                tasks.distribute()
            entry.refresh_from_db()
        assert timedelta(minutes=50) < timezone.now() - NOON < timedelta(minutes=70)
        assert entry.status == SyncStatus.FAILED
        alert = Alert.objects.get()
        assert (alert.kind, alert.key) == (AlertKind.UPLOAD_FAILED, "PLAN-A")
        assert len(mail.outbox) == 1
        assert "Retry" in mail.outbox[0].body
        wire.reset()
        clock.shift(timedelta(hours=3))
        tasks.distribute()
        entry.refresh_from_db()
        assert entry.status == SyncStatus.FAILED, "it waits for somebody"
        assert wire.counts() == {}
        assert upload_log.failures() == [entry]
        assert sync_log.can_retry(entry)
        sync_log.retry(entry)
        tasks.distribute()
    entry.refresh_from_db()
    assert entry.status == SyncStatus.SUCCESS
    assert upload_log.failures() == []
    assert not Alert.objects.get().is_open
    assert_whole(s3.objects())


def test_uploads_that_fail_for_an_hour_alert_though_edits_go_on(
    s3, wire, on, plan, django_capture_on_commit_callbacks
):
    """Each edit starts a run with its own attempts; the hour is counted per plan."""
    User.objects.create_superuser("root@example.com", "root-password-1")
    wire.fault = lambda method, _path: "500" if method == "PUT" else None
    begin = timezone.now()
    with time_machine.travel(begin, tick=False) as clock:
        for minutes in (0, 25, 50, 75, 100):
            clock.move_to(begin + timedelta(minutes=minutes))
            edit(f"At {minutes}")
            with django_capture_on_commit_callbacks(execute=True):
                entry = publish(plan)
            assert (entry.status, entry.attempts) == (SyncStatus.QUEUED, 1)
            assert Alert.objects.exists() == (minutes > 60)
        alert = Alert.objects.get()
        assert (alert.kind, alert.key) == (AlertKind.UPLOAD_FAILED, "PLAN-A")
        assert "more than an hour" in alert.message
        assert len(mail.outbox) == 1
        wire.reset()
        edit("At last")
        assert publish(plan).status == SyncStatus.SUCCESS
        assert not Alert.objects.get().is_open


def test_the_hour_of_failures_begins_anew_after_a_success(s3, wire, on, plan):
    begin = timezone.now()
    with time_machine.travel(begin, tick=False) as clock:
        for hours in range(3):
            clock.move_to(begin + timedelta(hours=hours))
            edit(f"At {hours}")
            wire.fault = lambda method, _path: "500" if method == "PUT" else None
            publish(plan)
            wire.reset()
            clock.shift(timedelta(minutes=1))
            assert try_again().status == SyncStatus.SUCCESS
    assert not Alert.objects.exists()


def test_retry_in_the_admin_uploads_and_builds_nothing(s3, wire, on, plan):
    edit()
    wire.fault = lambda _method, _path: "500"
    entry = publish(plan)
    SyncLog.objects.filter(pk=entry.pk).update(
        status=SyncStatus.FAILED, next_attempt_at=None
    )
    wire.reset()
    browser = Client()
    browser.force_login(User.objects.create_superuser("root@example.com", "pw-12345"))
    browser.post(
        "/admin/publishing/synclog/",
        {"action": "retry", "_selected_action": [entry.pk]},
    )
    entry.refresh_from_db()
    assert entry.status == SyncStatus.SUCCESS
    assert SyncLog.objects.latest("pk") == entry
    assert_whole(s3.objects())


def test_a_new_edit_is_uploaded_even_while_an_upload_waits_for_retry(
    s3, wire, on, plan
):
    edit()
    wire.fault = lambda _method, _path: "500"
    failed = publish(plan)
    SyncLog.objects.filter(pk=failed.pk).update(
        status=SyncStatus.FAILED, next_attempt_at=None
    )
    wire.reset()
    edit("Again")
    assert publish(plan).status == SyncStatus.SUCCESS
    assert upload_log.failures() == []
    assert_whole(s3.objects())


def test_a_failed_upload_holds_up_no_build_and_undoes_no_release(s3, wire, on, plan):
    wire.fault = lambda _method, _path: "reset"
    for number in range(3):
        edit(f"Edit {number}")
        entry = publish(plan)
        assert entry.status == SyncStatus.QUEUED
        assert release.read(LESSON)["stages"][0]["title"] == f"Edit {number}"
    assert SyncLog.objects.filter(status=SyncStatus.QUEUED).count() == 1
    tasks.watch_queue()
    entry.refresh_from_db()
    assert entry.status == SyncStatus.QUEUED, "the upload is still owed"


def test_turning_the_cdn_off_ends_what_waits(s3, wire, on, plan):
    edit()
    wire.fault = lambda _method, _path: "500"
    entry = publish(plan)
    on.cdn_enabled = False
    on.save()
    tasks.distribute()
    entry.refresh_from_db()
    assert entry.status == SyncStatus.LOCAL_ONLY


def test_a_file_damaged_here_is_not_uploaded(s3, wire, on, plan, monkeypatch):
    edit()
    read = file_store.read
    monkeypatch.setattr(
        file_store, "read", lambda path: b"{}" if path == LESSON else read(path)
    )
    distributed = s3.objects()
    entry = publish(plan)
    assert entry.status == SyncStatus.QUEUED
    assert "check_content" in entry.error
    assert s3.objects() == distributed


def test_a_worker_that_died_leaves_an_upload_for_the_next(s3, wire, on, plan):
    edit()
    entry = builds.build_plan(plan.pk)
    assert (entry.status, entry.step) == (SyncStatus.QUEUED, SyncStep.UPLOAD)
    SyncLog.objects.filter(pk=entry.pk).update(status=SyncStatus.PROCESSING)
    sync_log.close_stale()
    tasks.distribute()
    entry.refresh_from_db()
    assert entry.status == SyncStatus.SUCCESS
    assert_whole(s3.objects())


# --- Two distributors -----------------------------------------------------------------


def test_one_distributor_at_a_time(on, wire, plan):
    edit()
    builds.build_plan(plan.pk)
    with queue.distribution_lock() as held:
        assert held
        assert sync.distribute() is False
    assert wire.counts() == {}
    assert sync.distribute() is True


def test_an_older_upload_that_arrives_late_does_not_stay(s3, wire, on, plan):
    """The first distributor's request is delayed; the second one overtakes it."""
    with time_machine.travel(NOON, tick=False) as clock:
        edit("Old")
        wire.fault = lambda method, path: (
            "late" if method == "PUT" and path.endswith(LESSON) else None
        )
        publish(plan)
        wire.fault = lambda _method, _path: None
        edit("New")
        assert publish(plan).status == SyncStatus.SUCCESS
        wire.deliver()
        assert b"Old" in s3.objects()[LESSON], "the race was lost"
        clock.shift(timedelta(minutes=6))
        sync.distribute()  # checks the object again: its record is in doubt
        sync.distribute()
    assert_whole(s3.objects())
    assert b"New" in s3.objects()[LESSON]


def test_an_upload_that_arrives_after_the_delete_does_not_stay(s3, wire, on, plan):
    """A delayed request must not bring a gated lesson back."""
    with time_machine.travel(NOON, tick=False) as clock:
        edit("Old")
        wire.fault = lambda method, path: (
            "late" if method == "PUT" and path.endswith(LESSON) else None
        )
        publish(plan)
        wire.fault = lambda _method, _path: None
        trash_node(node=node("LES-MATH-0-0"))
        publish(plan)
        assert LESSON not in s3.objects()
        wire.deliver()
        assert LESSON in s3.objects(), "the race was lost"
        clock.shift(timedelta(seconds=30))
        sync.distribute()
        assert LESSON not in s3.objects()
        clock.shift(timedelta(minutes=6))
        sync.distribute()
    assert_whole(s3.objects())
    assert not UploadedDocument.objects.filter(path=LESSON).exists()


@pytest.fixture
def overtaken(on, plan, monkeypatch):
    """Let another distributor claim the lesson before this one records it."""
    record = remote_state.record

    def record_too_late(target, *args, **kwargs):
        claim(target, LESSON, token="another")
        return record(target, *args, **kwargs)

    with monkeypatch.context() as overtaking:
        overtaking.setattr(remote_state, "record", record_too_late)
        yield overtaking


def claim(target: str, path: str, *, token: str) -> None:
    switch_number = UploadedDocument.objects.get(path=path).switch_number
    now = timezone.now()
    remote_state.claim(
        target, [path], token=token, switch_number=switch_number, now=now
    )


def test_who_was_overtaken_leaves_it_to_the_other(s3, on, plan, overtaken):
    """Without the lock, two upload one object: the record of the later claim counts."""
    target = targets_of(on).public.id
    edit()
    builds.build_plan(plan.pk)
    distributor = uploader.Uploader.of(on)
    with pytest.raises(remote_state.ClaimLostError):
        distributor.upload(plan.publication.pk, uploader.Sent())
    overtaken.undo()
    row = UploadedDocument.objects.get(path=LESSON)
    assert (row.sha256, row.claim) == ("", "another")
    assert row.recheck_at is not None, "an upload of the first may arrive after that"
    digest = hashlib.sha256(s3.objects()[LESSON]).hexdigest()
    remote_state.record(target, {LESSON: (digest, 1)}, token="another")
    row.refresh_from_db()
    assert (row.sha256, row.claim) == (digest, "")
    sync.distribute()
    assert_whole(s3.objects())


def test_being_overtaken_is_no_attempt(s3, wire, on, plan, overtaken):
    edit()
    entry = publish(plan)
    assert (entry.status, entry.attempts, entry.error) == (SyncStatus.QUEUED, 0, "")
    assert wire.paths("PUT") == [LESSON], "the other one goes on"
    overtaken.undo()
    tasks.distribute()
    entry.refresh_from_db()
    assert (entry.status, entry.attempts) == (SyncStatus.SUCCESS, 1)
    assert_whole(s3.objects())


def test_who_finds_the_same_recorded_by_another_goes_on(on, plan):
    target = targets_of(on).public.id
    claim(target, LESSON, token="first")
    claim(target, LESSON, token="second")
    same = {LESSON: ("a" * 64, 1)}
    remote_state.record(target, same, token="second")
    remote_state.record(target, same, token="first")
    row = UploadedDocument.objects.get(path=LESSON)
    assert (row.sha256, row.claim) == ("a" * 64, "")


def test_who_finds_something_else_recorded_by_another_believes_nothing(on, plan):
    target = targets_of(on).public.id
    claim(target, LESSON, token="first")
    claim(target, LESSON, token="second")
    remote_state.record(target, {LESSON: ("b" * 64, 1)}, token="second")
    with pytest.raises(remote_state.StateChangedError):
        remote_state.record(target, {LESSON: ("a" * 64, 1)}, token="first")
    row = UploadedDocument.objects.get(path=LESSON)
    assert (row.sha256, row.claim) == ("", "")


def test_what_a_distributor_has_claimed_stays_its_own(on):
    target = targets_of(on).public.id
    claim(target, LESSON, token="at it")
    remote_state.mark_unknown(target, [LESSON, TOPIC])
    remote_state.remove_records(target, [LESSON], token="another")
    rows = UploadedDocument.objects.filter(path__in=[LESSON, TOPIC])
    assert dict(rows.values_list("path", "claim")) == {LESSON: "at it", TOPIC: ""}
    assert set(rows.values_list("sha256", flat=True)) == {""}


def test_a_late_claim_is_looked_at_again_five_minutes_after_it_was_made(
    s3, wire, on, plan
):
    """Not five minutes after the start of the upload, which may be hours ago."""
    rewrite()
    with time_machine.travel(NOON, tick=False) as clock:
        builds.build_plan(plan.pk)
        claim(targets_of(on).public.id, MANIFEST, token="dead")

        def slow(method: str, path: str) -> None:
            if method == "PUT" and path.endswith(LESSON):
                clock.shift(timedelta(minutes=20))

        wire.before = slow
        sync.distribute()
        row = UploadedDocument.objects.get(path=MANIFEST)
        assert row.recheck_at == NOON + timedelta(minutes=25)


def test_an_older_switch_does_not_change_what_a_newer_one_has_claimed(on, plan):
    target = targets_of(on).public.id
    remote_state.claim(
        target, [LESSON], token="new", switch_number=10**6, now=timezone.now()
    )
    with pytest.raises(remote_state.StateChangedError):
        remote_state.claim(
            target, [TOPIC, LESSON], token="old", switch_number=1, now=timezone.now()
        )
    assert UploadedDocument.objects.get(path=LESSON).claim == "new"
    assert UploadedDocument.objects.get(path=TOPIC).claim == ""


@pytest.mark.django_db(transaction=True)
def test_two_distributors_at_once_both_come_to_an_end(
    worker_starts, s3, wire, on, plan, monkeypatch
):
    """As without Redis: the second one overtakes the first in the middle of a PUT."""
    edit()
    entry = builds.build_plan(plan.pk)
    done = threading.Event()

    def work() -> None:
        from django.db import connection

        sync.distribute()
        connection.close()

    def meanwhile(method: str, _path: str) -> None:
        if method == "PUT" and not done.is_set():
            done.set()
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

    monkeypatch.setattr(queue, "distribution_lock", lambda: nullcontext(True))
    wire.before = meanwhile
    sync.distribute()
    assert done.is_set()
    entry.refresh_from_db()
    assert (entry.status, entry.error) == (SyncStatus.SUCCESS, "")
    assert not UploadedDocument.objects.filter(sha256="").exists()
    assert_whole(s3.objects())


@pytest.mark.django_db(transaction=True)
def test_a_release_switched_in_during_an_upload_is_uploaded_too(
    worker_starts, s3, wire, plan, open_math
):
    turn_on(wire.url)
    publish(plan)
    edit("First")
    done = threading.Event()

    def meanwhile(method: str, path: str) -> None:
        if method == "PUT" and path.endswith(TOPIC) and not done.is_set():
            done.set()
            thread = threading.Thread(target=another_build)
            thread.start()
            thread.join()

    def another_build() -> None:
        from django.db import connection

        edit("Second")
        builds.build_plan(plan.pk)
        connection.close()

    wire.before = meanwhile
    publish(plan)
    assert done.is_set()
    sync.distribute()
    assert_whole(s3.objects())
    assert release.read(LESSON)["stages"][0]["title"] == "Second"
