"""The publishing dashboard in a real browser: it refreshes and keeps its position.

The tests make the changes directly, without the browser.
"""

import pytest
from django.urls import reverse

from content.models import LessonStage, Node
from plans.models import AcademicPlan
from publishing import queue
from publishing.admin_views import dashboard_views
from publishing.building import builds
from publishing.models import SyncLog, SyncStatus
from tests.factories.content import make_branch, make_stage

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def board(open_page, monkeypatch):
    """The open dashboard, refreshed every second."""
    monkeypatch.setattr(dashboard_views, "REFRESH_SECONDS", 1)
    page = open_page()
    page.goto(reverse("admin:publishing_dashboard"))
    page.evaluate("window.isTheSamePage = true")
    return page


@pytest.fixture
def plan(transactional_db):
    """A published plan that waits for its first build."""
    branch = make_branch("Physics", lessons=2)
    for lesson in branch.lessons:
        make_stage(lesson)
    plan = AcademicPlan.objects.create(title="Grade 12", is_published=True)
    plan.plan_subjects.create(subject=branch.subject)
    return plan


def is_the_same_page(page) -> bool:
    return page.evaluate("window.isTheSamePage === true")


def shows(page, part: str, words: str) -> None:
    """Wait until a part of the page shows these words."""
    page.locator(part).get_by_text(words).first.wait_for()


def asked_again(page) -> None:
    with page.expect_response("**/dashboard/now/"):
        pass


def spoil() -> None:
    LessonStage.objects.update(title="")


def test_a_build_appears_without_a_reload(plan, board):
    shows(board, "#part-plans", "Waiting to publish")
    builds.publish_plan(plan.pk)
    shows(board, "#part-plans", "Up to date")
    shows(board, "#part-queue", "Nothing is queued.")
    assert is_the_same_page(board)


def test_what_changed_is_read_out_once(plan, board):
    queue.record_beat_heartbeat(2_000_000_000)
    shows(board, "#news", "Changes are queued for the next run.")
    builds.publish_plan(plan.pk)
    shows(board, "#news", "Everything is published.")


def test_open_details_and_the_focus_stay_where_they_are(plan, board):
    board.click("#chart-summary")
    board.focus(f"#plan-{plan.pk}")
    builds.publish_plan(plan.pk)
    shows(board, "#part-plans", "Up to date")
    shows(board, "#part-chart .legend", "Published: 1")
    playwright.expect(board.locator("#chart-table[open]")).to_have_count(1)
    playwright.expect(board.locator(f"#plan-{plan.pk}")).to_be_focused()


def test_what_did_not_change_is_not_touched(plan, board):
    board.evaluate("document.getElementById('part-plans').isTheSame = true")
    board.evaluate("document.getElementById('part-queue').isTheSame = true")
    for title in ("Other", "Another"):
        Node.objects.filter(kind="lesson").update(title=title)
        asked_again(board)
    board.evaluate("document.getElementById('part-worker').isTheSame = true")
    queue.record_beat_heartbeat(2_000_000_000)
    board.locator("#part-worker .badge-done").first.wait_for()
    same = "id => document.getElementById(id).isTheSame === true"
    assert [board.evaluate(same, f"part-{part}") for part in ("plans", "queue")] == [
        True,
        True,
    ]
    assert not board.evaluate(same, "part-worker")


def test_a_failure_appears_and_its_retry_works(plan, board):
    queue.record_beat_heartbeat(2_000_000_000)
    builds.publish_plan(plan.pk)
    spoil()
    builds.publish_plan(plan.pk)
    shows(board, "#part-failures", "Failed, retrying")
    SyncLog.objects.filter(status=SyncStatus.QUEUED).update(
        status=SyncStatus.DEAD_LETTER, next_attempt_at=None
    )
    shows(board, "#part-dead", "Dead Letter")
    assert is_the_same_page(board)
    LessonStage.objects.update(title="Read")
    board.get_by_role("button", name="Retry: Grade 12").click()
    shows(board, ".messagelist", "Retrying 1 run.")
    shows(board, "#part-plans", "Up to date")
    playwright.expect(board.locator("#part-dead")).to_have_count(0)


def test_a_lost_server_is_said_and_found_again(plan, board):
    board.context.set_offline(True)
    shows(board, "#liveness", "The server does not answer")
    builds.publish_plan(plan.pk)
    board.context.set_offline(False)
    shows(board, "#part-plans", "Up to date")
    shows(board, "#liveness", "This page updates automatically.")
    assert is_the_same_page(board)


def test_who_is_signed_out_meanwhile_is_asked_to_sign_in(board):
    board.context.clear_cookies(name="sessionid")
    board.wait_for_url("**/admin/login/**")
