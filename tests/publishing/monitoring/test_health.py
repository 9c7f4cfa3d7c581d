"""The health check finds faults of the files, and repairs them on request."""

import errno
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

import publishing.storage.activation
from content.models import LessonStage, Node
from plans.models import AcademicPlan
from plans.services import add_subject
from publishing import checks, queue, staleness, tasks
from publishing.admin_views import dashboard_views
from publishing.building import builds, rollback, sweep
from publishing.models import (
    Alert,
    FaultKind,
    HealthReport,
    PlanLesson,
    Publication,
    PublishedDocument,
    ReleaseCounters,
    SyncLog,
    SyncStatus,
    WaitingPlan,
)
from publishing.monitoring import checks as monitoring_checks, dashboard, health, status
from publishing.storage import file_store
from tests.factories.content import make_stage, make_subject, quiz
from tests.publishing import release

pytestmark = pytest.mark.django_db

LESSON = "lessons/LES-MATH-0-0.json"
TOPIC = "plans/PLAN-A/TOP-MATH-0.json"
OLD = 1_000_000_000


@pytest.fixture
def published(plan):
    """The plan's release, and a running worker."""
    tasks.heartbeat()
    builds.publish_plan(plan.pk)
    return plan


def test_an_item_in_two_stages_is_reported_in_a_full_check(published, math):
    lesson = Node.objects.get(public_id="LES-MATH-0-0")
    make_stage(lesson, type="Quiz", title="First", config=quiz("A"))
    second = make_stage(lesson, type="Quiz", title="Second", config=quiz("B"))
    builds.publish_plan(published.pk)
    assert health.check(full=True).is_sound
    LessonStage.objects.filter(pk=second.pk).update(config=quiz("A"))
    builds.publish_plan(published.pk)
    assert health.check(full=False).is_sound
    for plans in (None, ["PLAN-A"]):
        report = health.check(full=True, plans=plans, repair=True)
        (found,) = report.findings[FaultKind.REPEATED_ITEM]
        assert found["what"] == "LES-MATH-0-0"
        assert "“First” and “Second”" in found["why"]
        assert not found["repaired"]
    assert not Alert.objects.exists()


def test_media_that_students_cannot_open_are_reported_in_a_full_check(
    published, settings, tmp_path
):
    settings.VIDEO_ROOT = tmp_path / "videos"
    lesson = Node.objects.get(public_id="LES-MATH-0-0")
    make_stage(lesson, type="Video", title="Clip", config={"source": "none.mp4"})
    body = '<p><img src="/media/images/none.png" alt=""></p>'
    make_stage(lesson, title="Words", config={"format": "html", "body": body})
    Node.objects.filter(pk=lesson.pk).update(image="images/cover.png")
    builds.publish_plan(published.pk)
    assert health.check(full=False).is_sound
    report = health.check(full=True, repair=True)
    reasons = [fault["why"] for fault in report.findings[FaultKind.MISSING_MEDIA]]
    assert reasons == [
        "“Clip”, source: there is no video “none.mp4”",
        "“Words”, body: there is no file “images/none.png”",
        "there is no file “images/cover.png”",
    ]
    assert not Alert.objects.exists()
    (settings.VIDEO_ROOT).mkdir()
    (settings.VIDEO_ROOT / "none.mp4").write_bytes(b"video")
    report = health.check(full=True, plans=["PLAN-A"])
    assert len(report.findings[FaultKind.MISSING_MEDIA]) == 1


@pytest.fixture
def other(published, math):
    """A second plan with the same lessons."""
    plan = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    add_subject(plan=plan, subject=math)
    builds.publish_plan(plan.pk)
    return plan


def spoil(path: str) -> None:
    (release.root() / path).write_bytes(b'{"version": 1}')


def unneeded(lesson_id: str) -> None:
    """Delete a lesson whose file remains."""
    PlanLesson.objects.filter(lesson_id=lesson_id).delete()
    Node.objects.filter(public_id=lesson_id).delete()


def write(path: str, *, age: bool = True) -> None:
    """Write an unpublished file; old enough to be deleted unless ``age`` is False."""
    file = release.root() / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{}")
    if age:
        os.utime(file, (OLD, OLD))


