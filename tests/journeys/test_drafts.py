"""Drafts and two editors, in real browsers."""

import pytest
from django.urls import reverse

from content.drafts import presence
from content.models import FormDraft, Node
from plans.models import AcademicPlan
from players.models import User
from tests.factories.content import make_branch, make_stage
from tests.journeys.conftest import EDITOR, PASSWORD, write
from tests.journeys.test_editor_lesson import add_stage, open_lesson, open_stage, save

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)
SECOND = "second@example.org"


@pytest.fixture
def lesson(transactional_db):
    return make_branch("Physics", lessons=1).lessons[0]


def wait_for_draft(page):
    playwright.expect(page.locator(".lesson-status, .draft-status")).to_contain_text(
        ":"
    )


def wait_for_text_in_draft(page, text):
    for _attempt in range(300):
        if any(text in str(draft.data) for draft in FormDraft.objects.all()):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"no draft contains {text!r}")


@pytest.mark.parametrize("language", ["ar", "en"])
def test_what_was_not_saved_is_shown_again_and_discarded(open_page, lesson, language):
    make_stage(lesson, config={"format": "html", "body": "<p>before</p>"})
    page = open_page(language)
    open_lesson(page, lesson)
    write(open_stage(page).locator(".rich-text"), " and after")
    card = add_stage(page, "Quiz", "Unfinished")
    write(card.locator(".rich-text").first, "Why?")
    wait_for_draft(page)
    wait_for_text_in_draft(page, "Why?")

    page = open_page(language)
    open_lesson(page, lesson)
    playwright.expect(page.locator(".draft-notice").first).to_be_visible()
    cards = page.locator(".stage-card")
    playwright.expect(cards).to_have_count(2)
    assert (
        "before and after"
        in cards.nth(0).locator("textarea[name$=-config]").input_value()
    )
    playwright.expect(cards.nth(1).locator(".rich-text").first).to_have_text("Why?")
    assert Node.objects.get(pk=lesson.pk).stages.count() == 1

    with page.expect_navigation():
        page.click(".draft-discard")
    page.wait_for_selector(".stages.is-scripted")
    playwright.expect(page.locator(".stage-card")).to_have_count(1)
    assert not FormDraft.objects.exists()


def test_saving_leaves_no_draft(open_page, lesson):
    page = open_page()
    open_lesson(page, lesson)
    card = add_stage(page, "Text", "Read")
    write(card.locator(".rich-text"), "Some words")
    wait_for_draft(page)
    save(page)
    assert not FormDraft.objects.exists()
    assert lesson.stages.get().title == "Read"


def test_a_new_plan_is_shown_again(open_page, lesson):
    page = open_page("ar")
    page.goto(reverse("admin:plans_academicplan_add"))
    page.fill("[name=title]", "الصف العاشر")
    wait_for_draft(page)
    page = open_page("ar")
    page.goto(reverse("admin:plans_academicplan_add"))
    playwright.expect(page.locator("[name=title]")).to_have_value("الصف العاشر")
    with page.expect_navigation():
        page.click("[name=_save]")
    assert AcademicPlan.objects.get().title == "الصف العاشر"
    assert not FormDraft.objects.exists()


@pytest.fixture
def open_second(open_page, chromium, server):
    """Return a function that opens the browser of a second editor."""

    def opened(language="en"):
        User.objects.create_superuser(SECOND, PASSWORD)
        page = open_page(language)
        page.context.clear_cookies(name="sessionid")
        page.goto(reverse("admin:login"))
        page.fill("[name=username]", SECOND)
        page.fill("[name=password]", PASSWORD)
        page.press("[name=password]", "Enter")
        page.wait_for_url("**/admin/")
        return page

    return opened


def test_an_editor_sees_who_else_has_the_lesson_open(
    open_page, open_second, lesson, monkeypatch
):
    monkeypatch.setattr(presence, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(presence, "GONE_SECONDS", 8)
    first = open_page()
    open_lesson(first, lesson)
    second = open_second()
    open_lesson(second, lesson)
    playwright.expect(second.locator(".draft-others")).to_contain_text(EDITOR)
    playwright.expect(first.locator(".draft-others")).to_contain_text(SECOND)
    second.goto("about:blank")
    playwright.expect(first.locator(".draft-others")).to_be_hidden()


@pytest.mark.parametrize("language", ["ar", "en"])
def test_two_editors_of_one_lesson_lose_nothing(
    open_page, open_second, lesson, language
):
    for place, title in enumerate(["One", "Two", "Three"], start=1):
        config = {"format": "html", "body": f"<p>{title}</p>"}
        make_stage(lesson, title=title, position=place, config=config)
    first, second = open_page(language), open_second(language)
    for page, places in ((first, (0, 1)), (second, (1, 2))):
        open_lesson(page, lesson)
        who = "first" if page is first else "second"
        for place in places:
            write(open_stage(page, place).locator(".rich-text"), f" {who}")
    save(second)
    save(first)
    # The stage that both changed is chosen; the others are merged.
    conflicts = first.locator(".lesson-conflicts fieldset")
    playwright.expect(conflicts).to_have_count(1)
    playwright.expect(conflicts.locator("ins")).to_contain_text("second")
    conflicts.locator("input").nth(0).check()
    save(first)
    playwright.expect(first.locator(".lesson-conflicts")).to_have_count(0)
    bodies = [stage.config["body"] for stage in lesson.stages.order_by("position")]
    assert bodies == ["<p>One first</p>", "<p>Two first</p>", "<p>Three second</p>"]


@pytest.mark.parametrize("language", ["ar", "en"])
def test_a_lesson_is_saved_unfinished_and_completed_later(open_page, lesson, language):
    page = open_page(language)
    open_lesson(page, lesson)
    card = add_stage(page, "Text", "Half")
    card.locator(".rich-text").wait_for()
    save(page)
    assert not lesson.stages.exists()
    link = page.locator(".lesson-faults a")
    playwright.expect(link).to_have_text("Half")
    link.click()
    card = page.locator(".stage-card")
    card.locator(".je-ready").wait_for()
    write(card.locator(".rich-text"), "The other half")
    save(page)
    playwright.expect(page.locator(".lesson-faults")).to_have_count(0)
    assert lesson.stages.get().config["body"] == "<p>The other half</p>"
