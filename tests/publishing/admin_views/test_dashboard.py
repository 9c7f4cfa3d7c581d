"""The publishing dashboard: its data, its permissions, and its buttons."""

import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from content.models import LessonStage, Node
from plans.models import AcademicPlan
from plans.services import add_subject
from players import roles
from players.models import User
from publishing import queue
from publishing.admin_views import dashboard_views
from publishing.building import builds
from publishing.models import (
    Alert,
    HealthReport,
    Publication,
    PublishingSettings,
    SyncLog,
    SyncStatus,
    SyncStep,
)
from publishing.monitoring import dashboard, status
from publishing.monitoring.dashboard import Hour, PlanState
from publishing.storage import file_store
from tests.factories.content import make_subject
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db

PAGE = "/admin/publishing/dashboard/"
NOW_URL = f"{PAGE}now/"
NOWHERE = "unix:///nonexistent/redis.sock"


def person(role: str) -> User:
    email = f"{role.split()[0].lower()}@example.com"
    user = User.objects.create_user(email, "staff-password-1", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def watcher() -> User:
    """A user who may view publishing and nothing else."""
    user = User.objects.create_user("watch@example.com", "p", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_synclog"))
    return user


def browser_of(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.fixture
def publisher(db) -> Client:
    return browser_of(person(roles.PUBLISHERS))


@pytest.fixture
def broken(plan) -> AcademicPlan:
    """A plan whose first lesson cannot be published: a stage has no title."""
    builds.publish_plan(plan.pk)
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="")
    builds.publish_plan(plan.pk)
    return plan


@pytest.fixture
def dead(broken) -> SyncLog:
    entry = SyncLog.objects.get(status=SyncStatus.QUEUED)
    SyncLog.objects.filter(pk=entry.pk).update(
        status=SyncStatus.DEAD_LETTER, next_attempt_at=None
    )
    entry.refresh_from_db()
    return entry


def mend() -> None:
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="Read")


def state_of(plan: AcademicPlan) -> PlanState:
    rows = {row.plan: row for row in dashboard.load().plans}
    return rows[plan.public_id].state


def messages_of(answer) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


# --- The data -------------------------------------------------------------------------


def test_a_plan_that_is_published_is_up_to_date(plan):
    builds.publish_plan(plan.pk)
    found = dashboard.load()
    (row,) = found.plans
    assert (row.state, row.generation, row.title) == (
        PlanState.UP_TO_DATE,
        1,
        "Grade 5",
    )
    assert row.seconds is not None
    files = file_store.files_of("PLAN-A", 1)
    sizes = [len(file_store.read(f"plans/PLAN-A/{name}")) for name in files]
    assert (row.size.files, row.size.bytes) == (len(files), sum(sizes))
    assert found.lessons.files == 4
    assert found.disk.free <= found.disk.total


def test_an_edit_makes_its_plan_wait_since_the_watch_saw_it(plan):
    builds.publish_plan(plan.pk)
    node("LES-MATH-0-0").save()
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    status.record_pending_since(moment)
    found = dashboard.load()
    assert [waiting.plan for waiting in found.queue.pending] == ["PLAN-A"]
    assert found.oldest_wait == moment
    assert state_of(plan) == PlanState.WAITING


def test_a_failure_names_the_lesson_it_can_be_corrected_in(broken):
    (failure,) = dashboard.load().failures
    lesson = node("LES-MATH-0-0")
    assert (failure.place.pk, failure.place.title) == (lesson.pk, "Lesson 0.0")
    assert failure.document == "lessons/LES-MATH-0-0.json"
    assert failure.json_path == "stages[0].title"
    assert failure.next_attempt_at is not None
    assert failure.can_retry
    assert state_of(broken) == PlanState.RETRYING


@pytest.mark.parametrize(
    ("document", "public_id"),
    [
        ("plans/PLAN-A/TOP-MATH-0.json", "TOP-MATH-0"),
        ("plans/PLAN-A/SUBJ-MATH_h.json", "SUBJ-MATH"),
        ("plans/PLAN-A/SUBJ-MATH_b.json", "SUBJ-MATH"),
        ("plans/PLAN-A/search/SUBJ-MATH.json", "SUBJ-MATH"),
        ("plans/PLAN-A/manifest.json", None),
        ("plans/PLAN-A/search_index.json", None),
        ("", None),
    ],
)
def test_a_document_leads_to_the_node_it_is_about(broken, document, public_id):
    SyncLog.objects.exclude(error="").update(error_document=document)
    (failure,) = dashboard.load().failures
    found = failure.place and Node.objects.get(pk=failure.place.pk).public_id
    assert found == public_id


def test_waiting_for_disk_space_is_no_failure_of_the_plan(broken):
    SyncLog.objects.filter(status=SyncStatus.QUEUED).update(disk_needed=1000)
    found = dashboard.load()
    assert found.failures[0].is_paused
    assert state_of(broken) == PlanState.PAUSED
    assert sum(hour.retrying for hour in found.hours) == 0


def test_a_dead_letter_needs_somebody(dead, plan):
    found = dashboard.load()
    assert [failure.entry for failure in found.dead_letters] == [dead.pk]
    assert found.failures == ()
    assert state_of(plan) == PlanState.DEAD_LETTER


def test_a_build_lives_while_its_lock_is_held(broken):
    SyncLog.objects.filter(status=SyncStatus.QUEUED).update(
        status=SyncStatus.PROCESSING, next_attempt_at=None
    )
    with queue.build_lock(broken.pk):
        (build,) = dashboard.load().running
        assert build.is_alive is True
        assert state_of(broken) == PlanState.BUILDING
    (build,) = dashboard.load().running
    assert build.is_alive is False
    assert state_of(broken) == PlanState.WAITING


def test_a_plan_that_is_no_longer_published_waits_to_be_withdrawn(plan):
    builds.publish_plan(plan.pk)
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=False)
    assert state_of(plan) == PlanState.WITHDRAWING
    AcademicPlan.objects.filter(pk=plan.pk).delete()
    (row,) = dashboard.load().plans
    assert (row.pk, row.plan, row.state) == (None, "PLAN-A", PlanState.WITHDRAWING)


