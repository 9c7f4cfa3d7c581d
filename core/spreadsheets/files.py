"""Read and write rows of text as XLSX or CSV.

Reading an export returns the same rows, except for line endings, which the formats do
not preserve. Values that a format cannot hold are refused, never dropped or truncated.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import openpyxl
from django.utils.translation import get_language, gettext as _
from openpyxl.styles import Font

from core.errors import MemoraError
from core.spreadsheets.cells import (
    MAX_CHARACTERS,
    Cell,
    escape_xml,
    guard_formulas,
    length,
    unguard_formulas,
    with_line_feeds,
)
from core.spreadsheets.workbook_files import (
    Row,
    TooBigError,
    Workbook,
    WorkbookError,
    Worksheet,
    column_letters,
)

XLSX, CSV = "xlsx", "csv"
MAX_BYTES = 10 * 1024 * 1024
MAX_ROWS = 20_000
MAX_COLUMNS = 200
MAX_TEXT = 64 * 1024 * 1024
"""The most characters in all cells; a workbook may repeat one long shared text."""
_MAX_RECORD = 1024 * 1024
_MAX_NAME = 50
_SEPARATORS = ",;\t|"
_OLE = b"\xd0\xcf\x11\xe0"
_TEXT_FORMAT = "@"


class SheetError(MemoraError):
    """A file that cannot be read or written as a sheet; nothing was imported."""

    code = "INVALID_SHEET"


@dataclass(frozen=True, slots=True)
class Line:
    """A row that is not empty: its number in the spreadsheet, its known cells."""

    number: int
    cells: dict[str, Cell]


@dataclass(slots=True)
class Sheet:
    """The contents of a file in terms of the known columns.

    ``columns`` holds the known columns in the file's order. ``ignored`` holds the other
    columns that have values, by name or letter. ``faults`` holds ambiguous rows: (row
    number, column or "", reason).
    """

    columns: list[str]
    lines: list[Line] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    faults: list[tuple[int, str, str]] = field(default_factory=list)


# --- Writing ------------------------------------------------------------------


def _refuse_long(rows: list[list[str]]) -> None:
    """Refuse texts that a spreadsheet would truncate silently.

    Args:
        rows: the first row holds the column names, the first cell of each other row its
            name.

    Raises:
        SheetError: a cell is too long.
    """
    for row in rows:
        for column, text in enumerate(row):
            if max(length(escape_xml(text)), length(guard_formulas(text))) > (
                MAX_CHARACTERS
            ):
                raise SheetError(
                    _(
                        "“%(column)s” of %(row)s is too long for a spreadsheet cell. "
                        "Export the curriculum file instead."
                    )
                    % {"column": rows[0][column], "row": row[0]}
                )


def as_csv(rows: list[list[str]]) -> bytes:
    """Return the rows as CSV with a UTF-8 byte order mark and escaped formulas.

    Raises:
        SheetError: a cell is too long for a spreadsheet.
    """
    _refuse_long(rows)
    out = io.StringIO()
    writer = csv.writer(out)
    for row in rows:
        writer.writerow([guard_formulas(with_line_feeds(cell)) for cell in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def as_xlsx(rows: list[list[str]], *, title: str, widths: Sequence[int]) -> bytes:
    """Return the rows as XLSX with a fixed header row, right to left for Arabic.

    Every cell is text and formatted as text, so edited cells stay text.

    Args:
        title: the name of the sheet.
        widths: the width of each column, in characters.

    Raises:
        SheetError: a cell is too long for a spreadsheet; openpyxl would truncate it.
    """
    _refuse_long(rows)
    book = openpyxl.Workbook()
    page = book.active
    page.title = title
    page.sheet_view.rightToLeft = get_language() == "ar"
    page.freeze_panes = "A2"
    for number, row in enumerate(rows, start=1):
        for column, text in enumerate(row, start=1):
            cell = page.cell(number, column)
            cell.value = escape_xml(with_line_feeds(text))
            cell.data_type = "s"  # text, so it is not run as a formula
            cell.number_format = _TEXT_FORMAT
            if number == 1:
                cell.font = Font(bold=True)
    for column, width in enumerate(widths, start=1):
        page.column_dimensions[column_letters(column)].width = width
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


# --- Reading ------------------------------------------------------------------

Known = Callable[[str], str | None]
"""Returns the column that a header names, or None."""


def read(data: bytes, name: str, *, known: Known, required: str) -> Sheet:
    """Return the rows that are not empty, with their cells in known columns.

    Each limit is checked before the memory is allocated.

    Args:
        name: the file's name; its suffix determines the format.
        known: returns the column that a header names, or None.
        required: a column that must exist.

    Raises:
        SheetError: the file is not valid, is too large, or lacks that column.
    """
    if len(data) > MAX_BYTES:
        raise SheetError(
            _("The file is larger than %(limit)d MB.") % {"limit": MAX_BYTES >> 20}
        )
    columns = _Columns(known, required)
    match name.rpartition(".")[2].lower():
        case "xlsx":
            return _read_workbook(data, columns)
        case "csv":
            return _read_csv(data, columns)
    raise SheetError(_("Upload an .xlsx or a .csv file."))


@dataclass(frozen=True, slots=True)
class _Columns:
    known: Known
    required: str

    def of(self, header: Row | None) -> dict[int, str]:
        """Return the known columns of a header row, by their numbers.

        Raises:
            SheetError: the required column is missing, a column is repeated, or there
                are too many.
        """
        if header is not None and len(header.cells) > MAX_COLUMNS:
            raise _too_many_columns()
        column_of = self._named(header)
        if self.required not in column_of.values():
            raise SheetError(
                _(
                    "The first row must contain the column names, including "
                    "“%(required)s”."
                )
                % {"required": self.required}
            )
        if len({*column_of.values()}) < len(column_of):
            raise SheetError(_("Two columns have the same name."))
        return column_of

    def are_in(self, header: Row | None) -> bool:
        """Return whether a row contains the required column."""
        return self.required in self._named(header).values()

    def _named(self, header: Row | None) -> dict[int, str]:
        found = header.cells.items() if header is not None else ()
        names = (
            (number, self.known(text))
            for number, text in found
            if isinstance(text, str)
        )
        return {number: name for number, name in names if name is not None}


def _too_many_columns() -> SheetError:
    return SheetError(
        _("The file has more than %(limit)d columns.") % {"limit": MAX_COLUMNS}
    )


def _sheet(header: Row, rows: Iterable[Row], column_of: dict[int, str]) -> Sheet:
    """Read the rows below a header.

    Raises:
        SheetError: there are too many rows, or too much text.
    """
    sheet = Sheet([*column_of.values()])
    others: set[int] = set()
    size = 0
    for row in rows:
        if all(_is_blank(cell) for cell in row.cells.values()):
            continue
        cells = {
            column_of[number]: cell
            for number, cell in row.cells.items()
            if number in column_of
        }
        if len(row.cells) > len(cells):
            others.update(row.cells.keys() - column_of.keys())
        size += sum(len(cell) for cell in cells.values() if isinstance(cell, str))
        sheet.lines.append(Line(row.number, cells))
        if len(sheet.lines) > MAX_ROWS:
            raise SheetError(
                _("The file has more than %(limit)d rows.") % {"limit": MAX_ROWS}
            )
        if size > MAX_TEXT:
            raise SheetError(_("The uncompressed file is too large."))
    others |= header.cells.keys() - column_of.keys()
    sheet.ignored = [_name(header, number) for number in sorted(others)]
    return sheet


def _is_blank(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _name(header: Row, number: int) -> str:
    """Return the name of a column, or its letter if it has no name."""
    cell = header.cells.get(number)
    name = cell.strip()[:_MAX_NAME] if isinstance(cell, str) else ""
    return name or column_letters(number)


# --- Workbooks ------------------------------------------------------------------


def _read_workbook(data: bytes, columns: _Columns) -> Sheet:
    try:
        book = Workbook(data)
        worksheet = _only_sheet(book, columns)
        rows = book.rows(worksheet)
        header = next(rows, None)
        column_of = columns.of(header)
        sheet = _sheet(header or Row(1, {}), rows, column_of)
        _add_merged(sheet, worksheet, column_of, header or Row(1, {}))
    except TooBigError as error:
        raise SheetError(_("The uncompressed file is too large.")) from error
    except WorkbookError as error:
        if data.startswith(_OLE):
            raise SheetError(
                _(
                    "The file is protected by a password or is not a real .xlsx file. "
                    "Save it as .xlsx without a password."
                )
            ) from error
        raise SheetError(
            _("This spreadsheet cannot be read. Save it again as .xlsx.")
        ) from error
    return sheet


def _only_sheet(book: Workbook, columns: _Columns) -> Worksheet:
    """Return the visible sheet that names the columns; the first one if none does.

    Raises:
        SheetError: two sheets do, so the edits in one of them would be lost.
        WorkbookError: there is no visible sheet.
    """
    found = [
        sheet for sheet in book.sheets if columns.are_in(next(book.rows(sheet), None))
    ]
    if len(found) > 1:
        raise SheetError(
            _(
                "The sheets “%(first)s” and “%(second)s” both have the column "
                "“%(required)s”. Delete or hide all but one of them."
            )
            % {
                "first": found[0].title,
                "second": found[1].title,
                "required": columns.required,
            }
        )
    if not book.sheets:
        raise WorkbookError
    return found[0] if found else book.sheets[0]


def _add_merged(
    sheet: Sheet, worksheet: Worksheet, column_of: dict[int, str], header: Row
) -> None:
    """Add a fault for every merged range: merging empties all cells but the first."""
    for top, left, bottom, right in worksheet.merged:
        covered = [number for number in column_of if left <= number <= right]
        if not covered or bottom < header.number or (top, left) == (bottom, right):
            continue
        place = f"{column_letters(left)}{top}:{column_letters(right)}{bottom}"
        sheet.faults.append(
            (
                max(top, header.number),
                column_of[min(covered)],
                _(
                    "The cells %(cells)s of the sheet “%(sheet)s” are merged, so only "
                    "the first one has a value. Unmerge them and fill in each cell."
                )
                % {"cells": place, "sheet": worksheet.title},
            )
        )


# --- CSV ------------------------------------------------------------------------


def _read_csv(data: bytes, columns: _Columns) -> Sheet:
    text, hint = _without_hint(_decoded(data))
    separator = hint or _separator(text, columns)
    rows = _csv_rows(text, separator)
    header = next(rows, None)
    column_of = columns.of(header)
    assert header is not None
    faults: list[tuple[int, str, str]] = []
    sheet = _sheet(header, _aligned(rows, max(header.cells), faults), column_of)
    sheet.faults = faults
    return sheet


def _decoded(data: bytes) -> str:
    """Decode a file: UTF-8, or UTF-16 with a byte order mark."""
    is_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8")
    except UnicodeDecodeError as error:
        raise _no_utf8() from error
    if "\0" in text[:1000]:
        raise _no_utf8()
    return text.lstrip("\ufeff")


def _no_utf8() -> SheetError:
    return SheetError(
        _("The file is not UTF-8 text. Save it as “CSV UTF-8” or as .xlsx.")
    )


def _without_hint(text: str) -> tuple[str, str]:
    """Return the text without a first line ``sep=;``, and its separator or ""."""
    first, _break, rest = text.partition("\n")
    hint = first.strip('"\r ')
    if len(hint) == len("sep=;") and hint.lower().startswith("sep="):
        return rest, hint[-1]
    return text, ""


def _separator(text: str, columns: _Columns) -> str:
    """Return the separator with which the first row names the columns.

    If there is none, the most frequent separator in the first line.
    """
    first = text.lstrip().partition("\n")[0]
    likely = sorted(_SEPARATORS, key=first.count, reverse=True)
    for separator in likely:
        try:
            header = next(_csv_rows(text, separator), None)
        except SheetError:
            continue
        if columns.are_in(header):
            return separator
    return likely[0]


class _Records:
    """The lines of a text; raises `TooBigError` when a record is too long."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self._size = 0

    def __iter__(self) -> "_Records":
        return self

    def __next__(self) -> str:
        line = self._lines.readline(_MAX_RECORD + 1)
        if not line:
            raise StopIteration
        self._size += len(line)
        if self._size > _MAX_RECORD:
            raise TooBigError
        return line

    def begin(self) -> None:
        """Start a new record at the next line."""
        self._size = 0


