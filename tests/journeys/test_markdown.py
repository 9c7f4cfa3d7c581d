"""Markdown and formulas in the preview.

Markdown is CommonMark with tables and strikethrough. The reference is markdown-it-py, which passes the specification's examples.
"""

import pytest
from django.urls import reverse
from markdown_it import MarkdownIt

from content import formulas
from content.formulas import Formula
from plans.models import AcademicPlan
from plans.services import add_subject
from tests.factories.content import make_branch, make_stage

pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
)


@pytest.fixture
def lesson(transactional_db):
    branch = make_branch("Physics", lessons=1)
    plan = AcademicPlan.objects.create(title="Grade 12", is_published=True)
    add_subject(plan=plan, subject=branch.subject)
    branch.lessons[0].stages.all().delete()
    return branch.lessons[0]


SAMPLES = [
    # Names and sums of programs are no emphasis.
    "Call my_var_name and other_var_x; then 5 * 3 * 2 = 30 and a*b*c.",
    "Use __init__ and f(*args, **kw), then ____ and snake_case_.",
    "*one*, **two**, ***three***, _four_, __five__ and **in*side*out**",
    "نص **عريض** و *مائل* و `x = 1`، ثم [رابط](https://example.org).",
    # Lists.
    "1. one\n   - sub a\n   - sub b\n2. two\n\n- x\n    - y\n\n      z",
    "3) three\n4) four\n\n* loose\n\n* list",
    "- a\n\n      code in an item\n\n- b",
    # Blocks.
    "# One\n## Two ##\n###### Six\n####### Seven",
    "Title\n=====\n\nSmaller\n-------\n\ntext",
    "> quote\ncontinued\n>\n> > deeper\n\nafter",
    "    code by indent\n\nText\n\n```python\nif a < b:\n    pass\n```",
    "~~~~\n```\ninside\n~~~~\n\n***\n- - -\n___",
    "line one  \nline two\\\nline three\nline four",
    # Tables and strikethrough.
    "| a | b \\| c |\n|---|:-:|\n| `x\\|y` | ~~old~~ |\n| only one |",
    # Code, escapes and entities.
    "`` a ` b `` and `<b>` and \\*not\\* &copy; &lt; &#x41;",
    "<b>raw</b> &lt; 5 &amp; x<y\n\n<div>\nblock\n</div>",
    # Links and pictures.
    '[a](/docs/b "title") <https://example.org> [c][ref]\n\n[ref]: /c "t"',
    '![alt *text*](/media/images/figure.png "title") ![](https://example.org/a.png)',
    "[no](javascript:alert(1)) ![no](data:image/png;base64,AAAA) [c](mailto:a@b.org)",
    "[not a link] and [also](not closed and ![half](",
]
FORMULAS = {
    "Let \\(x_i^2 + y_i\\) and \\[\\frac{1}{2}\\] be.": (
        "<p>Let \\(x_i^2 + y_i\\) and \\[\\frac{1}{2}\\] be.</p>"
    ),
    "A \\(half and *b*": "<p>A (half and <em>b</em></p>",
    "`\\(code\\)`": "<p><code>\\(code\\)</code></p>",
}

# Shown and expected HTML as the browser writes them, without what the preview adds.
_COMPARE = """
(shown, expected) => {
  const plain = (html) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    for (const part of page.body.querySelectorAll("*")) {
      for (const name of ["dir", "target", "rel", "class"]) {
        part.removeAttribute(name);
      }
      const inOrder = [...part.attributes].sort((a, b) => (a.name < b.name ? -1 : 1));
      for (const { name, value } of inOrder) {
        part.removeAttribute(name);
        part.setAttribute(name, value);
      }
    }
    return page.body.innerHTML.trim();
  };
  const written = shown.cloneNode(true);
  for (const box of written.querySelectorAll(".wide")) box.replaceWith(...box.childNodes);
  for (const [name, start, end] of [
    [".katex-display", "\\\\[", "\\\\]"],
    [".katex", "\\\\(", "\\\\)"],
  ]) {
    for (const drawn of written.querySelectorAll(name)) {
      const tex = drawn.querySelector("annotation").textContent;
      drawn.parentNode.replaceWith(start + tex + end);
    }
  }
  return [plain(written.innerHTML), plain(expected)];
}
"""


def reference() -> MarkdownIt:
    renderer = MarkdownIt("commonmark", {"html": False})
    return renderer.enable(["table", "strikethrough"])


def expected_html() -> dict[str, str]:
    renderer = reference()
    allowed = ("https:", "mailto:", "/")
    renderer.validateLink = lambda url: url.startswith(allowed)  # type: ignore[method-assign]
    # The pages' policy has no inline styles.
    return {
        sample: renderer.render(sample).replace(
            'style="text-align:center"', 'align="center"'
        )
        for sample in SAMPLES
    } | FORMULAS


