"""Which grade Zoho gets for an attempt."""

from decimal import Decimal

import pytest

from registrar.grades.rules import Criterion, grade_of


def criteria(text: str) -> list[Criterion]:
    """Return criteria from ``"P1+ M1-"``: a plus is achieved."""
    return [Criterion(one[:-1], one, one.endswith("+")) for one in text.split()]


def grade(text: str, *, attempt: int = 0, is_submitted: bool = True) -> str:
    return grade_of(
        value=Decimal(50),
        criteria=criteria(text),
        attempt=attempt,
        is_submitted=is_submitted,
    )


@pytest.mark.parametrize(
    ("achieved", "expected"),
    [
        ("P1+ P2+", "P"),
        ("P1+ P2+ M1- D1-", "P"),
        ("P1+ P2+ M1+ D1-", "M"),
        ("P1+ P2+ M1+ D1+", "D"),
        ("P1+ P2+ M1- D1+", "P"),
        ("P1- P2+ M1+ D1+", "R"),
        ("P1+ D1+", "D"),
        ("P1+ P12-", "R"),
    ],
)
def test_a_level_needs_all_its_criteria_and_those_of_the_levels_below(
    achieved, expected
):
    assert grade(achieved) == expected


def test_a_later_attempt_without_a_pass_is_referred_again():
    assert [grade("P1-", attempt=number) for number in (0, 1, 2)] == ["R", "RR", "RR"]


def test_without_a_submission_and_a_pass_the_attempt_failed():
    assert grade("P1-", is_submitted=False) == "F"
    assert grade("P1-", attempt=1, is_submitted=False) == "F"
    assert grade("P1+", is_submitted=False) == "P"


@pytest.mark.parametrize(
    ("value", "text"), [("85.00000", "85"), ("66.66667", "66.66667"), ("100", "100")]
)
def test_without_criteria_of_btec_the_grade_is_moodles_number(value, text):
    found = grade_of(
        value=Decimal(value),
        criteria=criteria("Spelling+"),
        attempt=0,
        is_submitted=True,
    )
    assert found == text


@pytest.mark.parametrize(
    ("item", "attempt", "is_submitted", "expected"),
    [
        ("Competent", 0, True, "Competent"),
        ("Distinction", 0, True, "D"),
        ("MERIT", 0, False, "M"),
        ("Refer", 0, True, "R"),
        ("Refer", 1, True, "RR"),
        ("R", 1, False, "F"),
    ],
)
def test_the_item_of_a_scale_is_the_grade(item, attempt, is_submitted, expected):
    found = grade_of(
        value=Decimal(2),
        criteria=[],
        attempt=attempt,
        is_submitted=is_submitted,
        item=item,
    )
    assert found == expected


def test_criteria_of_btec_count_more_than_a_scale():
    found = grade_of(
        value=Decimal(2),
        criteria=criteria("P1+ M1+"),
        attempt=0,
        is_submitted=True,
        item="Refer",
    )
    assert found == "M"


def test_a_grade_that_was_taken_back_is_empty():
    assert (
        grade_of(value=None, criteria=criteria("P1+"), attempt=0, is_submitted=True)
        == ""
    )
