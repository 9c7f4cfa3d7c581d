"""Paths in configs as the labels of the form."""

import pytest
from django.utils import translation

from content.field_labels import labelled, place, sentences
from content.json_diff import differences
from content.templatetags.memora_history import as_text, place as place_on_page


def question(prompt, *options):
    return {
        "id": f"ITEM-{prompt}",
        "prompt": prompt,
        "options": [{"text": option} for option in options],
    }


@pytest.mark.parametrize(
    ("type_name", "path", "shown"),
    [
        ("Quiz", ("questions", 0, "prompt"), "Questions 1 › Question"),
        (
            "Quiz",
            ("questions", 1, "options", 2, "text"),
            "Questions 2 › Options 3 › Answer",
        ),
        ("SentenceBuilder", ("sentences", 0, "also_accepted", 1, 2), None),
        ("Text", ("body",), "Text"),
        ("Text", ("unknown",), "unknown"),
        ("NoType", ("a", 0), "a › 1"),
        ("Quiz", (), ""),
    ],
)
def test_a_path_is_shown_by_labels(type_name, path, shown):
    expected = (
        shown if shown is not None else "Sentences 1 › Also accepted 2 › Answer 3"
    )
    assert place(type_name, path) == expected


def test_labels_are_in_the_language_of_the_page():
    with translation.override("ar"):
        assert place("Quiz", ("questions", 0)) == "الأسئلة 1"


def test_a_fault_of_the_whole_config_has_no_place():
    faults = [((), "is wrong"), (("pairs",), "must not be empty")]
    assert sentences("Matching", faults) == ["is wrong", "Pairs: must not be empty"]


def test_the_labels_of_a_difference_are_those_of_its_type():
    old = {"questions": [question("What is *it*?", "a", "b")]}
    new = {"questions": [{**old["questions"][0], "prompt": "What is <b>that</b>?"}]}
    [found] = labelled("Quiz", differences(old, new))
    assert place_on_page(found) == "Questions “What is that?” › Question"


def test_an_added_question_is_shown_by_labels_without_its_id():
    new = {"questions": [question("Why?", "a <b>bold</b> one", "b")]}
    [found] = labelled("Quiz", differences({"questions": []}, new))
    shown = as_text(found.new)
    assert "Question: Why?" in shown
    assert "Options 1 › Answer: a bold one" in shown
    assert "ITEM-" not in shown


def test_the_fields_of_an_added_question_are_in_the_order_of_the_form():
    new = {"questions": [{"options": [], "explanation": "e", "prompt": "Why?"}]}
    [found] = labelled("Quiz", differences({"questions": []}, new))
    assert next(iter(found.new)) == "Question"
