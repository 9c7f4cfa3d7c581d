"""The words of a stage that searches read."""

from content.stage_texts import words_of


def text(body, format="html"):
    return {"format": format, "body": body}


def test_tags_are_not_words_and_blocks_are_lines():
    words = words_of("Text", text("<p>One <b>two</b>three</p><ul><li>four</li></ul>"))
    assert words.lines == ("One twothree", "four")


def test_markdown_marks_are_not_words():
    words = words_of("Text", text("# Title\n\nsome *words* and `code`", "markdown"))
    assert words.lines == ("Title", "some words and code")


def test_formulas_are_plain_text():
    body = r"<p>The area \(\pi r^2\) of a circle \[\frac{a}{b}\]</p>"
    assert words_of("Text", text(body)).lines == ("The area πr^2 of a circle a/b",)
    markdown = r"The area \(\pi r^2\) here"
    assert words_of("Text", text(markdown, "markdown")).lines == ("The area πr^2 here",)
    formula = "<p>Half: <math><mfrac><mn>1</mn><mn>2</mn></mfrac></math> of it</p>"
    assert words_of("Text", text(formula)).lines == ("Half: 1/2 of it",)


def test_dollars_are_formulas_only_where_the_stage_says_so():
    body = r"<p>It costs $5, and $x_1$</p>"
    assert words_of("Text", text(body)).lines == ("It costs $5, and $x_1$",)
    config = text(body) | {"dollar_formulas": True}
    assert words_of("Text", config).lines == ("It costs $5, and x_1",)


def test_inline_tags_of_an_option_are_not_words():
    options = [{"text": "H<sub>2</sub>O", "correct": True}, {"text": "a < b <i>c"}]
    config = {"questions": [{"prompt": "Which?", "options": options}]}
    assert words_of("Quiz", config).lines == ("Which?", "H2O", "a < b <i>c")


def test_a_formula_in_code_is_code():
    body = r"<p><code>\(x\)</code></p>"
    assert words_of("Text", text(body)).lines == (r"\(x\)",)


def test_addresses_ids_and_choices_are_not_words():
    config = {
        "questions": [
            {
                "id": "ITEM-1",
                "prompt": "<p>Which?</p>",
                "image": "/media/secret.png",
                "options": [{"text": "This", "correct": True}, {"text": "That"}],
            }
        ]
    }
    assert words_of("Quiz", config).lines == ("Which?", "This", "That")


def test_terms_are_headings_bold_words_and_fronts_of_cards():
    body = "<h2>Atoms</h2><p>An <strong>electron</strong> is small.</p>"
    assert words_of("Text", text(body)).terms == ("Atoms", "electron")
    cards = {"cards": [{"front": "<p>Ion</p>", "back": "<p>charged</p>"}]}
    assert words_of("Reveal", cards).terms == ("Ion",)


def test_a_removed_type_has_no_words():
    assert words_of("Gone", {"a": "b"}).lines == ()
