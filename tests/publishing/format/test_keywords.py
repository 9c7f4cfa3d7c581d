"""The words of a lesson for the search index, and their budget."""

import json
import random
import re
from pathlib import Path

import pytest

from content.stage_texts import words_of
from content.tree import Stage
from core.folding import fold, searchable
from publishing.format import keywords
from publishing.format.keywords import for_index, of_stages

CURRICULUM = (
    Path(__file__).parents[3].parent / "shared/data/python-programming.curriculum.json"
)


def stage(body, *, title="Reading", format="html"):
    config = json.dumps({"format": format, "body": body})
    return Stage(
        id="STG-1",
        type="Text",
        title=title,
        config=config,
        weight=1,
        target_time=60,
        is_skippable=False,
    )


def indexed(*stages, known="", lessons=1, only_terms=False):
    recorded = of_stages(stages)
    return for_index(
        recorded, known=known, lessons=lessons, only_terms=only_terms
    ).split()


def test_the_words_are_folded_and_in_alphabetical_order():
    assert indexed(stage("<p>Zebra, ÉLAN; الْكُسُورُ</p>")) == [
        *("elan", "reading", "zebra"),
        "الكسور",
    ]


def test_a_word_in_the_text_of_the_item_is_not_repeated():
    assert indexed(stage("<p>fraction half</p>"), known="fractions reading") == ["half"]


def test_a_part_of_another_word_is_not_repeated():
    assert indexed(stage("<p>count counting account</p>")) == [
        *("account", "counting", "reading")
    ]


def test_a_quranic_word_is_there_in_both_spellings():
    words = indexed(stage("<p>رَبِّ ٱلۡعَٰلَمِينَ</p>"))
    assert {"العالمين", "العلمين"} <= set(words)


def test_paid_lessons_have_only_their_terms():
    body = "<h2>Atoms</h2><p>An <b>electron</b> is small.</p>"
    assert indexed(stage(body), only_terms=True) == ["atoms", "electron", "reading"]


def test_terms_come_first_then_frequent_words(monkeypatch):
    monkeypatch.setattr(keywords, "LESSON_BYTES", 22)
    body = "<p>rare common common</p><p><b>term</b></p>"
    assert indexed(stage(body)) == ["common", "reading", "term"]


def test_the_lessons_of_a_subject_share_its_budget(monkeypatch):
    monkeypatch.setattr(keywords, "SUBJECT_BYTES", 60)
    monkeypatch.setattr(keywords, "MIN_LESSON_BYTES", 10)
    body = f"<p>{' '.join(f'word{number}' for number in range(100, 200))}</p>"
    assert len(" ".join(indexed(stage(body), lessons=1))) <= 60
    assert len(" ".join(indexed(stage(body), lessons=3))) <= 20
    assert indexed(stage(body), lessons=1000) == ["reading"]


def test_most_words_of_a_real_book_are_found():
    if not CURRICULUM.exists():
        pytest.skip("needs the reference curriculum")
    lessons = list(_lessons(json.loads(CURRICULUM.read_text(encoding="utf-8"))))
    choose = random.Random(1)
    found = asked = size = 0
    for lesson in lessons:
        stages = [
            Stage(
                "STG-1",
                one["type"],
                one["title"],
                json.dumps(one["config"]),
                1,
                1,
                False,
            )
            for one in lesson["stages"]
        ]
        text = searchable(lesson["title"])
        words = indexed(*stages, known=text, lessons=len(lessons))
        size += len(" ".join(words).encode())
        body = " ".join(
            line
            for one in lesson["stages"]
            for line in words_of(one["type"], one["config"]).lines
        )
        for word in choose.sample(sorted(set(re.findall(r"\w{3,}", body))), k=1):
            asked += 1
            found += fold(word) in f"{text} {' '.join(words)}"
    assert asked > 300
    assert found / asked > 150 / 180
    assert size <= keywords.SUBJECT_BYTES


def _lessons(value):
    if isinstance(value, dict):
        if value.get("stages"):
            yield value
        for inner in value.values():
            yield from _lessons(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _lessons(inner)