def found(report: HealthReport, kind: FaultKind) -> set[str]:
    return {fault["what"] for fault in report.findings.get(kind, [])}


# --- Findings -------------------------------------------------------------------------


def test_a_whole_release_has_no_faults(published):
    report = health.check(full=True)
    assert (report.counts, report.faults, report.files_checked) == ({}, 0, 10)
    assert report.facts["runs"] == 1


def test_every_missing_and_corrupt_file_is_named(published):
    (release.root() / LESSON).unlink()
    spoil("lessons/LES-MATH-1-1.json")
    spoil("plans/PLAN-A/search_index.json")
    report = health.check(full=True)
    assert found(report, FaultKind.MISSING) == {LESSON}
    assert found(report, FaultKind.CORRUPT) == {
        "lessons/LES-MATH-1-1.json",
        "plans/PLAN-A/search_index.json",
    }
    # The manifest's link to the index is broken as well.
    assert found(report, FaultKind.BROKEN_LINK) == {"plans/PLAN-A/search_index.json"}
    assert not report.is_sound


def test_a_file_that_cannot_be_read_is_corrupt(published):
    (release.root() / LESSON).unlink()
    (release.root() / LESSON).mkdir()
    assert found(health.check(full=True), FaultKind.CORRUPT) == {LESSON}


def test_a_lesson_older_than_its_topic_names_is_a_broken_link(published):
    PublishedDocument.objects.filter(path=LESSON).update(version=1)
    assert found(health.check(full=True), FaultKind.BROKEN_LINK) == {LESSON}


def test_a_link_to_another_generation_than_the_tables_say_is_found(published):
    Publication.objects.update(generation=77)
    assert found(health.check(full=True), FaultKind.WRONG_GENERATION) == {"PLAN-A"}


@pytest.fixture
def unreadable_link(published, other, monkeypatch):
    """Reading the symlink of PLAN-A fails, so its current generation is unknown."""
    real = os.readlink

    def readlink(path):
        if Path(path).name == "PLAN-A":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(os, "readlink", readlink)


@pytest.mark.parametrize("full", [True, False])
def test_a_link_that_cannot_be_read_is_found(unreadable_link, full):
    faults = health.check(full=full).findings[FaultKind.WRONG_GENERATION]
    assert [(fault["what"], fault["why"]) for fault in faults] == [
        ("PLAN-A", "it cannot be read: Input/output error")
    ]


def test_what_cannot_be_read_of_a_plan_keeps_no_other_from_repair(unreadable_link):
    (release.root() / "plans/PLAN-B/manifest.json").unlink()
    file_store.begin_switch(99)
    report = health.check(full=True, repair=True)
    assert found(report, FaultKind.WRONG_GENERATION) == {"PLAN-A"}
    assert report.faults == 1
    release.walk("PLAN-B")


def test_a_plan_is_built_anew_once_its_link_can_be_read(unreadable_link, monkeypatch):
    file_store.begin_switch(99)
    sweep.process_pending(limit=10)
    monkeypatch.undo()
    for entry in SyncLog.objects.filter(status=SyncStatus.QUEUED):
        builds.publish_plan(entry.plan_id)
    assert health.check(full=True).counts == {}
    release.walk("PLAN-A")


def test_a_folder_in_place_of_the_link_is_named_in_words(published):
    """As after a copy of the content root that followed links."""
    link = release.root() / "plans/PLAN-A"
    generation = link.resolve()
    link.unlink()
    shutil.copytree(generation, link)
    report = health.check(full=True, repair=True)
    [fault] = report.findings[FaultKind.WRONG_GENERATION]
    assert "plans/PLAN-A is not a symbolic link to a release" in fault["why"]
    assert SyncLog.objects.order_by("-pk")[0].error in fault["why"]
    shutil.move(link, release.root().parent / "moved out")
    call_command("publish", "PLAN-A", "--full")
    release.walk("PLAN-A")
    assert health.check(full=True).counts == {}


def test_a_change_that_was_begun_and_never_written_down_is_found(published):
    file_store.begin_switch(99)
    report = health.check(full=True, repair=True)
    assert found(report, FaultKind.INCOMPLETE_SWITCH) == {""}
    assert report.is_sound
    assert health.check(full=True).counts == {}


