"""Visible text: required text can be seen, and look-alikes compare equal."""

import pytest

from core.folding import visible_text

INVISIBLE = [
    "",
    " \t\n",
    "\u00a0\u2003\u3000",  # spaces of other widths
    "\u200b\u200c\u200d\u2060\ufeff",  # zero width
    "\u200e\u200f\u061c\u202e\u2067\u2069",  # directions
    "\u00ad\u034f",  # soft hyphen, grapheme joiner
    "\u3164\u115f\u1160\uffa0\u2800",  # fillers and an empty braille cell
    "\ufe0f\U000e0100",  # variation selectors
    "\U000e0041\U000e007f",  # tags
    "\x00\x1b\x7f",
]


@pytest.mark.parametrize("text", INVISIBLE)
def test_nothing_can_be_seen(text):
    assert visible_text(text) == ""


@pytest.mark.parametrize("text", ["نعم", ".", "0", "۝", "\u0600", "👍🏽", "\u064e"])
def test_something_can_be_seen(text):
    assert visible_text(text)


@pytest.mark.parametrize(
    "other",
    [
        "نعم ",
        "  نعم",
        "\u200fنعم\u200e",
        "ن\u200bعم",
        "\ufeffنعم",
        "\u202bنعم\u202c",
        "\ufee7\ufecc\ufee2",  # presentation forms, as PDFs contain them
    ],
)
def test_what_looks_the_same_is_the_same(other):
    assert visible_text(other) == visible_text("نعم")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("e\u0301", "\u00e9"),  # NFD and NFC
        ("آ", "ا\u0653"),
        ("ب\u064e\u0651", "ب\u0651\u064e"),  # marks in either order
        ("a b", "a\u00a0 \n b"),
    ],
)
def test_normalisation_forms_are_the_same(one, other):
    assert visible_text(one) == visible_text(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x2", "x²"),
        ("½", "1⁄2"),
        ("A", "a"),
        ("كتب", "كَتَبَ"),
        ("علي", "على"),
        ("٣", "3"),
        ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"),  # two flags that differ only by tags
    ],
)
def test_what_a_reader_tells_apart_differs(one, other):
    assert visible_text(one) != visible_text(other)


@pytest.mark.parametrize("text", [*INVISIBLE, "نعم ", "e\u0301", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"])
def test_doing_it_twice_changes_nothing(text):
    once = visible_text(text)
    assert visible_text(once) == once
