"""The mapping reads locked names only, and converts values without guessing."""

import dataclasses
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from registrar import checks
from registrar.mapping import converters as c
from registrar.mapping.locked_names import APPENDIX
from registrar.mapping.modules import MAPPINGS, MappedField
from registrar.mirror.health import missing_names

BLUEPRINT = Path(__file__).parents[4] / "shared" / "spec" / "5-moodle-zoho-blueprint.md"
MODULE = re.compile(r"^(\w++): ", re.MULTILINE)
NAME = re.compile(r"[A-Z]\w*+")


@pytest.mark.shared
@pytest.mark.skipif(not BLUEPRINT.exists(), reason="needs the specification beside us")
def test_the_locked_names_are_those_of_the_appendix():
    text = BLUEPRINT.read_text(encoding="utf-8")
    block = text.partition("### الـ api_names المُقفلة")[2].split("```")[1]
    _before, *parts = MODULE.split(block.strip())
    found = {
        module: frozenset(NAME.findall(names))
        for module, names in zip(parts[::2], parts[1::2], strict=True)
    }
    assert found == APPENDIX


def test_every_locked_name_but_the_receipt_is_mirrored():
    for module, names in APPENDIX.items():
        # The receipt stays in Zoho: its file is private.
        assert names - set(MAPPINGS[module].api_names) <= {"Attachment"}, module


def test_the_mapping_passes_the_checks():
    assert checks.check_mappings() == []


@pytest.mark.parametrize(
    ("api_name", "column", "expected"),
    [
        ("Shoe_Size", "pushed_version", "registrar.E001"),
        ("Name", "shoe_size", "registrar.E002"),
        ("Email", "name", "registrar.E002"),
    ],
    ids=["unknown name", "unknown column", "column twice"],
)
def test_a_wrong_entry_of_the_mapping_is_an_error(
    monkeypatch, api_name, column, expected
):
    teachers = MAPPINGS["BTEC_Teachers"]
    wrong = MappedField(api_name, column, c.text())
    monkeypatch.setitem(
        MAPPINGS,
        "BTEC_Teachers",
        dataclasses.replace(teachers, fields=(*teachers.fields, wrong)),
    )
    assert [found.id for found in checks.check_mappings()] == [expected]


def test_a_name_that_the_crm_no_longer_has_is_reported():
    complete = {module: set(mapping.api_names) for module, mapping in MAPPINGS.items()}
    criteria = {"Learning_Outcomes_Assessm"}
    assert missing_names(complete) == {"BTEC_Grades": sorted(criteria)}
    complete["BTEC_Grades"] |= criteria
    assert missing_names(complete) == {}
    complete["BTEC_Students"] -= {"City", "Gender"}
    assert missing_names(complete) == {"BTEC_Students": ["City", "Gender"]}


def test_a_crm_needs_a_field_for_one_criterion_at_least():
    fields = {"Name", "Unit_Code", "Created_Time", "Modified_Time"}
    for one in ("M2_description", "P1_description"):
        assert missing_names({"BTEC_Units": fields | {one}}) == {}
    assert missing_names({"BTEC_Units": fields}) == {"BTEC_Units": ["P1_description"]}


@pytest.mark.parametrize(
    ("convert", "value", "expected"),
    [
        (c.text(), "  أحمد  ", "  أحمد  "),
        (c.text(), None, ""),
        (c.text(), 42, "42"),
        (c.day, "2026-03-01", date(2026, 3, 1)),
        (c.day, "", None),
        (c.money, 0.1, Decimal("0.100")),
        (c.money, "1250.75", Decimal("1250.750")),
        (c.money, None, None),
        (c.whole, "12", 12),
        (c.lookup, {"name": "x", "id": "5001"}, "5001"),
        (c.lookup, None, None),
        (c.lookup_name, {"name": "ليلى", "id": "1"}, "ليلى"),
        (c.lookup_name, None, ""),
        (c.choice("Active"), " active ", "Active"),
        (c.choice("Active"), "-None-", ""),
        (c.linked_ids("F"), [{"id": "9", "F": {"id": "1"}}], ["1"]),
        (c.linked_ids("F"), None, []),
    ],
)
def test_a_value_is_converted(convert, value, expected):
    assert convert(value) == expected


@pytest.mark.parametrize(
    ("convert", "value", "reason"),
    [
        (c.text(3), "four", "length"),
        (c.text(), {"a": 1}, "type"),
        (c.text(), True, "type"),
        (c.day, "2026-03-01T00:00:00+03:00", "date"),
        (c.day, "2026-02-30", "date"),
        (c.day, 20260301, "date"),
        (c.money, 0.0001, "decimals"),
        (c.money, "a lot", "number"),
        (c.money, "NaN", "number"),
        (c.money, 1e15, "number"),
        (c.money, "1e99999999", "number"),
        (c.money, True, "number"),
        (c.whole, -1, "number"),
        (c.whole, "٣", "number"),
        (c.whole, 2**40, "number"),
        (c.lookup, {"name": "x"}, "lookup"),
        (c.lookup, [], "lookup"),
        (c.lookup, "9" * 41, "lookup"),
        (c.choice("Active"), "Frozen", "choice"),
        (c.choice("Active"), 1, "type"),
        (c.linked_ids("F"), [{"id": "9"}], "lookup"),
        (c.linked_ids("F"), "1,2", "lookup"),
    ],
)
def test_a_value_that_is_not_understood_is_refused(convert, value, reason):
    with pytest.raises(c.UnknownValueError) as caught:
        convert(value)
    assert caught.value.reason == reason