def test_files_without_a_record_or_reader_are_orphans(published):
    unneeded("LES-MATH-0-1")
    write("lessons/LES-GONE.json")
    write("lessons/LES-OLD.json.prev")
    write("plans/PLAN-A/TOP-GONE.json")
    write(".generations/PLAN-GONE/3/manifest.json")
    assert found(health.check(full=True), FaultKind.ORPHANED) == {
        "lessons/LES-MATH-0-1.json",
        "lessons/LES-GONE.json",
        "lessons/LES-OLD.json",
        "plans/PLAN-A/TOP-GONE.json",
        ".generations/PLAN-GONE",
    }


def test_a_lesson_that_a_dead_builder_put_in_place_is_no_orphan(published):
    write("lessons/LES-NEW.json")
    file_store.begin_switch(99)
    assert not found(health.check(full=True), FaultKind.ORPHANED)


def test_a_release_switched_in_during_the_check_is_no_fault(published, monkeypatch):
    real = monitoring_checks._documents

    def overtaken(*args):
        rows = real(*args)
        LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="New")
        builds.publish_plan(published.pk)
        return rows

    monkeypatch.setattr(monitoring_checks, "_documents", overtaken)
    assert health.check(full=True).counts == {}


def test_a_withdrawn_plans_files_are_not_missed(published):
    AcademicPlan.objects.filter(pk=published.pk).update(is_published=False)
    file_store.withdraw_plan("PLAN-A")
    report = health.check(full=True)
    assert not found(report, FaultKind.MISSING)


def test_a_sample_looks_at_some_files_only(published, settings):
    settings.HEALTH_SAMPLE_FILES = 4
    assert health.check(full=False).files_checked == 4


def test_named_plans_are_looked_at_alone(other):
    spoil(TOPIC)
    spoil("plans/PLAN-B/TOP-MATH-0.json")
    report = health.check(full=True, plans=["PLAN-B"])
    assert found(report, FaultKind.CORRUPT) == {"plans/PLAN-B/TOP-MATH-0.json"}
    assert report.files_checked == 10


def test_a_hundred_faults_are_listed_and_all_counted(published, monkeypatch):
    monkeypatch.setattr(health, "_LISTED", 2)
    for n in range(5):
        write(f"lessons/LES-GONE-{n}.json")
    report = health.check(full=True)
    assert report.counts[FaultKind.ORPHANED] == 5
    assert len(report.findings[FaultKind.ORPHANED]) == 2


# --- The service ----------------------------------------------------------------------


def test_an_overdue_plan_is_stale(published, settings):
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="New")
        tasks.heartbeat()
        status.record_pending_since(datetime.now(UTC))
        assert health.check(full=True).counts == {}
        clock.shift(60 * settings.HEALTH_STALE_MINUTES + 1)
        tasks.heartbeat()
        report = health.check(full=True)
    assert found(report, FaultKind.STALE) == {"PLAN-A"}
    assert report.facts["oldest_seconds"] == 60 * settings.HEALTH_STALE_MINUTES + 1


def test_a_plan_that_cannot_be_withdrawn_is_stale_and_raises_an_alert(
    published, settings
):
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        AcademicPlan.objects.filter(pk=published.pk).delete()
        tasks.heartbeat()
        status.record_pending_since(datetime.now(UTC))
        assert health.check(full=False).counts == {}
        clock.shift(60 * settings.HEALTH_STALE_MINUTES + 1)
        status.record_pending_since(
            datetime.now(UTC)
        )  # the time counts from the first call
        tasks.heartbeat()
        report = health.check(full=False)
        headlines = dashboard_views.headlines(dashboard.load())
    assert found(report, FaultKind.STALE) == {"PLAN-A"}
    assert "should have been withdrawn" in Alert.objects.get(key="service").message
    assert headlines[0]["text"].startswith("1 plan cannot be withdrawn")


def test_a_plan_that_is_offered_again_no_longer_leaves(published):
    offered = AcademicPlan.objects.filter(pk=published.pk)
    offered.update(is_published=False)
    status.record_pending_since(datetime.now(UTC))
    offered.update(is_published=True)
    status.record_pending_since(datetime.now(UTC))
    assert Publication.objects.get().withdrawal_due_since is None
    assert status.queue_status().withdrawing == []


