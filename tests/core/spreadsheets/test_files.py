"""Reading sheets of other programs: text, other cells, and refused files."""

import csv
import io
import re
import tracemalloc
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from core.spreadsheets import files, workbook_files
from core.spreadsheets.cells import (
    CellType,
    NonTextCell,
    display_type,
    escape_xml,
    guard_formulas,
    unescape_xml,
    unguard_formulas,
    with_line_feeds,
)
from core.spreadsheets.files import SheetError, as_csv, as_xlsx
from tests.core.spreadsheets import workbooks
from tests.core.spreadsheets.workbooks import row, rows, text, workbook, worksheet

COLUMNS = {"id": "id", "title": "title", "code": "code"}
HEADER = ("id", "title", "code")


def workbook_of(lines):
    return as_xlsx(lines, title="Lessons", widths=(18, 48))


def read(data, name="lessons.xlsx"):
    return files.read(data, name, known=COLUMNS.get, required="id")


def cells(data, name="lessons.xlsx"):
    """The cells in file order, row by row."""
    sheet = read(data, name)
    return [[line.cells.get(c, "") for c in sheet.columns] for line in sheet.lines]


def one_cell(cell, **parts):
    """Return the value read from a workbook's B2."""
    data = workbook(worksheet(rows(HEADER, ("L1", cell))), **parts)
    return read(data).lines[0].cells.get("title", "")


def csv_cells(text, encoding="utf-8"):
    return cells(text.encode(encoding), "lessons.csv")


# --- Cells of a workbook --------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "content"),
    [
        ('<c r="B2"><f>A2</f></c>', CellType.FORMULA),
        ('<c r="B2" t="str"><f>A2&amp;1</f><v>kept</v></c>', CellType.FORMULA),
        ('<c r="B2"><f t="shared" si="0"/><v>0</v></c>', CellType.FORMULA),
        ('<c r="B2" t="e"><v>#N/A</v></c>', CellType.ERROR),
        ('<c r="B2" t="b"><v>1</v></c>', CellType.BOOLEAN),
        ('<c r="B2" t="d"><v>2024-01-02</v></c>', CellType.DATE),
        ('<c r="B2" t="x"><v>1</v></c>', CellType.UNKNOWN),
        ('<c r="B2"><v>7</v></c>', CellType.NUMBER),
    ],
)
def test_a_cell_that_is_no_text_says_what_it_is_and_where(cell, content):
    found = one_cell(cell)
    assert isinstance(found, NonTextCell)
    assert found.content is content
    assert (found.sheet, found.place) == ("Lessons", "B2")
    assert "B2" in found.reason
    assert "“Lessons”" in found.reason


@pytest.mark.parametrize(
    ("code", "content"),
    [
        ("dd/mm/yyyy", CellType.DATE),
        ('[$-2060401]dddd, d mmmm yyyy;@"ar"', CellType.DATE),
        ("[h]:mm", CellType.DATE),
        ("0.00%", CellType.PERCENT),
        ("# ?/?", CellType.FRACTION),
        ("0.00E+00", CellType.SCIENTIFIC),
        ("0000", CellType.FORMATTED),
        ("#,##0", CellType.FORMATTED),
        ('0 "days"', CellType.FORMATTED),
        ("[Red]0.0", CellType.FORMATTED),
        ("General", CellType.NUMBER),
        ("@", CellType.NUMBER),
        ("0", CellType.NUMBER),
    ],
)
def test_a_number_is_what_its_format_makes_of_it(code, content):
    found = one_cell('<c r="B2" s="1"><v>7</v></c>', style=workbooks.styles(code))
    assert found.content is content
    assert found.text == "7"


@pytest.mark.parametrize(
    ("number", "content"),
    [
        (0, CellType.NUMBER),
        (9, CellType.PERCENT),
        (13, CellType.FRACTION),
        (14, CellType.DATE),
        (22, CellType.DATE),
        (30, CellType.DATE),
        (46, CellType.DATE),
        (48, CellType.SCIENTIFIC),
        (3, CellType.FORMATTED),
    ],
)
def test_built_in_formats_are_known(number, content):
    assert display_type(number, None) is content


