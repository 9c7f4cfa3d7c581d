"""Lesson sheets saved by other programs: every loss of data is reported."""

import csv
import io

import pytest
from django.utils import translation
from hypothesis import HealthCheck, given, settings

from content.field_lists import NodeFields
from content.models import Node
from content.spreadsheets import lesson_sheet
from content.spreadsheets.losses import loss
from core.spreadsheets.cells import guard_formulas
from core.spreadsheets.files import CSV, XLSX, SheetError
from tests.core.spreadsheets import workbooks
from tests.core.spreadsheets.test_files import TEXTS
from tests.core.spreadsheets.workbooks import row, rows, text, workbook, worksheet
from tests.factories.content import make_branch

pytestmark = pytest.mark.django_db
KINDS = [XLSX, CSV]


@pytest.fixture
def maths():
    return make_branch(lessons=3)


@pytest.fixture
def lessons(maths):
    return maths.lessons


def give(lesson, **values):
    """Store values that no form accepts, but an import may have stored."""
    Node.objects.filter(pk=lesson.pk).update(**values)


def tried(data, kind=XLSX):
    if isinstance(data, str):
        data = data.encode()
    return lesson_sheet.import_lessons(data, f"lessons.{kind}", dry_run=True)


def as_csv(*lines):
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    return out.getvalue()


def changes(report):
    """Return what would be written, column by column."""
    assert report.faults == []
    return {
        name: (old, new)
        for change in report.changes
        for name, old, new in change.values
    }


def only_reason(report):
    [fault] = report.faults
    return fault.reason


# --- An export imported untouched ------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@given(
    title=TEXTS.filter(lambda text: "\0" not in text and text.strip()),
    description=TEXTS.filter(lambda text: "\0" not in text),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_export_imported_untouched_changes_nothing(maths, kind, title, description):
    give(maths.lessons[0], title=title, description=description)
    report = tried(lesson_sheet.export_lessons(maths.subject, kind), kind)
    assert (report.rows, report.changes, report.faults) == (3, [], [])