def _csv_rows(text: str, separator: str) -> Iterator[Row]:
    """Yield every row that is not blank, with row numbers as in a spreadsheet.

    Raises:
        SheetError: a quotation mark is misplaced, a cell or row is too long, or a row
            has too many cells.
    """
    records = _Records(text)
    reader = csv.reader(records, delimiter=separator, strict=True)
    number, line = 0, 1
    try:
        for record in reader:
            number += 1
            if len(record) > MAX_COLUMNS and any(record[MAX_COLUMNS:]):
                raise _too_many_columns()
            if any(record):
                cells: dict[int, Cell] = {
                    column: with_line_feeds(unguard_formulas(cell))
                    for column, cell in enumerate(record[:MAX_COLUMNS], start=1)
                }
                yield Row(number, cells)
            records.begin()
            line = reader.line_num + 1
    except TooBigError as error:
        raise SheetError(
            _("The row in line %(line)d is longer than %(limit)d characters.")
            % {"line": line, "limit": _MAX_RECORD}
        ) from error
    except csv.Error as error:
        raise SheetError(
            _(
                "Line %(line)d is not valid CSV: a quotation mark is in the wrong "
                "place, or a cell is longer than %(limit)d characters."
            )
            % {"line": line, "limit": csv.field_size_limit()}
        ) from error


def _aligned(
    rows: Iterable[Row], width: int, faults: list[tuple[int, str, str]]
) -> Iterator[Row]:
    """Yield the rows with the width of the header.

    Missing cells are None; extra cells are added to ``faults``.
    """
    for row in rows:
        beyond = [row.cells.pop(number) for number in [*row.cells] if number > width]
        if any(beyond):
            faults.append(
                (
                    row.number,
                    "",
                    _(
                        "The row has more cells than columns. Put text that contains "
                        "a separator in quotation marks."
                    ),
                )
            )
        for number in range(len(row.cells) + 1, width + 1):
            row.cells[number] = None
        yield row
