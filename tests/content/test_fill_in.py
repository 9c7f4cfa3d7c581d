"""Gaps and accepted answers of fill-in stages."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
import quickjs

from content import fill_in
from content.stage_configs import ConfigError, clean_config
from core import folding
from core.folding import fold, visible_text

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "docs/fill-in-answers.json").read_text())["vectors"]
SCRIPT = ROOT / "publishing/static/memora/typed-answers.js"


def question(prompt, *gaps, **rest):
    return {"questions": [{"prompt": prompt, "gaps": list(gaps), **rest}]}


def reasons(config):
    with pytest.raises(ConfigError) as refused:
        clean_config("FillIn", config)
    return refused.value.messages


@pytest.mark.parametrize(
    ("html", "count"),
    [
        ("<p>a ___ b _______ c</p>", 2),
        ("<pre><code>int x = ___;</code></pre>", 1),
        ('<p>__init__ <a href="https://a.example/a___b">k</a></p>', 0),
        ("<p>_<b>__</b></p>", 0),
    ],
)
def test_a_gap_is_a_run_of_three_underscores_in_a_text(html, count):
    assert fill_in.count_gaps(html) == count


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("٣٫١٤", [Fraction("3.14")]),
        ("-.5e1", [Fraction(-5)]),
        ("1,000", [Fraction(1), Fraction(1000)]),
        ("1,000,000", [Fraction(1_000_000)]),
        ("3/4", [Fraction(3, 4)]),
        ("1/0", []),
        ("3²", []),
        ("1e999", []),
        ("9" * 41, []),
        ("", []),
    ],
)
def test_a_text_means_these_numbers(text, numbers):
    assert fill_in.numbers_in(text) == numbers


@pytest.mark.parametrize(
    "config",
    [
        question("a ___ b ___", {"answers": ["x"]}, {"answers": ["3"], "tolerance": 0}),
        question("How much?", {"answers": ["3.5", "٧"], "tolerance": 0.1}),
        question("___", {"answers": ["int", "Int"], "exact": True}),
    ],
)
def test_a_gap_has_texts_or_numbers(config):
    cleaned = clean_config("FillIn", config)
    assert cleaned["questions"][0]["gaps"] == config["questions"][0]["gaps"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            question("a ___ b ___", {"answers": ["x"]}),
            "config.questions[0].gaps: their number (1) is not that of the gaps in the "
            "text (2): write ___ for each gap, or none for one answer below the text",
        ),
        (
            question("a", {"answers": ["x"], "tolerance": 1}),
            "config.questions[0].gaps[0].answers[0]: “x” is not a number, but the gap "
            "has a numeric tolerance",
        ),
        (
            question("a", {"answers": ["1,000"], "tolerance": 1}),
            "config.questions[0].gaps[0].answers[0]: “1,000” can be read as two "
            "numbers: write it without a separator of thousands",
        ),
        (
            question("a", {"answers": ["مدرسة", "مدرسه"]}),
            "config.questions[0].gaps[0].answers[1]: is the same as an earlier answer",
        ),
        (
            question("a", {"answers": ["1/2", "0.5"], "tolerance": 0}),
            "config.questions[0].gaps[0].answers[1]: is the same as an earlier answer",
        ),
        (
            question("a", {"answers": ["\u064e\u064e"]}),
            "config.questions[0].gaps[0].answers[0]: has only signs that are ignored: "
            "choose to compare letter by letter",
        ),
        (
            question("a", {"answers": ["1"], "tolerance": 0, "exact": True}),
            "config.questions[0].gaps[0].exact: is not for numbers, which have a "
            "tolerance",
        ),
    ],
)
def test_a_gap_that_cannot_be_answered_is_refused(config, message):
    assert reasons(config) == [message]


def is_right_by_the_guide(gap, typed):
    if "tolerance" not in gap:
        face = visible_text if gap.get("exact") else fold
        return face(typed) in {face(answer) for answer in gap["answers"]}
    accepted = [n for answer in gap["answers"] for n in fill_in.numbers_in(answer)]
    return any(
        abs(number - answer) <= gap["tolerance"] + 1e-9 * max(1, abs(answer))
        for number in fill_in.numbers_in(typed)
        for answer in accepted
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["about"])
def test_the_vectors_follow_the_rules_of_the_guide(vector):
    assert is_right_by_the_guide(vector["gap"], vector["typed"]) is vector["right"]


def test_the_preview_compares_answers_as_the_vectors_say():
    context = quickjs.Context()
    context.eval(SCRIPT.read_text(encoding="utf-8"))
    compare = context.eval(
        f"(gap, typed) => Memora.isRightAnswer(JSON.parse(gap), typed,"
        f" {json.dumps(folding.tables())})"
    )
    wrong = [
        vector["about"]
        for vector in VECTORS
        if compare(json.dumps(vector["gap"]), vector["typed"]) is not vector["right"]
    ]
    assert wrong == []


def test_the_folding_tables_of_the_preview_are_those_of_the_guide():
    file = json.loads((ROOT / "docs/search-folding.json").read_text())
    for name, table in folding.tables().items():
        kept = sorted(file[name]) if name == "remove" else file[name]
        assert table == kept, name
