"""The preview shows texts as the app should, and follows the form beside it."""

import pytest
from django.urls import reverse

from tests.factories.content import make_stage
from tests.journeys.conftest import write
from tests.journeys.test_editor_lesson import (
    branch,  # noqa: F401 - a fixture
    open_lesson,
    open_stage,
)

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)
expect = playwright.expect
LANGUAGES = pytest.mark.parametrize("language", ["en", "ar"])
PHONE = {"width": 390, "height": 844}
LAPTOP = {"width": 1366, "height": 768}

CELLS = "".join(f"<th>القيمة المتوقعة {number}</th>" for number in range(9))
RICH = (
    "<p>استعمل الدالة <code>print(x, end='')</code>، ثم <code>x[0] += 1</code> في السطر.</p>"
    f"<table><thead><tr>{CELLS}</tr></thead><tbody><tr><td>1</td></tr></tbody></table>"
    "<details><summary>الحل</summary><p>الجواب خمسة.</p></details>"
    r"<p>المساحة \(\frac{a}{b}\) وحدة.</p>"
    "<pre><code>for i in range(10):\n    print(i, 'a long line of code that does not wrap')</code></pre>"
)
MARKDOWN = (
    "استعمل `print(x)` هنا.\n\n|"
    + " القيمة المتوقعة |" * 9
    + "\n|"
    + "---|" * 9
    + "\n|"
    " 1 |" * 1 + "\n\n```\nfor i in range(10):\n    print(i)\n```\n\nالمساحة \\(x^2\\)."
)


@pytest.fixture
def lesson(branch):  # noqa: F811
    lesson = branch.lessons[0]
    lesson.stages.all().delete()
    return lesson


def with_text(lesson, body, format="html"):
    return make_stage(
        lesson, type="Text", title="نص", config={"format": format, "body": body}
    )


def open_app(page, lesson):
    """The student's page alone, as in a phone."""
    page.set_viewport_size(PHONE)
    page.goto(reverse("admin:preview_lesson", args=[lesson.public_id]) + "app/")
    page.wait_for_selector(".player .stage")


@LANGUAGES
@pytest.mark.parametrize(("body", "format"), [(RICH, "html"), (MARKDOWN, "markdown")])
def test_a_wide_table_scrolls_in_its_box(open_page, lesson, language, body, format):
    with_text(lesson, body, format)
    page = open_page(language)
    open_app(page, lesson)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    box = page.locator(".wide")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth + 100")
    assert box.evaluate("box => box.clientWidth <= innerWidth")


@LANGUAGES
def test_words_are_not_broken(open_page, lesson, language):
    with_text(lesson, RICH)
    page = open_page(language)
    open_app(page, lesson)
    broken = page.evaluate(
        """() => {
          const walker = document.createTreeWalker(document.querySelector(".stage"), NodeFilter.SHOW_TEXT);
          const broken = [];
          while (walker.nextNode()) {
            const node = walker.currentNode;
            if (node.parentElement.closest(".katex")) continue;
            for (const word of node.data.matchAll(/[\\p{L}\\p{M}]+/gu)) {
              const range = document.createRange();
              range.setStart(node, word.index);
              range.setEnd(node, word.index + word[0].length);
              const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.bottom)));
              if (lines.size > 1) broken.push(word[0]);
            }
          }
          return broken;
        }"""
    )
    assert broken == []


@LANGUAGES
@pytest.mark.parametrize(("body", "format"), [(RICH, "html"), (MARKDOWN, "markdown")])
def test_code_is_isolated_and_runs_from_left_to_right(
    open_page, lesson, language, body, format
):
    with_text(lesson, body, format)
    page = open_page(language)
    open_app(page, lesson)
    for code in page.locator(".stage :is(code, pre)").all():
        assert code.get_attribute("dir") == "ltr"
        style = code.evaluate(
            "code => [getComputedStyle(code).direction, getComputedStyle(code).unicodeBidi]"
        )
        assert style == ["ltr", "isolate"]


@LANGUAGES
def test_details_open_and_formulas_are_drawn(open_page, lesson, language):
    with_text(lesson, RICH)
    page = open_page(language)
    open_app(page, lesson)
    expect(page.locator(".stage .katex").first).to_be_visible()
    answer = page.get_by_text("الجواب خمسة.")
    expect(answer).to_be_hidden()
    page.get_by_text("الحل").click()
    expect(answer).to_be_visible()


def expect_to_fit(screen):
    fits = "screen => screen.getBoundingClientRect().bottom <= innerHeight"
    for _try in range(100):
        if screen.evaluate(fits):
            return
        screen.page.wait_for_timeout(50)
    pytest.fail("the phone ends below the window")


@LANGUAGES
def test_the_phone_of_a_preview_fits_a_small_screen(open_page, lesson, language):
    with_text(lesson, RICH)
    page = open_page(language)
    page.set_viewport_size(LAPTOP)
    page.goto(reverse("admin:preview_lesson", args=[lesson.public_id]))
    expect_to_fit(page.locator(".preview-screen"))


@LANGUAGES
def test_the_phone_beside_the_form_fits_a_small_screen(open_page, lesson, language):
    with_text(lesson, RICH)
    page = open_page(language)
    page.set_viewport_size(LAPTOP)
    open_lesson(page, lesson)
    phone = page.locator(".live-preview .phone")
    expect(phone).to_be_visible()
    expect_to_fit(phone)
    page.mouse.wheel(0, 200)
    page.wait_for_timeout(500)
    assert page.evaluate("scrollY") > 0
    expect_to_fit(phone)


@LANGUAGES
def test_the_preview_follows_the_card_that_was_written_in_last(
    open_page, lesson, language
):
    for title in ("One", "Two"):
        make_stage(
            lesson, title=title, config={"format": "html", "body": f"<p>{title}</p>"}
        )
    page = open_page(language)
    open_lesson(page, lesson)
    first, second = open_stage(page, 0), open_stage(page, 1)
    shown = page.frame_locator(".live-frame").locator(".player")
    expect(shown).to_contain_text("Two")
    write(first.locator(".rich-text"), " and more")
    expect(shown).to_contain_text("One and more")
    shown.locator(".onward").click()
    expect(shown).to_contain_text("Two")
    write(first.locator(".rich-text"), " again")
    expect(shown).to_contain_text("One and more again")
    second.locator("[name$=-title]").fill("Second")
    expect(shown).to_contain_text("Second")