def test_a_plan_edited_again_after_a_build_waits_from_that_build_on(published):
    def edit_and_note(title: str) -> None:
        LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title=title)
        status.record_pending_since(datetime.now(UTC))

    with time_machine.travel(1_900_000_000, tick=False) as clock:
        edit_and_note("One")
        clock.shift(600)
        builds.publish_plan(published.pk)
        clock.shift(10)
        edit_and_note("Two")
        waiting = WaitingPlan.objects.get()
        assert waiting.since == datetime.now(UTC) - timedelta(seconds=10)
        builds.publish_plan(published.pk)
        status.record_pending_since(datetime.now(UTC))
    assert not WaitingPlan.objects.exists()


def test_a_silent_worker_is_found(published, settings):
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        tasks.heartbeat()
        clock.shift(settings.HEARTBEAT_TIMEOUT_SECONDS + 1)
        report = health.check(full=True)
        assert report.counts == {FaultKind.SILENT: 1}
        assert "worker's" in report.findings[FaultKind.SILENT][0]["why"]
        queue.record_worker_heartbeat(time.time())
        report = health.check(full=True)
    assert report.counts == {FaultKind.SILENT: 1}
    assert "beat's" in report.findings[FaultKind.SILENT][0]["why"]


def test_many_failures_are_found(published):
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="")
    now = datetime.now(UTC)
    for _number in range(3):
        SyncLog.objects.create(
            plan_public_id="PLAN-A",
            status=SyncStatus.DEAD_LETTER,
            trigger="test",
            error="broken",
            created_at=now,
            finished_at=now,
        )
    assert found(health.check(full=False), FaultKind.FAILING) == {""}


def test_the_queues_status_takes_the_same_queries_for_more_plans(
    other, django_assert_num_queries
):
    # Settings, plans' publications, their subjects, plans; pending plans; unfinished
    # runs, failed uploads, failures; last successes, publications; the last run.
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="New")
    with django_assert_num_queries(11):
        found = status.queue_status()
    assert [waiting.plan for waiting in found.pending] == ["PLAN-A", "PLAN-B"]


# --- Repair ---------------------------------------------------------------------------


def test_repair_brings_back_what_is_missing_and_corrupt(published):
    before = release.everything()
    (release.root() / LESSON).unlink()
    spoil("lessons/LES-MATH-1-1.json")
    spoil(TOPIC)
    report = health.check(full=True, repair=True)
    assert report.is_sound
    assert report.repaired == 4  # the files, and the link to the topic
    release.walk("PLAN-A")
    # A missing file returns unchanged: clients have it under that version.
    assert release.everything()[LESSON] == before[LESSON]
    assert health.check(full=True).counts == {}


FILES = [
    LESSON,
    TOPIC,
    "plans/PLAN-A/manifest.json",
    "plans/PLAN-A/search_index.json",
    "plans/PLAN-A/SUBJ-MATH_h.json",
    "plans/PLAN-A/SUBJ-MATH_b.json",
]


@pytest.fixture(params=["cut", "empty", "a list", "unreadable"])
def damage(request, monkeypatch):
    """Damage a published file in one of these ways."""

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-20])

    def make_unreadable(path: Path) -> None:
        """Make a file unreadable, as if another user owned it, until it is replaced."""
        foreign = path.stat().st_ino
        read, link = Path.read_bytes, os.link

        def read_bytes(self: Path) -> bytes:
            if self.exists() and self.stat().st_ino == foreign:
                raise PermissionError(errno.EACCES, "Permission denied", str(self))
            return read(self)

        def link_own(source, target):
            if os.path.exists(source) and os.stat(source).st_ino == foreign:
                raise PermissionError(errno.EPERM, "Operation not permitted", source)
            link(source, target)

        monkeypatch.setattr(Path, "read_bytes", read_bytes)
        monkeypatch.setattr(os, "link", link_own)

    ways = {
        "cut": cut,
        "empty": lambda path: path.write_bytes(b"{}"),
        "a list": lambda path: path.write_bytes(b"[1]"),
        "unreadable": make_unreadable,
    }
    return lambda path: ways[request.param](release.root() / path)