def test_a_number_of_more_digits_than_a_spreadsheet_keeps_is_no_whole_number():
    assert one_cell('<c r="B2"><v>123456789012345</v></c>').text == "123456789012345"
    assert not one_cell('<c r="B2"><v>1234567890123456</v></c>').text.isdigit()


@pytest.mark.parametrize(
    ("item", "read_as"),
    [
        ("<t>plain</t>", "plain"),
        ('<t xml:space="preserve">  edges </t>', "  edges "),
        ("<r><rPr><b/></rPr><t>bold</t></r><r><t> and not</t></r>", "bold and not"),
        ("<t>漢字</t><rPh><t>かんじ</t></rPh>", "漢字"),
        ("<t>a_x000D_\nb</t>", "a\nb"),
        ("<t>_x005F_x000D_</t>", "_x000D_"),
        ("<t>_xFFFE__x0001_</t>", "\ufffe\x01"),
        ("<t>_xD83D__xDE00_</t>", "😀"),
    ],
)
def test_shared_strings_are_read_as_they_look(item, read_as):
    found = one_cell('<c r="B2" t="s"><v>0</v></c>', shared=workbooks.strings(item))
    assert found == read_as


def test_the_text_of_a_report_generator_without_formula_is_text():
    assert one_cell('<c r="B2" t="str"><v>made</v></c>') == "made"


def test_cells_and_rows_without_addresses_follow_one_another():
    data = "<row><c t='str'><v>id</v></c><c t='str'><v>title</v></c></row>"
    data += "<row><c t='str'><v>L1</v></c><c t='str'><v>T</v></c></row>"
    assert cells(workbook(worksheet(data))) == [["L1", "T"]]


def test_other_namespaces_and_prefixes_are_read():
    strict = "http://purl.oclc.org/ooxml/spreadsheetml/main"
    data = worksheet(rows(HEADER, ("L1", "T", "")), namespace=strict)
    assert cells(workbook(data)) == [["L1", "T", ""]]
    prefixed = re.sub(r"<(/?)(\w)", r"<\1x:\2", data).replace("xmlns=", "xmlns:x=")
    assert cells(workbook(prefixed)) == [["L1", "T", ""]]


@pytest.mark.parametrize(
    ("merged", "place"),
    [("C2:C3", "C2:C3"), ("$A$2:$B$2", "A2:B2"), ("B1:C1", "B1:C1")],
)
def test_merged_cells_are_refused_where_they_are_read(merged, place):
    data = worksheet(rows(HEADER, ("L1", "A", "P"), ("L2", "B")), merged=[merged])
    [(_row, _column, reason)] = read(workbook(data)).faults
    assert place in reason
    assert "“Lessons”" in reason


def test_merged_cells_beside_what_is_read_do_no_harm():
    data = worksheet(
        rows((*HEADER, "notes"), ("L1", "A", "P", "n"), ("L2", "B", "P")),
        merged=["D2:D3", "F1:G9", "A1:A1"],
    )
    assert read(workbook(data)).faults == []


def test_rows_that_are_empty_are_no_rows_and_numbers_stay():
    data = row(2, text("A2", "id"), text("B2", "title"))
    data += row(3, '<c r="A3" s="0"/>') + row(5, text("A5", "L1")) + row(9)
    data += row(1000, text("A1000", "  "))
    sheet = read(workbook(worksheet(data)))
    assert [line.number for line in sheet.lines] == [5]


def test_a_column_without_a_name_is_told_by_its_letter():
    data = rows(HEADER, ("L1",)) + row(7, text("A7", "L2"), text("AB7", "x"))
    assert read(workbook(worksheet(data))).ignored == ["AB"]


def test_the_visible_sheet_that_names_the_columns_is_read():
    lessons = worksheet(rows(HEADER, ("L1", "T")))
    other = worksheet(rows(("Report",), ("id",)))
    old = worksheet(rows(HEADER, ("L1", "Old")))
    sheets = [
        ("Cover", "visible", other),
        ("Old", "hidden", old),
        ("Older", "veryHidden", old),
        ("Lessons", "visible", lessons),
    ]
    assert cells(workbook(sheets)) == [["L1", "T", ""]]


