"""Bodies of the API: one dataclass parses them and says what is wrong."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import pytest

from core.api_types import (
    NO_NUL,
    NOT_BLANK,
    Field,
    InvalidBodyError,
    parse,
    parse_query,
)

DEVICE = "7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e"


@dataclass(frozen=True, slots=True)
class Entry:
    text: Annotated[str, Field("", min_length=1, max_length=3, pattern=NOT_BLANK)]
    at: Annotated[datetime | None, Field("")] = None


@dataclass(frozen=True, slots=True)
class Body:
    number: Annotated[int, Field("", minimum=1, maximum=5)]
    entries: Annotated[list[Entry], Field("", min_length=1, max_length=50)]
    flag: Annotated[bool, Field("")] = False
    device: Annotated[UUID | None, Field("")] = None
    choice: Annotated[str | None, Field("", choices=("a", "b"), not_null=True)] = None


@dataclass(frozen=True, slots=True)
class Query:
    limit: Annotated[int, Field("", minimum=1, maximum=5)] = 3
    word: Annotated[str | None, Field("", max_length=4, pattern=NO_NUL)] = None


def faults(body: object) -> dict[str, list[str]]:
    with pytest.raises(InvalidBodyError) as refused:
        parse(Body, body)
    return refused.value.details["fields"]


VALID = {"number": 2, "entries": [{"text": "one"}]}


def test_a_body_becomes_an_instance():
    body = VALID | {"flag": True, "device": DEVICE.upper(), "choice": "b"}
    body["entries"] = [{"text": "a", "at": "2026-01-31T10:00:00+02:00"}]
    assert parse(Body, body) == Body(
        number=2,
        entries=[Entry("a", datetime(2026, 1, 31, 8, tzinfo=UTC))],
        flag=True,
        device=UUID(DEVICE),
        choice="b",
    )


def test_missing_fields_have_their_defaults():
    assert parse(Body, VALID) == Body(number=2, entries=[Entry("one")])


def test_a_whole_number_may_be_written_with_a_point():
    number = parse(Body, VALID | {"number": 3.0}).number
    assert (number, type(number)) == (3, int)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"number": True}, "number"),
        ({"number": "2"}, "number"),
        ({"number": 2.5}, "number"),
        ({"number": float("inf")}, "number"),
        ({"number": 6}, "number"),
        ({"number": None}, "number"),
        ({"flag": 1}, "flag"),
        ({"device": "7d0b3c1e-5a4f-1c1b-9e0d-2f6a8b1c3d5e"}, "device"),
        ({"device": DEVICE + "\n"}, "device"),
        ({"choice": "c"}, "choice"),
        ({"choice": None}, "choice"),
        ({"entries": []}, "entries"),
        ({"entries": {}}, "entries"),
        ({"entries": [7]}, "entries[0]"),
        ({"entries": [{"text": "a"}, {}]}, "entries[1].text"),
        ({"entries": [{"text": "four"}]}, "entries[0].text"),
        ({"entries": [{"text": " "}]}, "entries[0].text"),
        ({"entries": [{"text": "a\0"}]}, "entries[0].text"),
        ({"entries": [{"text": "a", "at": "2026-01-31"}]}, "entries[0].at"),
        ({"entries": [{"text": "a", "more": 1}]}, "entries[0].more"),
    ],
)
def test_a_fault_is_named_by_its_path(change, path):
    assert list(faults(VALID | change)) == [path]


def test_every_fault_of_a_body_is_told():
    found = faults({"number": 9, "entries": [{"text": ""}], "flag": 2})
    assert list(found) == ["number", "entries[0].text", "flag"]


@pytest.mark.parametrize("body", [None, [], "text", 7])
def test_a_body_that_is_no_object_is_refused(body):
    assert list(faults(body)) == ["body"]


def test_many_faults_are_cut_short():
    body = {"number": 1, "entries": [{"text": ""}] * 50}
    assert len(faults(body)) == 20
    assert len(faults(VALID | {str(number): 1 for number in range(99)})) == 20


def test_a_query_is_text_and_its_unknown_parameters_are_ignored():
    assert parse_query(Query, {"limit": "5", "word": "7", "utm": "x"}) == Query(5, "7")
    assert parse_query(Query, {}) == Query()


@pytest.mark.parametrize("limit", ["0", "6", "", "x", " 3", "٣", "3.0", "true"])
def test_a_number_in_a_query_is_ascii_digits(limit):
    with pytest.raises(InvalidBodyError) as refused:
        parse_query(Query, {"limit": limit})
    assert list(refused.value.details["fields"]) == ["limit"]