def test_the_hours_count_builds_as_they_stand(plan):
    now = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)

    def run(status, *, ago, **fields):
        return SyncLog.objects.create(
            plan=plan,
            plan_public_id="PLAN-A",
            status=status,
            created_at=now,
            finished_at=now - ago,
            **{"trigger": "queue"} | fields,
        )

    def built(status, *, ago, **fields):
        return run(status, ago=ago, built_at=now - ago, **fields)

    built(SyncStatus.LOCAL_ONLY, ago=timedelta(minutes=10))
    built(SyncStatus.SUCCESS, ago=timedelta(minutes=20))
    run(SyncStatus.QUEUED, ago=timedelta(minutes=20), error="No.")
    run(SyncStatus.DEAD_LETTER, ago=timedelta(hours=1), error="No.")
    run(SyncStatus.FAILED, ago=timedelta(hours=23), error="No.")
    # Either not a build, or older than a day:
    built(SyncStatus.LOCAL_ONLY, ago=timedelta(0), trigger=SyncLog.ROLLBACK)
    run(SyncStatus.SUPERSEDED, ago=timedelta(0))
    run(SyncStatus.SUCCESS, ago=timedelta(0), step=SyncStep.UPLOAD, trigger="cdn")
    built(SyncStatus.LOCAL_ONLY, ago=timedelta(hours=24))
    hours = dashboard.load(now).hours
    assert len(hours) == 24
    assert hours[-1] == Hour(
        datetime(2026, 3, 2, 10, tzinfo=UTC), published=2, retrying=1
    )
    assert hours[-2].failed == 1
    assert hours[0] == Hour(datetime(2026, 3, 1, 11, tzinfo=UTC), failed=1)
    assert sum(hour.total for hour in hours) == 5


def test_worker_and_beat_are_alive_for_three_minutes_after_each_sign(plan):
    now = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)

    def alive() -> tuple[bool, bool]:
        found = dashboard.load(now).queue
        return found.worker_is_alive, found.beat_is_alive

    assert alive() == (False, False)
    queue.record_beat_heartbeat(now.timestamp() - 179)
    assert alive() == (True, True)
    queue.record_beat_heartbeat(now.timestamp() - 180)
    assert alive() == (False, False)
    queue.record_worker_heartbeat(now.timestamp() - 30)
    assert alive() == (True, False)


def test_the_page_tells_a_silent_beat_from_a_silent_worker(publisher):
    assert "Start the worker: changes wait" in publisher.get(PAGE).content.decode()
    queue.record_worker_heartbeat(time.time())
    page = publisher.get(PAGE).content.decode()
    assert "Start beat: scheduled tasks do not run" in page
    assert "Beat is not running: waiting plans are published only by" in page
    queue.record_beat_heartbeat(time.time())
    page = publisher.get(PAGE).content.decode()
    assert "Start the worker" not in page
    assert "Start beat" not in page
    assert "is not running" not in page