def test_two_sheets_of_lessons_are_refused_by_name():
    lessons = worksheet(rows(HEADER, ("L1", "T")))
    data = workbook([("One", "visible", lessons), ("Copy", "visible", lessons)])
    with pytest.raises(SheetError, match="“One” and “Copy”"):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        row(1, text("A1", "id")) + row(1, text("A1", "id")),
        row(1, text("A1", "id"), text("A1", "id")),
        row(1, text("XFE1", "id")),
        row(1_048_577, text("A1", "id")),
        row(1, '<c r="A1" t="s"><v>-1</v></c>'),
        row(1, '<c r="A1" t="s"><v>9</v></c>'),
        row(1, '<c r="A1"><v>one</v></c>'),
        row(1, text("A1", "_xD83D_")),
        "<row",
    ],
)
def test_a_worksheet_that_contradicts_itself_is_unreadable(data):
    with pytest.raises(SheetError, match="This spreadsheet cannot be read"):
        read(workbook(worksheet(data)))


def test_a_file_with_a_password_is_told_so():
    with pytest.raises(SheetError, match="password"):
        read(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512))


# --- Limits of a workbook -------------------------------------------------------


@pytest.fixture
def limits(monkeypatch):
    """Return a function that lowers the limits, so that tests need no large files."""

    def low(**values):
        for name, value in values.items():
            monkeypatch.setattr(workbook_files, name, value)

    return low


def refused_as_too_big(data):
    with pytest.raises(SheetError, match="uncompressed file is too large"):
        read(data)