LOOK_WRONG = [
    "#N/A",
    "007",
    "1/2",
    "1E5",
    "true",
    "50%",
    "12345678901234567890",
    "  edges  ",
    "two\r\nlines\rand\n",
    "_x000D_",
    "????",
    "'=1",
    "sep=;",
    "a\ufffe\uffff\x01\x1fz",
    "\ufffd",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", LOOK_WRONG)
def test_a_text_that_looks_wrong_but_is_the_lessons_own_stays(maths, kind, value):
    give(maths.lessons[0], title=value, description=value)
    report = tried(lesson_sheet.export_lessons(maths.subject, kind), kind)
    assert (report.changes, report.faults) == ([], [])


@pytest.mark.parametrize("kind", KINDS)
def test_line_endings_and_edges_are_no_edit(maths, lessons, kind):
    give(lessons[0], description="one\r\ntwo\r\n", title=" Title ")
    lines = [["id", "title", "description"], [lessons[0].public_id, " Title ", "x"]]
    lines[1][2] = "one\ntwo\n"
    data = as_csv(*lines) if kind == CSV else workbook(worksheet(rows(*lines)))
    assert changes(tried(data, kind)) == {}


@pytest.mark.parametrize("title", ["=1+1", "'=1", "x;=1", "- one\n- two"])
def test_a_program_may_turn_one_kind_of_export_into_the_other(lessons, title):
    give(lessons[0], title=title)
    lesson = lessons[0].public_id
    from_csv = rows(("id", "title"), (lesson, guard_formulas(title)))
    assert changes(tried(workbook(worksheet(from_csv)))) == {}
    from_workbook = as_csv(["id", "title"], [lesson, title])
    assert changes(tried(from_workbook, CSV)) == {}


def test_removing_an_edge_is_an_edit(lessons):
    give(lessons[0], title=" Title ")
    data = as_csv(["id", "title"], [lessons[0].public_id, "Title"])
    assert changes(tried(data, CSV)) == {"title": (" Title ", "Title")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_a_spreadsheet_would_cut_is_not_exported(maths, kind):
    give(maths.lessons[1], description="x" * 40_000)
    lesson = maths.lessons[1].public_id
    with pytest.raises(SheetError, match=f"“description” of {lesson} is too long"):
        lesson_sheet.export_lessons(maths.subject, kind)


# --- Cells that are not text ---------------------------------------------------------


def test_merged_cells_free_no_lesson(lessons):
    for lesson in lessons:
        give(lesson, required_item="MATH-12")
    lines = [("id", "required_item"), (lessons[0].public_id, "MATH-12")]
    lines += [(lesson.public_id,) for lesson in lessons[1:]]
    data = workbook(worksheet(rows(*lines), merged=["B2:B4"]))
    report = lesson_sheet.import_lessons(data, "lessons.xlsx")
    assert "B2:B4" in only_reason(report)
    assert report.faults[0].column == "Product code"
    assert report.faults[0].row == 2
    sold = Node.objects.filter(required_item="MATH-12")
    assert sold.count() == 3


def test_lessons_that_lose_their_product_code_are_counted(lessons):
    give(lessons[0], required_item="MATH-12")
    lines = [(lesson.public_id, "") for lesson in lessons]
    report = tried(as_csv(["id", "required_item"], *lines), CSV)
    assert report.unsold == 1


ODD = {
    "formula": '<c r="B2" t="str"><f>A2</f><v>kept</v></c>',
    "formula without a value": '<c r="B2"><f>A2</f></c>',
    "error": '<c r="B2" t="e"><v>#N/A</v></c>',
    "date": '<c r="B2" s="1"><v>45000</v></c>',
    "percent": '<c r="B2" s="2"><v>0.5</v></c>',
    "fraction": '<c r="B2" s="3"><v>0.5</v></c>',
    "leading zeros": '<c r="B2" s="4"><v>7</v></c>',
    "scientific": '<c r="B2" s="5"><v>100000</v></c>',
    "decimal": '<c r="B2"><v>1.1</v></c>',
    "long": '<c r="B2"><v>1.2345678901234568E19</v></c>',
    "boolean": '<c r="B2" t="b"><v>1</v></c>',
}
STYLES = workbooks.styles("dd/mm/yyyy", "0%", "# ?/?", "0000", "0.00E+00")


@pytest.mark.parametrize("column", ["title", "required_item", "base_xp", "id"])
@pytest.mark.parametrize("kind", ODD)
def test_a_cell_that_is_no_text_is_refused_by_name(lessons, column, kind):
    accepted = {"base_xp": ("leading zeros",)}
    lesson = lessons[0].public_id
    cells = (lesson, ODD[kind]) if column != "id" else ("", ODD[kind])
    header = ("id" if column != "id" else "title", column)
    data = worksheet(rows(header, cells))
    report = tried(workbook(data, style=STYLES))
    if kind in accepted.get(column, ()):
        assert changes(report) == {"base_xp": (10, 7)}
        return
    reason = only_reason(report)
    assert report.faults[0].row == 2
    if column != "base_xp" or kind not in ("decimal", "long"):
        assert "Cell B2 of the sheet “Lessons”" in reason


@pytest.mark.parametrize(
    ("column", "cell", "new"),
    [
        ("title", '<c r="B2"><v>2024</v></c>', "2024"),
        ("base_xp", '<c r="B2"><v>15.0</v></c>', 15),
        ("base_xp", text("B2", "١٥"), 15),
        ("is_public", '<c r="B2" t="b"><v>1</v></c>', True),
        ("is_public", '<c r="B2"><v>1</v></c>', True),
        ("is_public", text("B2", "صواب"), True),
    ],
)
def test_numbers_and_truth_values_are_read_where_they_belong(
    lessons, column, cell, new
):
    data = worksheet(rows(("id", column), (lessons[0].public_id, cell)))
    assert changes(tried(workbook(data)))[column][1] == new


@pytest.mark.parametrize("value", ["1_0", "1e1", "nan", "inf", "10.5", "1,0", "", "-1"])
def test_only_digits_are_a_whole_number(lessons, value):
    data = as_csv(["id", "base_xp"], [lessons[0].public_id, value])
    assert "Enter a whole number." in only_reason(tried(data, CSV))


def test_cells_beside_the_columns_may_hold_anything(lessons):
    odd = '<c r="B2" t="e"><v>#N/A</v></c>'
    data = worksheet(rows(("id", "note", "title"), (lessons[0].public_id, odd, "T")))
    report = tried(workbook(data))
    assert changes(report)["title"][1] == "T"
    assert report.ignored_columns == ["note"]


# --- What programs change in a text ------------------------------------------------

LOSSES = [
    ("007", "7"),
    ("1E5", "100000"),
    ("1E5", "1.00E+05"),
    ("12345678901234567890", "1.23457E+19"),
    ("12345678901234567890", "1.23456789012346E+019"),
    ("1234567890123456789", "1234567890123450000"),
    ("1.10", "1.1"),
    ("1.", "1"),
    ("(1)", "-1"),
    ("1,000", "1000"),
    ("50%", "0.5"),
    ("50%", "50.00%"),
    ("1/2", "0.5"),
    ("1/2", "02-Jan"),
    ("1-2", "2-Jan"),
    ("1/2", "45293"),
    ("1/2/24", "01/02/2024"),
    ("1/2", "01/02/26"),
    ("2024-01-05", "5/1/2024"),
    ("MAR1", "01-Mar"),
    ("March 2024", "Mar-24"),
    ("1-2", "02-يناير"),
    ("10:30", "10:30:00"),
    ("10:30", "10:30:00 AM"),
    ("true", "TRUE"),
    ("Fractions", "#N/A"),
    ("Fractions", "#REF!"),
    ("Fractions", "########"),
    ("Fractions", "Err:502"),
    ("الكسور", "??????"),
    ("الكسور 1", "?????? 2 ???"),
    ("الكسور", "\ufffd\ufffd"),
    ("😀", "??"),
    ("Long", "x" * 32_767),
    ("Long", "😀" * 16_383),
]
EDITS = [
    ("1-2", "1-3"),
    ("1-2", "2-1"),
    ("1/2/2024", "1/3/2024"),
    ("10:30", "11:30"),
    ("007", "008"),
    ("007", "Seven"),
    ("2024", "2025"),
    ("", "#1"),
    ("Fractions", "1/2"),
    ("Fractions", "Fractions #2"),
    ("What", "What???"),
    ("لماذا", "Why?"),
    ("لماذا", "لماذا ???"),
    ("true", "false"),
    ("x" * 100, "1" * 100),
]


@pytest.mark.parametrize(("before", "after"), LOSSES)
def test_what_a_program_makes_of_a_text_is_refused(lessons, before, after):
    give(lessons[0], description=before)
    data = as_csv(["id", "description"], [lessons[0].public_id, after])
    reason = only_reason(tried(data, CSV))
    assert reason
    give(lessons[0], description=after)
    assert changes(tried(data, CSV)) == {}


@pytest.mark.parametrize(("before", "after"), EDITS)
def test_an_edit_is_none_of_a_programs_doing(before, after):
    assert loss(before, after) is None


def test_a_row_that_ends_early_empties_nothing(lessons):
    give(lessons[0], required_item="MATH-12")
    data = f"id,title,required_item\n{lessons[0].public_id},A\n"
    assert "ends before this column" in only_reason(tried(data, CSV))
    give(lessons[0], required_item="")
    assert changes(tried(data, CSV)) == {"title": ("Lesson 1", "A")}


def test_a_text_with_an_unquoted_separator_shifts_nothing(lessons):
    data = f"id,title,is_public\n{lessons[0].public_id},A, B,yes\n"
    reasons = [fault.reason for fault in tried(data, CSV).faults]
    assert any("more cells than columns" in reason for reason in reasons)


# --- Headers -----------------------------------------------------------------------


def labels():
    """Every column's label, by language."""
    for code in ("en", "ar"):
        with translation.override(code):
            yield from ((lesson_sheet.label(n), n) for n in NodeFields.SHEET)


def test_columns_are_known_by_label_case_and_invisible_marks():
    for written, name in [
        ("ID", "id"),
        ("\ufeffid ", "id"),
        ("Base XP", "base_xp"),
        ("REQUIRED-ITEM", "required_item"),
        ("is\u00a0published", "is_published"),
        *labels(),
    ]:
        assert lesson_sheet.column_of(written) == name
    assert lesson_sheet.column_of("x" * 1_000_000) is None


def test_two_names_of_one_column_are_refused(lessons):
    with pytest.raises(SheetError, match="Two columns have the same name"):
        tried(as_csv(["id", "Title", "title"], [lessons[0].public_id, "A", "B"]), CSV)


def test_rows_are_named_by_their_numbers_in_the_file(lessons):
    data = row(3, text("A3", "id"), text("B3", "base_xp"))
    data += row(7, text("A7", lessons[0].public_id), text("B7", "20"))
    data += row(9, text("A9", lessons[1].public_id), text("B9", "many"))
    report = tried(workbook(worksheet(data)))
    assert [change.row for change in report.changes] == [7]
    assert [fault.row for fault in report.faults] == [9]