def test_repair_takes_no_plan_that_a_restored_database_knows_only_as_published(
    published, settings
):
    """The plan was first published after the backup was taken."""
    settings.HEALTH_ORPHAN_GRACE = 0
    for table in (PublishedDocument, PlanLesson, Publication, ReleaseCounters, SyncLog):
        table.objects.all().delete()
    before = release.everything()
    for _time in range(2):
        health.check(full=True, repair=True)
    assert release.everything() == before
    sweep.process_pending(limit=10)
    release.walk("PLAN-A")


@pytest.mark.parametrize("path", FILES)
def test_repair_writes_any_damaged_file_anew(published, damage, path):
    damage(path)
    assert health.check(full=True, repair=True).is_sound
    release.walk("PLAN-A")
    assert health.check(full=True).counts == {}


@pytest.mark.parametrize("path", FILES[2:])
def test_a_build_that_meets_a_damaged_file_writes_it_anew(published, damage, path):
    damage(path)
    Node.objects.filter(public_id="UNIT-MATH-0").update(title="Other")
    assert builds.publish_plan(published.pk).status == SyncStatus.LOCAL_ONLY
    release.walk("PLAN-A")


def test_repair_mends_a_lesson_for_every_plan_that_offers_it(other):
    spoil(LESSON)
    assert health.check(full=True, repair=True).is_sound
    release.walk("PLAN-A")
    release.walk("PLAN-B")


def test_repair_mends_a_wrong_generation(published):
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="New")
    builds.publish_plan(published.pk)
    file_store.switch("PLAN-A", 1)
    report = health.check(full=True, repair=True)
    assert report.is_sound, report.findings
    release.walk("PLAN-A")
    assert release.read(LESSON)["stages"][0]["title"] == "New"
    assert health.check(full=True).counts == {}


def test_repair_finishes_a_dead_builders_switch(published, monkeypatch):
    def die(*_args, **_kwargs):
        raise SystemExit

    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="Torn")
    with monkeypatch.context() as patch:
        patch.setattr(publishing.storage.activation, "_record_release", die)
        with pytest.raises(SystemExit):
            builds.publish_plan(published.pk)
    report = health.check(full=True, repair=True)
    assert report.is_sound, report.findings
    release.walk("PLAN-A")
    assert health.check(full=True).counts == {}


def test_repair_deletes_old_orphans_only(published):
    write("lessons/LES-GONE.json")
    write("lessons/LES-YOUNG.json", age=False)
    write(".generations/PLAN-GONE/3/manifest.json")
    os.utime(release.root() / ".generations/PLAN-GONE", (OLD, OLD))
    unneeded("LES-MATH-0-1")
    report = health.check(full=True, repair=True)
    assert found(report, FaultKind.ORPHANED)
    assert not (release.root() / "lessons/LES-GONE.json").exists()
    assert not (release.root() / "lessons/LES-MATH-0-1.json").exists()
    assert not (release.root() / ".generations/PLAN-GONE").exists()
    assert (release.root() / "lessons/LES-YOUNG.json").exists()
    assert report.faults == 1


def test_repair_does_not_undo_a_rollback(published):
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="New")
    builds.publish_plan(published.pk)
    rollback.make_current("PLAN-A", 1)
    spoil("plans/PLAN-A/search_index.json")
    report = health.check(full=True, repair=True)
    assert not report.is_sound
    assert file_store.current_generation("PLAN-A") == 1
    assert not staleness.pending()


def test_what_cannot_be_built_stays_a_fault_and_an_alert(published):
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="")
    (release.root() / LESSON).unlink()
    assert not health.check(full=True, repair=True).is_sound
    assert LESSON in Alert.objects.get(key="files").message


# --- Alerts, reports, hours -----------------------------------------------------------


def test_only_a_full_clean_check_ends_the_files_alert(published):
    kept = (release.root() / LESSON).read_bytes()
    (release.root() / LESSON).unlink()
    health.check(full=True)
    (release.root() / LESSON).write_bytes(kept)
    health.check(full=False)
    health.check(full=True, plans=["PLAN-A"])
    assert Alert.objects.get().is_open
    health.check(full=True)
    assert not Alert.objects.get().is_open


def test_an_orphan_alerts_nobody(published):
    write("lessons/LES-GONE.json")
    health.check(full=True)
    assert not Alert.objects.exists()


