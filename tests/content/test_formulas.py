"""Formulas: where they are, which are valid, and how editors are told."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation

from content import formulas
from content.formulas import Formula, find_fault
from content.kinds import Kind
from content.services import create_node
from content.stage_configs import ConfigError, clean_config


def reasons(type_name, config):
    with pytest.raises(ConfigError) as refused:
        clean_config(type_name, config)
    return refused.value.messages


def text(body, *, is_markdown=False):
    return {"format": "markdown" if is_markdown else "html", "body": body}


def test_formulas_of_a_text_are_between_their_delimiters():
    found = list(formulas.in_text(r"a \(x^2\), \[y\] and (z) $5 \(half"))
    assert found == [Formula("x^2", False), Formula("y", True), Formula(None, False)]


def test_html_is_read_as_it_is_displayed_and_code_is_left_out():
    html = r"<p>\(x &lt; 3\) <code>\(\d\)</code></p><pre>\(\w</pre><p>\[a\]</p>"
    assert list(formulas.in_html(html)) == [Formula("x < 3", False), Formula("a", True)]


def test_markdown_in_a_formula_is_not_read_and_code_is_left_out():
    body = "`\\(\\d\\)` \\(x_1 * y_1\\) and \\(\n\n    \\(\\d\\)\n\n| a |\n|---|\n| \\(z\\) |"
    found = list(formulas.in_markdown(body))
    assert found == [Formula("x_1 * y_1", False), Formula("z", False)]


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("$x$ and $$y$$", ["x", "y"]),
        ("from $5 to $6", []),
        ("$5 and 3$5", []),  # a digit follows
        ("$ x$ and $x $", []),
        (r"\$5 and $x$ and \$6", ["x"]),
        (r"$\text{\$5}$", [r"\text{\$5}"]),
        (r"\(a $ b\) $c$", ["a $ b", "c"]),
        ("$$", []),
    ],
)
def test_formulas_between_dollar_signs_are_not_prices(text, tex):
    for read in (formulas.in_text, formulas.in_html, formulas.in_markdown):
        assert [found.tex for found in read(text, dollars=True)] == tex
    assert not list(formulas.in_text(text.replace("\\(", ""), dollars=False))


@pytest.mark.parametrize(
    ("tex", "plain"),
    [
        (r"\frac{-b \pm \sqrt{b^2-4ac}}{2a}", "(− b ± √(b^2 − 4ac))/2a"),
        (r"\sum_{i=1}^{n} x_i", "∑_(i = 1)^n x_i"),
        (r"\text{السرعة} = \frac{d}{t}", "السرعة = d/t"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "(1, 2; 3, 4)"),
        (r"\sin x + \alpha^{10}", "sin x + α^10"),
        (r"f'(x) \le \sqrt[3]{x}", "f′(x) ≤ √[3]x"),
        (r"\foo", r"\foo"),
        (r"\sqrt{" * 110 + "x" + "}" * 110, r"\sqrt{" * 110 + "x" + "}" * 110),
    ],
)
def test_a_formula_is_read_as_plain_text(tex, plain):
    assert formulas.plain_text(Formula(tex, False)) == plain


@pytest.mark.parametrize(
    "tex",
    [
        r"\frac{-b \pm \sqrt{b^2-4ac}}{2a}",
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\text{السرعة} = \frac{d}{t}",
        r"س + ٣",
        "",
    ],
)
def test_a_formula_that_katex_draws_is_valid(tex):
    assert find_fault(Formula(tex, False)) is None


@pytest.mark.parametrize(
    ("tex", "reason"),
    [
        (r"\frac{1}{2", "Unexpected end of input in a macro argument, expected '}'"),
        (r"\foo", r"Undefined control sequence: \foo"),
        ("a & b", "Expected 'EOF', got '&'"),
        ("x^1^2", "Double superscript"),
        (r"\def\a{\a\a}\a", "Too many expansions"),
        ("{" * 2000 + "}" * 2000, "stack overflow"),
        ("x" * 5001, "more than 5,000 characters"),
    ],
)
def test_a_formula_that_katex_cannot_draw_is_a_fault(tex, reason):
    fault = find_fault(Formula(tex, False))
    assert fault is not None
    assert reason in fault.reason
    # The interpreter is still usable, or is made again.
    assert find_fault(Formula("x", False)) is None


def test_threads_share_the_interpreter():
    written = [Formula(rf"\sqrt{{{number}}}", False) for number in range(50)]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(find_fault, written)) == {None}


def test_a_faulty_formula_is_named_with_its_place():
    config = {
        "questions": [
            {
                "prompt": r"<p>What is \(\frac{1}{2\)?</p>",
                "options": [
                    {"text": r"\(\wrong\)", "correct": True},
                    {"text": r"\(x", "correct": False},
                ],
            }
        ]
    }
    assert reasons("Quiz", config) == [
        "config.questions[0].prompt: the formula “\u2066\\frac{1}{2\u2069” is not valid: "
        "a brace is not closed",
        "config.questions[0].options[0].text: the formula “\u2066\\wrong\u2069” is not "
        "valid: there is no command “\\wrong”",
        "config.questions[0].options[1].text: the formula “\u2066\\(\u2069” is not valid: "
        "its end is missing",
    ]


def test_the_reason_is_translated():
    with translation.override("ar"):
        [reason] = reasons("Text", text(r"<p>\(\wrong\)</p>"))
    assert "لا يوجد أمر" in reason


def test_a_text_with_valid_formulas_is_stored_as_it_is():
    body = r"<p>\(x &lt; 3\) and \[\frac{1}{2}\], but $5 and C:\temp stay.</p>"
    assert clean_config("Text", text(body))["body"] == body


def test_markdown_may_escape_a_parenthesis():
    body = "Write \\(x, or `re.match(r'\\(\\d+\\)')`."
    assert clean_config("Text", text(body, is_markdown=True))["body"] == body


def test_pages_and_videos_show_no_formulas_so_theirs_are_not_checked():
    clean_config("Interactive", {"html": r"<p>\(\wrong\)</p>", "height": 480})


def test_a_text_with_too_many_formulas_is_refused():
    body = "<p>" + r"\(x\)" * 1001 + "</p>"
    assert reasons("Text", text(body)) == ["config.body: has more than 1000 formulas"]


def test_a_stage_that_has_dollar_formulas_is_checked_for_them():
    config = text("<p>$\\foo$ for $5</p>") | {"dollar_formulas": True}
    (reason,) = reasons("Text", config)
    assert reason.startswith(
        "config.body: the formula “\u2066\\foo\u2069” is not valid"
    )
    assert clean_config("Text", text("<p>$\\foo$ for $5</p>"))


@pytest.mark.django_db
def test_a_title_with_a_formula_that_cannot_be_drawn_is_refused():
    with pytest.raises(ValidationError) as refused:
        create_node(kind=Kind.SUBJECT, title=r"Area \(\foo\)")
    assert "there is no command" in refused.value.message_dict["title"][0]
    assert create_node(kind=Kind.SUBJECT, title=r"Area \(x^2\)").pk
