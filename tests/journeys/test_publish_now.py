"""A publish that its page follows, in a real browser."""

import pytest
from django.urls import reverse

from plans.models import AcademicPlan
from plans.services import add_subject
from publishing import tasks
from publishing.models import SyncLog
from tests.factories.content import make_branch, make_stage

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)


@pytest.fixture
def plan(transactional_db):
    branch = make_branch("Physics", lessons=2)
    for lesson in branch.lessons:
        make_stage(lesson)
    plan = AcademicPlan.objects.create(title="Grade 12", is_published=False)
    add_subject(plan=plan, subject=branch.subject)
    return plan


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("width", [1400, 390])
def test_a_draft_is_published_and_its_page_says_when_it_is_done(
    open_page, plan, monkeypatch, language, width
):
    sent: list[tuple] = []
    monkeypatch.setattr(tasks.publish_plan, "delay", lambda *args: sent.append(args))
    page = open_page(language, width=width)
    page.goto(reverse("admin:publishing_upcoming", args=[plan.pk]))
    page.locator(".offer button").click()
    page.locator(".publish-result.is-action").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    tasks.publish_plan(*sent[0])
    page.locator(".publish-result.is-done").wait_for()
    # The list of upcoming changes is up to date, too.
    playwright.expect(page.locator(".upcoming details")).to_have_count(0)


def test_the_page_of_the_plan_says_why_a_publish_failed(open_page, plan, monkeypatch):
    sent: list[tuple] = []
    monkeypatch.setattr(tasks.publish_plan, "delay", lambda *args: sent.append(args))
    plan.is_published = True
    plan.save()
    page = open_page()
    page.goto(reverse("admin:plans_academicplan_change", args=[plan.pk]))
    page.fill("[name=title]", "Not saved yet")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Publish now").click()
    page.locator(".publish-result.is-action").wait_for()
    page.fill("[name=title]", "Typed while it runs")
    SyncLog.objects.update(status="dead_letter", error="The disk is on fire.")
    result = page.locator(".publish-result.is-failed")
    playwright.expect(result).to_contain_text("The disk is on fire.")
    playwright.expect(page.locator("[name=title]")).to_have_value("Typed while it runs")