def packed_as(data, method):
    """The same members, compressed with another method."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(out, "w", method) as new,
    ):
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
    return out.getvalue()


def test_a_cell_in_the_last_column_costs_one_cell():
    data = rows(HEADER, ("L1", "T")) + row(3, text("A3", "L2"), text("XFD3", "x"))
    book = workbook_files.Workbook(workbook(worksheet(data)))
    assert [len(found.cells) for found in book.rows(book.sheets[0])] == [3, 2, 2]


def peak_of(data, name):
    """Peak memory of reading the file, in bytes."""
    tracemalloc.start()
    try:
        with suppress(SheetError):
            read(data, name)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_far_columns_cost_no_more_memory_than_near_ones():
    def made(column):
        lines = (row(n, text(f"{column}{n}", "x")) for n in range(2, 800))
        return workbook(worksheet(row(1, text("A1", "id")) + "".join(lines)))

    near, far = (peak_of(made(column), "l.xlsx") for column in ("B", "XFD"))
    assert far < 2 * near


def test_a_long_first_line_costs_a_few_times_its_size():
    data = b"id" + b",ab" * 800_000
    assert peak_of(data, "lessons.csv") < 15 * len(data)


def test_a_file_is_unpacked_no_further_than_the_limit():
    spaces = " " * (workbook_files.MAX_UNPACKED + 1)
    data = workbook(worksheet(rows(HEADER) + spaces))
    assert len(data) < 200_000
    refused_as_too_big(data)


def test_the_limit_counts_all_parts_and_not_what_they_declare():
    data = workbook(worksheet(rows(HEADER) + " " * 100_000))
    forged = bytearray(data)
    place = forged.find(b"PK\x01\x02")
    while place >= 0:
        forged[place + 24 : place + 28] = (1).to_bytes(4, "little")  # its size
        place = forged.find(b"PK\x01\x02", place + 1)
    with pytest.raises(SheetError):
        read(bytes(forged))


@pytest.mark.parametrize(
    "inner",
    [
        "<c/>" * 1_000,
        "<row>" + "<c><v>1</v></c>" * 400 + "</row>",
        "<a>" * 70 + "</a>" * 70,
        f'<row x="{"y" * 3_000_000}"/>',
        f"<!--{'y' * 3_000_000}-->",
    ],
)
def test_elements_depth_and_tags_are_limited(limits, inner):
    limits(_MAX_ELEMENTS=900)
    refused_as_too_big(workbook(worksheet(rows(HEADER) + inner)))


def test_members_shared_strings_and_styles_are_limited(limits):
    parts = [(f"part{number}", b"") for number in range(1_001)]
    refused_as_too_big(workbook(worksheet(rows(HEADER)), parts=parts))
    limits(_MAX_STRINGS=10, _MAX_ENTRIES=10)
    many = workbooks.strings(*["<t>x</t>"] * 11)
    refused_as_too_big(workbook(worksheet(rows(HEADER)), shared=many))
    refused_as_too_big(
        workbook(worksheet(rows(HEADER)), style=workbooks.styles(*["0"] * 11))
    )
    merged = [f"A{number}:B{number}" for number in range(1, 12)]
    refused_as_too_big(workbook(worksheet(rows(HEADER), merged=merged)))


def test_one_long_text_named_by_many_cells_counts_each_time(monkeypatch):
    monkeypatch.setattr(files, "MAX_TEXT", 1_000)
    shared = workbooks.strings(f"<t>{'x' * 300}</t>")
    named = '<c r="B{0}" t="s"><v>0</v></c>'
    lines = [(f"L{at}", named.format(at)) for at in range(2, 6)]
    refused_as_too_big(workbook(worksheet(rows(HEADER, *lines)), shared=shared))


def test_columns_are_limited():
    count = files.MAX_COLUMNS + 1
    header = "<c t='str'><v>x</v></c>" * count
    with pytest.raises(SheetError, match="more than 200 columns"):
        read(workbook(worksheet(f"<row>{header}</row>")))
    with pytest.raises(SheetError, match="more than 200 columns"):
        csv_cells("id" + ",x" * count)


def test_entities_are_refused_before_they_grow():
    prolog = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    with pytest.raises(SheetError, match="This spreadsheet cannot be read"):
        read(workbook(worksheet(rows(("id", "&b;"))), prolog=prolog))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_only_the_compression_of_workbooks_is_unpacked(method):
    data = packed_as(workbook(worksheet(rows(HEADER, ("L1", "T")))), method)
    with pytest.raises(SheetError, match="This spreadsheet cannot be read"):
        read(data)
    data = packed_as(data, zipfile.ZIP_STORED)
    assert cells(data) == [["L1", "T", ""]]


def test_a_part_that_stands_twice_is_unreadable():
    twice = [("XL\\worksheets/sheet1.xml", worksheet(rows(HEADER)))]
    with pytest.raises(SheetError, match="This spreadsheet cannot be read"):
        read(workbook(worksheet(rows(HEADER)), parts=twice))


# --- CSV ------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_every_separator_is_found_by_the_columns(separator):
    data = separator.join(HEADER) + "\r\n" + separator.join(("L1", '"a,b;c|d"', "P"))
    assert csv_cells(data) == [["L1", "a,b;c|d", "P"]]


@pytest.mark.parametrize("hint", ["sep=;", "SEP=;", '"sep=;"'])
def test_a_first_line_that_names_the_separator_is_none_of_the_rows(hint):
    sheet = read(f"\ufeff{hint}\r\nid;title\r\nL1;a,b".encode(), "lessons.csv")
    assert sheet.lines[0].number == 2
    assert sheet.lines[0].cells == {"id": "L1", "title": "a,b"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_texts_are_read_in_every_encoding_that_says_what_it_is(encoding):
    assert csv_cells("id\ttitle\nL1\tكسور\n", encoding) == [["L1", "كسور"]]


def test_two_marks_at_the_beginning_are_read_as_one():
    assert csv_cells("\ufeff\ufeffid,title\nL1,T") == [["L1", "T"]]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-32", "cp1256"])
def test_other_encodings_are_refused_in_words(encoding):
    with pytest.raises(SheetError, match="not UTF-8"):
        csv_cells("id,title\nL1,كسور\n", encoding)


def test_a_row_with_more_cells_than_columns_is_named():
    sheet = read(b"id,title\nL1,one, two\nL2,three,,\n", "lessons.csv")
    [(number, column, reason)] = sheet.faults
    assert (number, column) == (2, "")
    assert "more cells" in reason


def test_a_row_that_ends_early_has_no_cells_there():
    assert csv_cells("id,title,code\nL1\nL2,,\n") == [
        ["L1", None, None],
        ["L2", "", ""],
    ]


def test_blank_lines_are_no_rows_and_count():
    sheet = read(b"\nid,title\n\nL1,T\n,\n\n", "lessons.csv")
    assert [line.number for line in sheet.lines] == [4]


@pytest.mark.parametrize(
    "data",
    [
        "id" + "," * 2_000_000,
        "id,title\n" + "L1" + ",x" * 1_000_000,
        "id,title\nL1," + '"\n",' * 400_000,
    ],
)
def test_a_row_is_read_no_further_than_the_limit(data):
    with pytest.raises(SheetError, match="longer than 1048576 characters"):
        csv_cells(data)


# --- Writing and reading again ----------------------------------------------------

TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from(
            "=+-@'\",;|\t\n\r _x0D\ufeff\u200b\u00a0＝＠\ufffe\uffff\x01😀"
        ),
    ),
    max_size=40,
)
STORED_TEXTS = TEXTS.map(lambda text: text.replace("\0", ""))
"""No form and no import accepts U+0000, and a CSV file with one is refused."""


@given(TEXTS)
def test_guarding_is_undone_exactly(text):
    assert unguard_formulas(guard_formulas(text)) == text


SEPARATORS = ",;\t|"
IGNORED = "\"' \t\n\r\x00\u00a0\u200b\u200e\u2060\ufeff"


@given(TEXTS)
def test_no_cell_begins_with_a_formula_whatever_separates_the_file(value):
    written = as_csv([["id", "title"], ["L1", value]]).decode("utf-8-sig")
    body = written.partition("\r\n")[2]
    for cell in re.split("[,;\t|\r\n]", body.replace('"', "")):
        assert cell.lstrip(IGNORED.replace("'", ""))[:1] not in [*"=+-@＝＋－＠"]


@pytest.mark.parametrize(
    "formula",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        "\ufeff=1",
        "\u200b=1",
        "＝1",
        "﹦1",
        "x;=cmd|' /C calc'!A0",
        "x,+1",
        "x\t@a",
        "x|-1",
        "x\n=1",
        '"=1"',
        'x;"=1"',
    ],
)
def test_a_formula_gets_an_apostrophe_wherever_a_cell_may_begin(formula):
    guarded = guard_formulas(formula)
    assert guarded != formula
    assert unguard_formulas(guarded) == formula


@pytest.mark.parametrize("plain", ["a-b", "3 + 5 = 8", "me@x.org", "'quoted'", "1-2"])
def test_other_texts_stay_as_they_are(plain):
    assert guard_formulas(plain) == plain


@given(TEXTS)
def test_xml_escapes_are_undone_exactly(text):
    escaped = escape_xml(text)
    assert unescape_xml(escaped) == text
    assert not re.search("[\x00-\x08\x0b-\x1f\ufffe\uffff]", escaped)


@pytest.mark.parametrize(
    ("write", "name"), [(workbook_of, "lessons.xlsx"), (as_csv, "lessons.csv")]
)
@given(titles=st.lists(STORED_TEXTS, min_size=1, max_size=5))
def test_what_is_written_is_read_again(write, name, titles):
    lines = [[f"L{at}", title] for at, title in enumerate(titles)]
    again = cells(write([["id", "title"], *lines]), name)
    assert again == [[key, with_line_feeds(title)] for key, title in lines]


def test_cells_of_an_exported_workbook_stay_text_when_somebody_types():
    data = workbook_of([["id", "title"], ["L1", "007"]])
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        styles = packed.read("xl/styles.xml").decode()
        sheet = packed.read("xl/worksheets/sheet1.xml").decode()
    used = re.findall(r'<c r="[AB]2" s="(\d+)"', sheet)
    found = re.findall(r"<xf [^>]*>", styles.partition("<cellXfs")[2])
    assert len(used) == 2
    assert all('numFmtId="49"' in found[int(style)] for style in used)


@pytest.mark.parametrize("write", [workbook_of, as_csv])
@pytest.mark.parametrize("long", ["x" * 32_766, "😀" * 16_383, "\x01" * 5_000])
def test_a_text_that_a_spreadsheet_would_cut_is_refused_by_name(write, long):
    if write is as_csv and long.startswith("\x01"):
        long = "=\n" * 16_000
    with pytest.raises(SheetError, match="“title” of L1 is too long"):
        write([["id", "title"], ["L1", long]])


def test_the_guard_is_all_that_csv_modules_see():
    written = as_csv([["id", "title"], ["L1", "=1"]]).decode("utf-8-sig")
    assert [*csv.reader(io.StringIO(written))][1] == ["L1", "'=1"]
