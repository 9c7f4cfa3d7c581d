"""The first page shows each role its own links and no others."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from content.models import Node
from plans import services as plan_services
from plans.models import AcademicPlan
from players import roles
from publishing.building import builds
from publishing.models import Alert, AlertKind, SyncLog, SyncStatus

pytestmark = pytest.mark.django_db

HOME = reverse("admin:index")

FINDS_STUDENTS = "Find a student"
FINDS_CONTENT = "Search by title or id"
RECENT = "Your recent work"
WAITING = "Waiting to publish"
FAILED = "Failures"
PLANS = 'id="plan-states"'
HEALTH = 'id="health"'
ALL = {FINDS_STUDENTS, FINDS_CONTENT, RECENT, WAITING, FAILED, PLANS, HEALTH}


@pytest.fixture(autouse=True)
def _services_answer(monkeypatch):
    """Replace the health checks: the test's transaction would block their threads."""
    checks = {"database": lambda: None, "redis": lambda: None}
    monkeypatch.setattr("memora_site.health.CHECKS", checks)


def home_of(client_of, user):
    return client_of(user).get(HOME).content.decode()


@pytest.mark.parametrize(
    ("role", "finds"),
    [
        (roles.CONTENT_EDITORS, {FINDS_CONTENT, RECENT, WAITING, FAILED}),
        (roles.PUBLISHERS, {FINDS_CONTENT, WAITING, FAILED, PLANS}),
        (roles.SUPPORT, {FINDS_STUDENTS}),
        (roles.SYSTEM_MANAGERS, ALL),
    ],
)
def test_each_role_finds_its_own(client_of, staff, plan, role, finds):
    page = home_of(client_of, staff(role))
    assert {part for part in ALL if part in page} == finds


def found(client_of, user, words):
    """Return the URLs that the page's search finds."""
    page = client_of(user).get(HOME, {"q": words}).content.decode()
    panel = page.partition('id="found"')[2].partition("</section>")[0]
    return re.findall(r'href="([^"]+)"', panel), panel


def test_the_search_finds_content_and_plans_however_they_are_spelled(
    client_of, editor, maths
):
    plan = AcademicPlan.objects.create(title="خطة الصف الأوّل")
    Node.objects.filter(pk=maths["unit"].pk).update(title="الوحدة الأولى")
    plan_page = reverse("admin:plans_academicplan_change", args=[plan.pk])
    assert found(client_of, editor, "الاول خطه")[0] == [plan_page]
    assert found(client_of, editor, plan.public_id)[0] == [plan_page]
    unit = reverse("admin:content_node_change", args=[maths["unit"].pk])
    links, panel = found(client_of, editor, "الاولى الوحده")
    assert links == [unit]
    assert "Mathematics" in panel


def test_the_search_shows_the_first_and_leads_to_all(client_of, editor, grow):
    grow("Mathematics", lessons=20)
    links, _panel = found(client_of, editor, "lesson")
    assert len(links) == 11
    assert links[-1] == reverse("admin:content_node_changelist") + "?q=lesson"


def test_a_search_without_a_find_says_so(client_of, editor, maths):
    links, panel = found(client_of, editor, "<Chemistry>")
    assert links == []
    assert "No title contains these words" in panel
    assert "&lt;Chemistry&gt;" in panel


def test_who_may_not_see_content_finds_none(client_of, support, maths):
    page = client_of(support).get(HOME, {"q": "Mathematics"}).content.decode()
    assert "Mathematics's lesson" not in page


def test_an_editor_finds_their_own_last_work_and_nobody_elses(
    client_of, staff, editor, maths
):
    browser = client_of(editor)
    rename = reverse("admin:content_node_change", args=[maths["unit"].pk])
    browser.post(rename, {"title": "Fractions"})
    assert "Fractions" in browser.get(HOME).content.decode()
    other = staff(roles.SYSTEM_MANAGERS)
    assert "Fractions" not in home_of(client_of, other)


def test_what_was_trashed_is_no_longer_recent(client_of, editor, maths):
    browser = client_of(editor)
    add = reverse("admin:content_node_quick_add")
    line = {"kind": "lesson", "title": "Limits", "parent": maths["topic"].pk}
    made = browser.post(add, line).json()
    assert "Limits" in browser.get(HOME).content.decode()
    do = reverse("admin:content_node_do")
    browser.post(do, {"do": "trash", "nodes": made["pk"]})
    assert "Limits" not in browser.get(HOME).content.decode()


def test_what_waits_and_what_failed_is_named_with_the_place_to_correct(
    client_of, editor, plan, maths
):
    SyncLog.objects.create(
        plan=plan,
        plan_public_id=plan.public_id,
        status=SyncStatus.DEAD_LETTER,
        trigger="queue",
        attempts=6,
        created_at=timezone.now(),
        finished_at=timezone.now(),
        error="The title is too long.",
        error_document=f"lessons/{maths['lesson'].public_id}.json",
    )
    page = home_of(client_of, editor)
    assert plan.title in page
    assert "The title is too long." in page
    place = reverse("admin:content_node_change", args=[maths["lesson"].pk])
    assert place in page


def test_a_publisher_sees_each_plans_state(client_of, publisher, plan):
    assert "Waiting to publish</span>" in home_of(client_of, publisher)
    builds.publish_plan(plan.pk, trigger="test")
    page = home_of(client_of, publisher)
    assert "Up to date" in page
    assert "Nothing is queued" in page


def test_a_manager_sees_open_alerts(client_of, staff, plan):
    manager = staff(roles.SYSTEM_MANAGERS)
    assert "No open alerts." in home_of(client_of, manager)
    Alert.objects.create(
        kind=AlertKind.DISK_LOW,
        open_key="disk_low:",
        message="Only 3 % are free.",
        raised_at=timezone.now(),
        seen_at=timezone.now(),
    )
    assert "Only 3 % are free." in home_of(client_of, manager)


@pytest.mark.parametrize(
    ("role", "queries"),
    [
        # Session, user, permissions of the user and of the groups: 4 for every role.
        (roles.SUPPORT, 4),
        # And the state of publishing (`dashboard.load`).
        (roles.PUBLISHERS, 24),
        # And the user's own history; nodes in it would add one query.
        (roles.CONTENT_EDITORS, 25),
        (roles.SYSTEM_MANAGERS, 25),
    ],
)
def test_the_page_reads_in_the_same_queries_however_much_there_is(
    client_of, staff, plan, maths, django_assert_num_queries, role, queries
):
    browser = client_of(staff(role))
    browser.get(HOME)
    with django_assert_num_queries(queries):
        browser.get(HOME)
    for number in range(20):
        more = AcademicPlan.objects.create(title=f"Plan {number}", is_published=True)
        plan_services.add_subject(plan=more, subject=maths["subject"])
    Node.objects.filter(kind="lesson").update(title="Renamed")
    with django_assert_num_queries(queries):
        browser.get(HOME)