def test_the_preview_shows_markdown_as_commonmark(open_page, lesson):
    expected = expected_html()
    for place, sample in enumerate(expected):
        config = {"format": "markdown", "body": sample}
        make_stage(lesson, type="Text", title="A", config=config, position=place)
    page = open_page()
    page.goto(reverse("admin:app_lesson", args=[lesson.public_id]))
    for sample, html in expected.items():
        shown = page.locator(".html.markdown")
        shown.wait_for()
        found, wanted = shown.evaluate(
            f"(shown, html) => ({_COMPARE})(shown, html)", html
        )
        assert found == wanted, sample
        page.locator(".onward").click()


def test_blocks_of_markdown_follow_the_direction_of_their_text(open_page, lesson):
    config = {"format": "markdown", "body": "- قائمة\n\n```\ncode\n```\n\n# Title"}
    make_stage(lesson, type="Text", title="A", config=config)
    page = open_page()
    page.goto(reverse("admin:app_lesson", args=[lesson.public_id]))
    shown = page.locator(".html.markdown")
    shown.wait_for()
    for part in ("ul", "li", "h1"):
        assert shown.locator(part).get_attribute("dir") == "auto"
    assert shown.locator("pre").get_attribute("dir") == "ltr"
    assert (
        shown.locator("li").evaluate("item => getComputedStyle(item).direction")
        == "rtl"
    )


FORMULA_SAMPLES = [
    r"\frac{-b \pm \sqrt{b^2-4ac}}{2a}",
    r"\text{السرعة} = \frac{d}{t}",
    r"\begin{cases} x & y \\ 1 & 2 \end{cases}",
    r"\frac{1}{2",
    r"\wrong{x}",
    "a & b",
    "x^1^2",
    r"\left( x",
    r"\begin{none}x\end{none}",
]


def test_the_server_and_the_preview_agree_which_formulas_are_valid(open_page, lesson):
    config = {"format": "html", "body": "<p>text</p>"}
    make_stage(lesson, type="Text", title="A", config=config)
    page = open_page()
    page.goto(reverse("admin:app_lesson", args=[lesson.public_id]))
    page.locator(".html").wait_for()
    for tex in FORMULA_SAMPLES:
        drawn = page.evaluate(
            """(tex) => {
              try {
                katex.render(tex, document.createElement("span"), { strict: "ignore" });
                return true;
              } catch (error) {
                return false;
              }
            }""",
            tex,
        )
        assert drawn == (formulas.find_fault(Formula(tex, False)) is None), tex


@pytest.mark.parametrize("width", [400, 1400])
def test_formulas_are_drawn_in_every_text_that_students_read(open_page, lesson, width):
    wide = r"\[" + "+".join(f"x_{{{number}}}" for number in range(80)) + r"\]"
    options = [
        {"text": r"\(x^2\)", "correct": True},
        {"text": r"\(\frac{1}{2}\)"},
    ]
    stages = [
        (
            "Text",
            {
                "format": "html",
                "body": rf"<p>إذا كان \(x &lt; 3\) فإن</p><p>{wide}</p><pre>\(code\)</pre>",
            },
        ),
        ("Text", {"format": "markdown", "body": r"So \(x_1 * y_1\) and *so*."}),
        ("Quiz", {"questions": [{"prompt": r"<p>\(1 + 1\)</p>", "options": options}]}),
        (
            "SentenceBuilder",
            {
                "sentences": [
                    {
                        "prompt": "Order",
                        "tokens": [r"\(a\)", "b"],
                        "answer": [r"\(a\)", "b"],
                    }
                ]
            },
        ),
    ]
    for place, (kind, config) in enumerate(stages):
        make_stage(lesson, type=kind, title=r"\(T\)", config=config, position=place)
    page = open_page(width=width)
    page.goto(reverse("admin:app_lesson", args=[lesson.public_id]))
    shown = page.locator(".stage")
    for count in (2, 1, 3, 1):
        shown.wait_for()
        assert page.locator("h2 .katex").count() == 1
        assert shown.locator(".katex").count() == count
        assert page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
        direction = "element => getComputedStyle(element).direction"
        assert shown.locator(".katex").first.evaluate(direction) == "ltr"
        if count == 2:
            assert shown.locator("pre").inner_text().strip() == r"\(code\)"
        if shown.locator(".bank").count():
            shown.locator(".bank .token", has=page.locator(".katex")).click()
            shown.locator(".bank .token").click()
            shown.locator(".check").click()
            shown.locator(".feedback.is-right").wait_for()
        page.locator(".onward").click()
