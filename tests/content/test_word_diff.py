"""Differences in words."""

import pytest
from django.utils import translation

from content.json_diff import Difference, DifferenceKind
from content.templatetags.memora_history import as_text, before_and_after, place
from content.word_diff import Part, visible, words

OLD = "The sum of the angles of a triangle is 180 degrees."


def changed(old: str, new: str) -> list[Part]:
    parts = words(old, new)
    assert parts is not None
    return [part for part in parts if part.old != part.new]


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (OLD.replace("sum", "total"), [("sum ", "total ")]),
        (OLD.replace("the angles of ", ""), [("of the angles ", "")]),
        (OLD.replace("degrees", "exact degrees"), [("", "exact ")]),
        (OLD, []),
    ],
)
def test_only_the_changed_words_are_marked(new, expected):
    assert changed(OLD, new) == expected


def test_arabic_words_stay_whole():
    old = "مجموع زوايا المثلث يساوي مئة وثمانين درجة"
    new = "مجموع زوايا المثلث القائم يساوي مئة وثمانين درجة"
    assert changed(old, new) == [("", "القائم ")]


def test_both_texts_can_be_read_from_the_parts():
    new = OLD.replace("triangle", "flat triangle").replace("180", "two right")
    parts = words(OLD, new)
    assert "".join(part.old for part in parts) == OLD
    assert "".join(part.new for part in parts) == new


def test_what_is_far_from_a_change_is_left_out():
    far = " ".join(f"word{number}" for number in range(100))
    parts = words(f"{far} end.", f"{far} finish.")
    assert parts[0].new.startswith("… word92 ")
    assert parts[-1] == ("end.", "finish.")


def test_a_long_text_between_two_changes_is_shortened_in_its_middle():
    far = " ".join(f"word{number}" for number in range(100))
    _first, same, _last = words(f"one {far} two", f"three {far} four")
    assert "word7 … word92" in same.new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Grade 12", "Grade 11"),
        (OLD, "Photosynthesis turns light into sugar, as every green leaf shows."),
        (OLD, OLD * 300),
        (OLD, ""),
    ],
)
def test_texts_that_are_better_side_by_side_have_no_parts(old, new):
    assert words(old, new) is None


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("<p>One <strong>two</strong></p><ul><li>3 &lt; 4</li></ul>", "One two\n3 < 4"),
        ("if x < 3 and y > 4", "if x < 3 and y > 4"),
        ("**bold** stays", "**bold** stays"),
    ],
)
def test_html_is_compared_by_what_readers_see(text, seen):
    assert visible(text) == seen


# --- On a page ------------------------------------------------------------------------


def test_a_page_marks_the_changed_words():
    new = OLD.replace("sum", "<b>total</b>")
    shown = before_and_after(f"<p>{OLD}</p>", f"<p>{new}</p>")
    assert '<del dir="auto">sum </del> <ins dir="auto">total </ins>' in shown
    assert shown.startswith('<span class="words" dir="auto">The ')


def test_markup_is_shown_when_only_it_differs():
    shown = before_and_after("<p>One two</p>", "<p>One <b>two</b></p>")
    assert "&lt;b&gt;two" in shown


def test_what_editors_wrote_is_escaped():
    evil = OLD.replace("sum", "<img src=x onerror=alert(1)> &lt;script&gt;")
    assert "<script" not in before_and_after(OLD, evil)
    assert "<img" not in before_and_after(OLD, evil)


def test_an_added_stage_is_shown_by_its_texts():
    config = {"format": "html", "body": "<p>One <b>two</b></p>"}
    shown = as_text({"id": "STG-1", "type": "Text", "config": config})
    assert shown == (
        '<ul class="readable"><li dir="auto">type: Text</li>'
        '<li dir="auto">Format: html</li><li dir="auto">Text: One two</li></ul>'
    )


@pytest.mark.parametrize(
    ("language", "shown"),
    [("en", "“Intro” › Text"), ("ar", "“Intro” › النص")],
)
def test_a_field_of_a_stage_has_its_label(language, shown):
    found = Difference(("“Intro”", "config", "body"), DifferenceKind.CHANGED, "a", "b")
    with translation.override(language):
        assert place(found) == shown
