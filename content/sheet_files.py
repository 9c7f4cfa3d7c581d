"""Spreadsheet files: rows of text as XLSX or CSV, and back.

A cell that would be a formula is text: in XLSX by its type, in CSV by an apostrophe
before it, which reading takes away again. One that has such an apostrophe of its own
gets another.
"""

import csv
import io
import zipfile
import zlib
from typing import Any

import openpyxl
import tablib
from django.utils.translation import get_language, gettext as _
from openpyxl.styles import Font
from openpyxl.utils.exceptions import InvalidFileException

from content.errors import MemoraError

XLSX, CSV = "xlsx", "csv"
MAX_BYTES = 10 * 1024 * 1024
MAX_ROWS = 20_000
_MAX_UNPACKED = 200 * 1024 * 1024
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    InvalidFileException,
    RuntimeError,  # zipfile's word for a password, or an unknown compression
    EOFError,
    OSError,
    AttributeError,
    LookupError,
    ArithmeticError,
    ValueError,
    TypeError,
    SyntaxError,
)
"""What reading a damaged or unusual workbook raises, down to its zip and its XML."""


class SheetError(MemoraError):
    """A file that cannot be read as a sheet of lessons; nothing was imported."""

    code = "INVALID_SHEET"


def as_csv(rows: list[list[str]]) -> bytes:
    """With the mark that makes a spreadsheet read it as UTF-8, and no formulas."""
    out = io.StringIO()
    writer = csv.writer(out)
    for row in rows:
        writer.writerow([f"'{cell}" if _is_formula(cell) else cell for cell in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _is_formula(cell: str) -> bool:
    """Whether it is one, or would be without the apostrophes before it."""
    return cell.lstrip("'").startswith(_FORMULA)


def as_xlsx(rows: list[list[str]]) -> bytes:
    """With a first row that stays in sight, from the right where people read so."""
    book = openpyxl.Workbook()
    page = book.active
    page.title = str(_("Lessons"))
    page.sheet_view.rightToLeft = get_language() == "ar"
    page.freeze_panes = "A2"
    for number, row in enumerate(rows, start=1):
        for column, text in enumerate(row, start=1):
            cell = page.cell(number, column)
            cell.value = _storable(text)
            cell.data_type = "s"  # text: nothing in it is a formula
            if number == 1:
                cell.font = Font(bold=True)
    for letter, width in zip("ABCDEFGH", (18, 48, 36, 48, 12, 12, 16, 8), strict=True):
        page.column_dimensions[letter].width = width
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _storable(text: str) -> str:
    """Without the control characters that an XLSX file cannot hold."""
    return "".join(found for found in text if found >= " " or found in "\t\n\r")


def read(data: bytes, name: str, *, required: str) -> tablib.Dataset:
    """The rows, each a text or number per column; empty rows at the end are no rows.

    Args:
        name: the file's name, whose ending says what it is.
        required: a column there must be.

    Raises:
        SheetError: not such a file, too big, or without that column.
    """
    if len(data) > MAX_BYTES:
        raise SheetError(
            _("The file is larger than %(limit)d MB.") % {"limit": MAX_BYTES >> 20}
        )
    ending = name.rpartition(".")[2].lower()
    if ending == XLSX:
        rows = _xlsx_rows(data)
    elif ending == CSV:
        rows = _csv_rows(data)
    else:
        raise SheetError(_("Upload an .xlsx or a .csv file."))
    headers = [str(cell or "").strip() for cell in rows[0]] if rows else []
    if required not in headers:
        raise SheetError(
            _(
                "The first row must name the columns, and one of them must be "
                "“%(required)s”."
            )
            % {"required": required}
        )
    named = [header for header in headers if header]
    if len(set(named)) < len(named):
        raise SheetError(_("Two columns have the same name."))
    if len(rows) - 1 > MAX_ROWS:
        raise SheetError(
            _("The file has more than %(limit)d rows.") % {"limit": MAX_ROWS}
        )
    places = [place for place, header in enumerate(headers) if header]
    dataset = tablib.Dataset(headers=named)
    for row in rows[1:]:
        cells = [*row, *[None] * (len(headers) - len(row))]
        dataset.append([cells[place] for place in places])
    return dataset


def _xlsx_rows(data: bytes) -> list[list[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            unpacked = sum(entry.file_size for entry in packed.infolist())
        if unpacked > _MAX_UNPACKED:
            raise SheetError(_("The file is too big once it is unpacked."))
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        found = book.worksheets[0].iter_rows(values_only=True)
        rows = [
            [*row] for _number, row in zip(range(MAX_ROWS + 2), found, strict=False)
        ]
    except _UNREADABLE as error:
        raise SheetError(
            _("This is no spreadsheet that can be read. Save it again as .xlsx.")
        ) from error
    while rows and not any(cell is not None for cell in rows[-1]):
        rows.pop()
    return rows


def _csv_rows(data: bytes) -> list[list[Any]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SheetError(
            _("The file is not UTF-8 text. Save it as “CSV UTF-8”, or as .xlsx.")
        ) from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows: list[list[Any]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            rows.append(
                [
                    cell[1:] if cell[:1] == "'" and _is_formula(cell) else cell
                    for cell in row
                ]
            )
            line = reader.line_num + 1
    except csv.Error as error:
        raise SheetError(
            _(
                "Line %(line)d is no CSV that can be read: a quotation mark is out of "
                "place, or a cell is longer than %(limit)d characters."
            )
            % {"line": line, "limit": csv.field_size_limit()}
        ) from error
    while rows and not any(rows[-1]):
        rows.pop()
    return rows
