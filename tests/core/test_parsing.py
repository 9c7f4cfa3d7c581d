"""Parsing numbers and times sent by clients."""

from datetime import UTC, datetime

import pytest

from core import parsing


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("7", 7), ("007", 7), ("9" * 18, 10**18 - 1)],
)
def test_ascii_digits_are_a_number(text: str, number: int):
    assert parsing.whole_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 7",
        "7\n",
        "+7",
        "-7",
        "7.0",
        "1_000",
        "٧",
        "²",
        "1e3",
        "9" * 19,
        "9" * 4400,
    ],
)
def test_anything_else_is_no_number(text: str):
    assert parsing.whole_number(text) is None
    assert parsing.as_key(text) == 0


def test_a_number_outside_its_bounds_is_none():
    assert parsing.whole_number("100", minimum=1, maximum=100) == 100
    assert parsing.whole_number("101", minimum=1, maximum=100) is None
    assert parsing.whole_number("0", minimum=1, maximum=100) is None
    assert parsing.whole_number("0000000019999999999", maximum=100) is None


def test_a_time_is_read_in_utc():
    assert parsing.parse_time("2026-01-31T08:00:00+03:00") == datetime(
        2026, 1, 31, 5, tzinfo=UTC
    )
    assert parsing.parse_time("0002-01-01T00:00:00Z") == parsing.EARLIEST
    assert parsing.parse_time("9998-12-31T23:59:59Z") == parsing.LATEST


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        1e400,
        [],
        "",
        "now",
        "2026-01-31T08:00:00",
        "2026-02-30T08:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "0001-12-31T23:59:59Z",
        "9999-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
        "10000-01-01T00:00:00Z",
        "2026-01-31T08:00:00+99:00",
        "2026-01-31T08:00:00Z\x00",
        "9" * 5000,
    ],
)
def test_anything_else_is_no_time(value: object):
    assert parsing.parse_time(value) is None