def test_reports_older_than_a_month_are_deleted(published):
    with time_machine.travel(1_700_000_000):
        health.check(full=True)
    health.check(full=True)
    assert HealthReport.objects.count() == 1


@pytest.fixture
def hours(settings):
    """Sunday to Thursday, 8:00 to 17:00 in Riyadh (UTC+3); nightly check at 3:00."""
    settings.HEALTH_TIME_ZONE = "Asia/Riyadh"
    settings.HEALTH_WEEKDAYS = ["sun", "mon", "tue", "wed", "thu"]
    settings.HEALTH_FIRST_HOUR, settings.HEALTH_LAST_HOUR = 8, 17
    settings.HEALTH_NIGHT_HOUR = 3


def checked(when: datetime) -> None:
    HealthReport.objects.create(is_full=True, started_at=when, finished_at=when)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2027-01-17T05:17", False),  # Sunday, 8:17 in Riyadh
        ("2027-01-17T14:17", False),  # 17:17
        ("2027-01-17T15:17", None),  # 18:17
        ("2027-01-15T09:17", None),  # a Friday
        ("2027-01-15T00:17", True),  # Friday night, 3:17
    ],
)
def test_business_hours_and_nights_are_the_settings(hours, db, moment, expected):
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    checked(now - timedelta(hours=10))
    assert health.due(now) is expected


def test_a_night_without_a_check_is_made_up_for(hours, db):
    now = datetime(2027, 1, 15, 9, 17, tzinfo=UTC)
    assert health.due(now) is True
    checked(now - timedelta(hours=27))
    assert health.due(now) is True


def test_one_check_an_hour_is_enough(hours, db):
    night = datetime(2027, 1, 15, 0, 17, tzinfo=UTC)
    checked(night)
    assert health.due(night + timedelta(minutes=1)) is None
    assert health.due(night + timedelta(hours=24)) is True
    morning = datetime(2027, 1, 17, 5, 17, tzinfo=UTC)
    HealthReport.objects.create(is_full=False, started_at=morning, finished_at=morning)
    checked(morning - timedelta(hours=5))
    assert health.due(morning + timedelta(minutes=1)) is None
    assert health.due(morning + timedelta(hours=1)) is False


def test_a_sample_replaces_no_nightly_check(hours, db):
    night = datetime(2027, 1, 15, 0, 17, tzinfo=UTC)
    checked(night - timedelta(hours=24))
    just_now = night - timedelta(minutes=9)
    HealthReport.objects.create(
        is_full=False, started_at=just_now, finished_at=just_now
    )
    assert health.due(night) is True


def test_a_look_at_some_plans_is_no_check(hours, db):
    night = datetime(2027, 1, 15, 0, 17, tzinfo=UTC)
    HealthReport.objects.create(
        is_full=True, plans=["PLAN-A"], started_at=night, finished_at=night
    )
    assert health.due(night) is True


def test_the_nightly_task_mends(published):
    (release.root() / LESSON).unlink()
    tasks.check_health()
    assert HealthReport.objects.get().repaired
    release.walk("PLAN-A")


def test_a_check_asks_the_database_the_same_for_more_lessons(db):
    counts = set()
    for name, lessons in (("SMALL", 2), ("LARGE", 20)):
        plan = AcademicPlan.objects.create(
            public_id=f"PLAN-{name}", title=name, is_published=True
        )
        add_subject(plan=plan, subject=make_subject(name, lessons=lessons))
        builds.publish_plan(plan.pk)
        with CaptureQueriesContext(connection) as captured:
            health.check(full=True, plans=[plan.public_id])
        counts.add(len(captured))
    assert len(counts) == 1


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("HEALTH_TIME_ZONE", "Mars/Olympus", "publishing.E001"),
        ("HEALTH_WEEKDAYS", ["sunday"], "publishing.E002"),
        ("HEALTH_LAST_HOUR", 24, "publishing.E003"),
    ],
)
def test_hours_that_make_no_sense_are_refused_at_the_start(settings, name, value, code):
    assert checks.check_health_hours() == []
    setattr(settings, name, value)
    (error,) = checks.check_health_hours()
    assert error.id == code
