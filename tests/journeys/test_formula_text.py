"""Inline tags and formulas of plain texts in the preview, as the documents say."""

import pytest
from django.urls import reverse

from content import formulas
from tests.content.test_inline_text import VECTORS
from tests.factories.content import make_branch, make_stage

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)

SHOWN = r"""(text) => {
  const draw = ({ tex, display }) => document.createTextNode(display ? `\\[${tex}\\]` : `\\(${tex}\\)`);
  const root = Memora.formulaText.inlineText(text, { draw });
  const found = [];
  const walk = (node, tags) => {
    for (const child of node.childNodes) {
      if (child.nodeType !== Node.TEXT_NODE) walk(child, [...tags, child.localName]);
      else if (found.length && found.at(-1).tags.join() === tags.join() && !/^\\[([]/.test(child.data)) {
        found.at(-1).text += child.data;
      } else found.push({ text: child.data, tags });
    }
  };
  walk(root, []);
  return found;
}"""
DOLLARS = [
    "$x$ and $$y$$",
    "from $5 to $6",
    "$5 and 3$5",
    "$ x$ and $x $",
    r"\$5 and $x$ and \$6",
    r"\(a $ b\) $c$",
    r"$$ \(half",
]


@pytest.fixture
def lesson(transactional_db):
    lesson = make_branch("Chemistry", lessons=1).lessons[0]
    lesson.stages.all().delete()
    return lesson


def open_preview(open_page, lesson, language="en"):
    page = open_page(language)
    page.goto(reverse("admin:app_lesson", args=[lesson.public_id]))
    page.locator(".onward").wait_for()
    return page


def add(lesson, kind, config, title="A", position=0):
    make_stage(lesson, type=kind, title=title, config=config, position=position)


def test_the_browser_reads_texts_as_the_server_does(open_page, lesson):
    add(lesson, "Text", {"format": "html", "body": "<p>a</p>"})
    page = open_preview(open_page, lesson)
    for vector in VECTORS:
        assert page.evaluate(SHOWN, vector["text"]) == vector["pieces"]
    for text in DOLLARS:
        parts = page.evaluate(
            """(text) => Memora.formulaText.parts(text, true).map((part) =>
              typeof part === "string" ? part : [part.tex, part.display])""",
            text,
        )
        assert parts == [
            part if isinstance(part, str) else list(part)
            for part in formulas.parts(text, dollars=True)
        ]


@pytest.mark.parametrize("language", ["en", "ar"])
def test_titles_options_and_pairs_show_tags_and_formulas(open_page, lesson, language):
    options = [{"text": "H<sub>2</sub>O", "correct": True}, {"text": r"\(CO_2\) < 3"}]
    quiz = {"questions": [{"prompt": "<p>ماء؟</p>", "options": options}]}
    add(lesson, "Quiz", quiz, title=r"<b>الماء</b> \(x^2\)")
    pairs = [{"left": "x<sup>2</sup>", "right": "a"}, {"left": "c", "right": "d"}]
    add(lesson, "Matching", {"pairs": pairs}, position=1)
    page = open_preview(open_page, lesson, language)
    playwright.expect(page.locator("h2 b")).to_have_text("الماء")
    playwright.expect(page.locator("h2 .katex")).to_be_visible()
    playwright.expect(page.locator(".option sub")).to_have_text("2")
    playwright.expect(page.locator(".option .katex")).to_be_visible()
    page.locator(".onward").click()
    playwright.expect(page.locator(".pair-side sup")).to_have_text("2")


@pytest.mark.parametrize("form", ["html", "markdown"])
def test_dollars_are_formulas_only_where_the_stage_says_so(open_page, lesson, form):
    body = r"from \$5 to $x_1$ or $6"
    body = f"<p>{body}</p>" if form == "html" else body
    config = {"format": form, "body": body}
    add(lesson, "Text", config | {"dollar_formulas": True})
    add(lesson, "Text", config, position=1)
    page = open_preview(open_page, lesson)
    shown = page.locator(".stage .html")
    playwright.expect(shown.locator(".katex")).to_have_count(1)
    playwright.expect(shown).to_contain_text("from $5 to")
    page.locator(".onward").click()
    playwright.expect(shown.locator(".katex")).to_have_count(0)
    playwright.expect(shown).to_contain_text("$x_1$ or $6")