def test_without_redis_the_rest_is_still_told(broken, settings):
    settings.REDIS_URL = NOWHERE
    found = dashboard.load()
    assert not found.redis_answers
    assert found.queue.worker_seen is None
    assert len(found.failures) == 1


def test_the_cdn_is_on_where_students_read_from_it(publisher):
    assert "Students read from this server." in publisher.get(PAGE).content.decode()
    current = PublishingSettings.get_solo()
    current.cdn_enabled, current.cdn_base_url = True, "https://cdn.example.org"
    current.save()
    page = publisher.get(PAGE).content.decode()
    assert "Students read from the CDN." in page
    assert "https://cdn.example.org/" in page
    current.local_fallback_mode = True
    current.save()
    assert not dashboard.load().is_on_cdn


def test_the_disk_before_anything_is_published_is_the_one_it_will_be_on(plan, settings):
    assert not settings.CONTENT_ROOT.exists()
    assert dashboard.load().disk.least_percent == 10
    assert not settings.CONTENT_ROOT.exists()


def test_the_facts_take_eleven_queries_beside_the_queues_however_much_there_is(dead):
    # The settings; the entries with their plans, the nodes to link to, sizes, hours,
    # last builds, plans, publications of deleted plans, the last check, open alerts,
    # periodic jobs.
    def queries_of(action) -> int:
        with CaptureQueriesContext(connection) as captured:
            action()
        return len(captured)

    few = queries_of(dashboard.load)
    for number in range(3):
        plan = AcademicPlan.objects.create(title=f"P{number}", is_published=True)
        add_subject(plan=plan, subject=make_subject(f"S{number}"))
        builds.publish_plan(plan.pk)
        LessonStage.objects.filter(public_id=f"STG-S{number}-0-0").update(title="")
        builds.publish_plan(plan.pk)
    assert len(dashboard.load().failures) == 3
    assert few == queries_of(dashboard.load) == queries_of(status.queue_status) + 11


# --- The page -------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["ar", "en"])
def test_the_page_shows_a_failure_with_its_place_and_buttons(
    publisher, broken, language
):
    publisher.cookies["django_language"] = language
    page = publisher.get(PAGE).content.decode()
    lesson = node("LES-MATH-0-0")
    (entry,) = SyncLog.objects.filter(status=SyncStatus.QUEUED)
    assert reverse("admin:content_node_change", args=[lesson.pk]) in page
    assert "lessons/LES-MATH-0-0.json" in page
    assert "stages[0].title" in page
    assert f'value="{entry.pk}"' in page
    assert f'dir="{"rtl" if language == "ar" else "ltr"}"' in page


def test_an_empty_school_has_a_page_too(publisher):
    page = publisher.get(PAGE).content.decode()
    assert "No plan is published." in page
    assert "No checks yet." in page


def test_the_page_shows_alerts_the_last_check_and_dead_letters(publisher, dead):
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    HealthReport.objects.create(
        is_full=True, started_at=now, finished_at=now, faults=3, files_checked=7
    )
    Alert.objects.create(
        kind="disk_low",
        open_key="disk_low:",
        message="2 % are free.",
        raised_at=now,
        seen_at=now,
    )
    page = publisher.get(PAGE).content.decode()
    assert "3 faults remaining" in page
    assert "2 % are free." in page
    assert "Retry all" in page


def test_what_editors_wrote_is_shown_as_text(publisher, broken):
    AcademicPlan.objects.filter(pk=broken.pk).update(title="<b>Grade</b>")
    Node.objects.filter(public_id="LES-MATH-0-0").update(title="<i>One</i>")
    SyncLog.objects.exclude(error="").update(error="<script>no</script>")
    page = publisher.get(PAGE).content.decode()
    assert "&lt;b&gt;Grade&lt;/b&gt;" in page
    assert "<b>Grade</b>" not in page
    assert "<i>One</i>" not in page
    assert "<script>no</script>" not in page


def test_a_plan_page_may_be_out_of_reach_but_is_named(plan):
    builds.publish_plan(plan.pk)
    user = watcher()
    page = browser_of(user).get(PAGE).content.decode()
    assert "Grade 5" in page
    assert "/academicplan/" not in page


def test_the_dashboard_leads_the_publishing_pages(publisher):
    for url in (reverse("admin:index"), reverse("admin:app_list", args=["publishing"])):
        page = publisher.get(url).content.decode()
        assert f'href="{PAGE}"' in page


