"""Formulas in the rich text of a stage's form."""

import pytest

from content.models import LessonStage
from tests.factories.content import make_stage
from tests.journeys.conftest import put_caret
from tests.journeys.test_editor_lesson import (
    branch,  # noqa: F401 - a fixture
    open_lesson,
    open_stage,
    save,
)

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)


def stored(lesson) -> str:
    return LessonStage.objects.get(lesson=lesson, type="Text").config["body"]


@pytest.fixture
def lesson(branch):  # noqa: F811
    lesson = branch.lessons[0]
    lesson.stages.all().delete()
    return lesson


def with_text(lesson, body):
    config = {"format": "html", "body": body}
    return make_stage(lesson, type="Text", title="A", config=config)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_formula_is_written_with_a_live_drawing_and_changed_later(
    open_page, lesson, language
):
    with_text(lesson, "<p>المساحة</p>")
    page = open_page(language)
    open_lesson(page, lesson)
    card = open_stage(page)
    put_caret(card.locator(".rich-text"))
    card.locator(".tool-formula").click()
    dialog = page.locator(".formula-dialog")
    dialog.locator("textarea").fill(r"\frac{a}{b")
    playwright.expect(dialog.locator(".fault")).not_to_be_empty()
    playwright.expect(dialog.locator("button[type=submit]")).to_be_disabled()
    dialog.locator("textarea").fill(r"\frac{a}{b} < 3")
    playwright.expect(dialog.locator(".formula-drawn .katex")).to_be_visible()
    playwright.expect(dialog.locator(".fault")).to_be_empty()
    dialog.locator("button[type=submit]").click()
    drawn = card.locator(".rich-text .rich-formula .katex")
    playwright.expect(drawn).to_be_visible()
    save(page)
    assert stored(lesson) == r"<p>المساحة\(\frac{a}{b} &lt; 3\)</p>"

    card = open_stage(page)
    card.locator(".rich-formula").click()
    playwright.expect(dialog.locator("textarea")).to_have_value(r"\frac{a}{b} < 3")
    dialog.locator("textarea").fill("x")
    dialog.locator("#formula-display").check()
    dialog.locator("button[type=submit]").click()
    playwright.expect(card.locator(".rich-formula .katex-display")).to_be_visible()
    save(page)
    assert stored(lesson) == r"<p>المساحة\[x\]</p>"


def test_opening_a_text_with_formulas_changes_nothing(open_page, lesson):
    body = (
        r"<p>إذا كان \(x &lt; 3\) &amp; <strong>\(y\)</strong> و "
        r"<code>\(code\)</code></p><pre><code>\[a\]</code></pre>"
    )
    with_text(lesson, body)
    page = open_page()
    open_lesson(page, lesson)
    card = open_stage(page)
    playwright.expect(card.locator(".rich-formula .katex")).to_have_count(2)
    card.locator(".tool-source").click()
    playwright.expect(card.locator(".rich-source")).to_have_value(body)


def test_a_formula_is_removed_and_the_text_beside_it_stays(open_page, lesson):
    with_text(lesson, r"<p>one \(x\) two</p>")
    page = open_page()
    open_lesson(page, lesson)
    card = open_stage(page)
    card.locator(".rich-formula").click()
    page.locator(".formula-dialog").get_by_role("button", name="Remove").click()
    save(page)
    assert stored(lesson) == "<p>one  two</p>"
