"""A unit that is published at a set time, and a plan that is held, in a real browser."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from content.models import Node
from plans import scheduling
from plans.models import AcademicPlan, PlanOverride, ScheduledChange
from plans.services import add_subject, set_override
from publishing import tasks
from publishing.building import builds, rollback
from publishing.models import Publication
from tests.factories.content import make_branch, make_stage
from tests.journeys.conftest import EDITOR

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)
LANGUAGES = ["en", "ar"]


@pytest.fixture
def branch(transactional_db):
    branch = make_branch("Physics", lessons=2)
    for lesson in branch.lessons:
        make_stage(lesson)
    Node.objects.filter(pk=branch.unit.pk).update(is_published=False)
    return branch


@pytest.fixture
def plan(branch):
    plan = AcademicPlan.objects.create(title="Grade 12", is_published=True)
    add_subject(plan=plan, subject=branch.subject)
    builds.publish_plan(plan.pk)
    return plan


def change_url(plan):
    return reverse("admin:plans_academicplan_change", args=[plan.pk])


def in_an_hour() -> str:
    return (timezone.localtime() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")


def let_the_hour_pass() -> None:
    """Do what beat does an hour later, as if the time of what waits had come."""
    ScheduledChange.objects.filter(state="waiting").update(due_at=timezone.now())
    tasks.apply_scheduled_changes()


def open_menu(page, branch):
    page.goto(f"{reverse('admin:content_node_changelist')}?at={branch.unit.pk}")
    row = page.locator(f"#n{branch.unit.pk} > .row")
    row.hover()
    row.locator(".menu-button").click()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [1400, 390])
def test_a_unit_is_published_at_its_time(open_page, plan, branch, language, width):
    page = open_page(language, width=width)
    open_menu(page, branch)
    page.locator(".row-menu [data-name=schedule]").click()
    page.check("[value=publish]")
    page.fill("[name=due_at]", in_an_hour())
    page.locator(".schedule-buttons .button").click()
    page.locator(".messagelist .success").wait_for()
    playwright.expect(page.locator(".scheduled li")).to_have_count(1)
    when = scheduling.time_text(ScheduledChange.objects.get().due_at)
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.goto(f"{reverse('admin:content_node_changelist')}?at={branch.unit.pk}")
    badge = page.locator(f"#n{branch.unit.pk} > .row .badge-action")
    badge.wait_for()
    page.goto(change_url(plan))
    playwright.expect(page.locator(".scheduled li")).to_have_count(1)
    if language == "en":
        assert when in page.locator(".scheduled li").inner_text()

    let_the_hour_pass()
    assert Node.objects.get(pk=branch.unit.pk).is_published
    assert Publication.objects.get().generation == 2
    page.goto(reverse("admin:content_node_history", args=[branch.unit.pk]))
    page.locator(".edits .reason").first.wait_for()
    assert EDITOR in page.locator(".edits header").first.inner_text()
    page.goto(change_url(plan))
    playwright.expect(page.locator(".scheduled li")).to_have_count(0)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_scheduled_override_is_cancelled_on_the_plan_page(
    open_page, plan, branch, language
):
    page = open_page(language)
    page.goto(change_url(plan))
    page.locator(f"#node-{branch.subject.pk} .override-link").click()
    page.locator("dialog[open] .override-close a").first.click()
    page.check("[value='set_override:hide']")
    page.fill("[name=due_at]", in_an_hour())
    page.locator(".schedule-buttons .button").click()
    page.locator(".messagelist .success").wait_for()
    page.goto(change_url(plan))
    page.locator(f"#node-{branch.subject.pk} .badge-action").wait_for()
    page.locator(".scheduled form button").click()
    page.locator(".messagelist .success").wait_for()
    playwright.expect(page.locator(".scheduled li")).to_have_count(0)
    let_the_hour_pass()
    assert not PlanOverride.objects.exists()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_plan_is_held_after_a_rollback_until_it_is_released(
    open_page, plan, branch, language
):
    set_override(plan=plan, target=branch.subject, action="set_free")
    builds.publish_plan(plan.pk)
    rollback.make_current(plan.public_id, 1)
    AcademicPlan.objects.filter(pk=plan.pk).update(title="Grade 12, new")
    tasks.process_pending()
    assert Publication.objects.get().generation == 1
    page = open_page(language)
    page.goto(change_url(plan))
    page.locator(".plan-head .hold").wait_for()
    page.evaluate("window.confirm = () => true")
    page.locator(".plan-head .hold button").click()
    page.locator(".messagelist li").wait_for()
    playwright.expect(page.locator(".plan-head .hold")).to_have_count(0)
    assert Publication.objects.get().generation > 2