@pytest.mark.parametrize("role", [roles.CONTENT_EDITORS, roles.SUPPORT])
def test_who_does_not_publish_sees_neither_page_nor_link(role):
    browser = browser_of(person(role))
    assert browser.get(PAGE).status_code == 403
    assert browser.get(NOW_URL).status_code == 403
    assert PAGE not in browser.get(reverse("admin:index")).content.decode()


def test_a_stranger_is_sent_to_sign_in(client):
    assert "/admin/login/" in client.get(NOW_URL).url


# --- Refreshing -----------------------------------------------------------------------


@pytest.fixture
def still(monkeypatch):
    """Stop the clock and fix the free disk space, because the page shows both."""
    usage = type("Usage", (), {"total": 1_000_000_000, "free": 500_000_000})
    monkeypatch.setattr(file_store.shutil, "disk_usage", lambda _path: usage)
    with time_machine.travel(1_800_000_000, tick=False):
        yield


def test_nothing_new_is_answered_without_a_body(still, publisher, broken):
    first = publisher.get(NOW_URL)
    again = publisher.get(NOW_URL, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_page_carries_the_mark_of_what_it_shows(still, publisher, plan):
    builds.publish_plan(plan.pk)
    etag = publisher.get(PAGE).context["etag"]
    assert publisher.get(NOW_URL)["ETag"] == etag


def test_a_change_is_answered_anew(publisher, plan):
    builds.publish_plan(plan.pk)
    etag = publisher.get(NOW_URL)["ETag"]
    node("LES-MATH-0-0").save()
    answer = publisher.get(NOW_URL, headers={"If-None-Match": etag})
    assert answer.status_code == 200
    assert "Waiting to publish" in answer.content.decode()


def test_another_language_is_another_page(publisher, plan):
    etag = publisher.get(NOW_URL)["ETag"]
    publisher.cookies["django_language"] = "ar"
    answer = publisher.get(NOW_URL, headers={"If-None-Match": etag})
    assert answer.status_code == 200


# --- Retry ----------------------------------------------------------------------------


def test_retry_builds_a_dead_plan_again(publisher, dead, plan):
    queue.record_beat_heartbeat(time.time())
    mend()
    PublishingSettings.get_solo()
    answer = publisher.post(f"{PAGE}retry/", {"entry": dead.pk}, follow=True)
    assert messages_of(answer) == ["Retrying 1 run."]
    assert state_of(plan) == PlanState.UP_TO_DATE


def test_retry_says_that_no_worker_is_running(publisher, dead, plan, monkeypatch):
    monkeypatch.setattr("publishing.tasks.publish_plan.delay", lambda *_args: None)
    answer = publisher.post(f"{PAGE}retry/", {"entry": dead.pk}, follow=True)
    assert messages_of(answer) == [
        "1 run is queued. No worker is running: it will be retried when a worker "
        "starts."
    ]


def test_retry_all_builds_every_dead_plan_again(publisher, dead, plan):
    queue.record_beat_heartbeat(time.time())
    mend()
    answer = publisher.post(f"{PAGE}retry-all/", follow=True)
    assert messages_of(answer) == ["Retrying 1 run."]
    assert state_of(plan) == PlanState.UP_TO_DATE


def test_a_retry_that_still_fails_has_all_its_attempts_again(publisher, dead):
    SyncLog.objects.filter(pk=dead.pk).update(attempts=6)
    publisher.post(f"{PAGE}retry/", {"entry": dead.pk})
    dead.refresh_from_db()
    assert (dead.status, dead.attempts) == (SyncStatus.QUEUED, 1)


@pytest.mark.parametrize("entry", ["", "abc", "999999"])
def test_a_run_that_is_not_there_cannot_be_retried(publisher, plan, entry):
    assert publisher.post(f"{PAGE}retry/", {"entry": entry}).status_code == 404


def test_who_may_only_look_finds_no_retry(dead):
    user = watcher()
    browser = browser_of(user)
    assert "retry-all" not in browser.get(PAGE).content.decode()
    for url in (f"{PAGE}retry/", f"{PAGE}retry-all/"):
        assert browser.post(url, {"entry": dead.pk}).status_code == 403
    dead.refresh_from_db()
    assert dead.status == SyncStatus.DEAD_LETTER


def test_looking_changes_nothing(publisher):
    assert publisher.get(f"{PAGE}retry-all/").status_code == 405
    assert publisher.post(PAGE).status_code == 405


# --- The chart ------------------------------------------------------------------------


def test_every_count_is_seen_and_no_bar_leaves_the_chart():
    start = datetime(2026, 3, 1, tzinfo=UTC)
    hours = (Hour(start), Hour(start, published=997, retrying=1, failed=2))
    empty, full = dashboard_views.bars(hours)
    assert empty.parts == []
    assert [part.outcome for part in full.parts] == ["published", "retrying", "failed"]
    assert all(part.height >= 2 for part in full.parts)
    assert full.parts[-1].y >= 0
    assert full.x + full.width <= dashboard_views.CHART_WIDTH


def test_a_day_without_builds_draws_no_bar():
    hours = (Hour(datetime(2026, 3, 1, tzinfo=UTC)),) * 24
    assert all(bar.parts == [] for bar in dashboard_views.bars(hours))


# --- Generations ----------------------------------------------------------------------


@pytest.fixture
def two_generations(plan) -> AcademicPlan:
    builds.publish_plan(plan.pk)
    topic = node("TOP-MATH-0")
    topic.title = "Second"
    topic.save()
    builds.publish_plan(plan.pk)
    return plan


def generations_of(plan: AcademicPlan) -> str:
    return reverse("admin:publishing_generations", args=[plan.pk])


def test_an_earlier_generation_is_made_current(publisher, two_generations):
    url = generations_of(two_generations)
    assert b"Make current" in publisher.get(url).content
    answer = publisher.post(url, {"generation": "1"}, follow=True)
    assert "Generation 1 is now current" in messages_of(answer)[0]
    assert file_store.current_generation("PLAN-A") == 1
    assert state_of(two_generations) == PlanState.ROLLED_BACK
    entry = SyncLog.objects.get(trigger=SyncLog.ROLLBACK)
    assert entry.started_by.email == "publishers@example.com"


@pytest.mark.parametrize("wanted", ["2", "7", "", "x"])
def test_a_generation_that_cannot_be_made_current_is_refused_in_words(
    publisher, two_generations, wanted
):
    url = generations_of(two_generations)
    answer = publisher.post(url, {"generation": wanted}, follow=True)
    assert len(messages_of(answer)) == 1
    assert file_store.current_generation("PLAN-A") == 2
    assert Publication.objects.get().generation == 2


def test_generations_that_cannot_be_read_are_said_so_in_words(
    publisher, two_generations
):
    link = file_store.root() / "plans/PLAN-A"
    link.unlink()
    link.mkdir()
    answer = publisher.get(generations_of(two_generations))
    assert "is not a symbolic link to a release" in messages_of(answer)[0]
    assert "This plan has no generation" not in answer.content.decode()
    upcoming = reverse("admin:publishing_upcoming", args=[two_generations.pk])
    assert (
        "is not a symbolic link to a release"
        in publisher.get(upcoming).content.decode()
    )


def test_an_editor_sees_and_changes_no_generation(two_generations):
    browser = browser_of(person(roles.CONTENT_EDITORS))
    url = generations_of(two_generations)
    assert browser.get(url).status_code == 403
    assert browser.post(url, {"generation": "1"}).status_code == 403
    assert file_store.current_generation("PLAN-A") == 2


def test_plan_and_publication_lead_to_the_generations(publisher, two_generations):
    url = generations_of(two_generations)
    pages = (
        reverse("admin:plans_academicplan_change", args=[two_generations.pk]),
        reverse(
            "admin:publishing_publication_change", args=[Publication.objects.get().pk]
        ),
        PAGE,
    )
    for page in pages:
        assert url in publisher.get(page).content.decode(), page


# --- The staff's API ------------------------------------------------------------------

QUEUE = "/api/v1/admin/publishing/queue/"


def test_the_api_tells_the_queue(publisher, dead):
    answer = publisher.get(QUEUE)
    assert answer.status_code == 200
    body = answer.json()
    assert body["dead_letter_count"] == 1
    assert body["pending_plans"] == 1
    assert body["dead_letters"][0] | {"at": ""} == {
        "entry": dead.pk,
        "plan": "PLAN-A",
        "step": "build",
        "trigger": "queue",
        "attempts": 1,
        "at": "",
        "error": dead.error,
        "document": "lessons/LES-MATH-0-0.json",
        "json_path": "stages[0].title",
        "is_alive": None,
    }
    assert body.keys() == asdict(status.queue_status().report()).keys()


def test_the_api_tells_only_who_may_know(client, plan):
    assert client.get(QUEUE).status_code == 401
    for role, code in ((roles.SYSTEM_MANAGERS, 200), (roles.CONTENT_EDITORS, 403)):
        assert browser_of(person(role)).get(QUEUE).status_code == code
