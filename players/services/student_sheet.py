"""Rows of a spreadsheet of students: its columns, and the values of its cells."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext as _, gettext_lazy

from core.folding import fold
from core.spreadsheets import files
from core.spreadsheets.cells import Cell, CellType, NonTextCell
from core.spreadsheets.files import SheetError
from players.credentials import canonical_email, canonical_number

MAX_STUDENTS = 10_000

COLUMNS: dict[str, tuple[Promise, tuple[str, ...]]] = {
    "school_number": (
        gettext_lazy("school number"),
        ("school number", "الرقم المدرسي", "رقم الطالب"),
    ),
    "email": (
        gettext_lazy("e-mail"),
        ("email", "e-mail", "البريد الإلكتروني", "البريد"),
    ),
    "full_name": (gettext_lazy("name"), ("name", "full name", "الاسم", "اسم الطالب")),
    "password": (gettext_lazy("password"), ("password", "كلمة المرور", "كلمة السر")),
    "grade": (gettext_lazy("grade"), ("grade", "الصف")),
    "groups": (
        gettext_lazy("groups"),
        ("group", "groups", "class", "المجموعة", "المجموعات", "الشعبة"),
    ),
    "plans": (gettext_lazy("plans"), ("plan", "plans", "الخطة", "الخطط")),
    "products": (
        gettext_lazy("products"),
        ("product", "products", "المنتج", "المنتجات"),
    ),
    "until": (
        gettext_lazy("last day"),
        ("until", "products until", "last day", "حتى", "آخر يوم"),
    ),
    "phone": (gettext_lazy("phone"), ("phone", "الهاتف", "رقم الهاتف")),
    "devices": (gettext_lazy("devices"), ("device", "devices", "الجهاز", "الأجهزة")),
}
"""Each column with its label and the headers that name it, in English and Arabic."""

LISTS = ("groups", "plans", "products", "devices")
_NAMES = {
    fold(header): column
    for column, (_label, headers) in COLUMNS.items()
    for header in headers
}
_SEPARATORS = re.compile(r"[;؛|\n]")
_FIRST_DAY = date(1899, 12, 30)
"""Day 0 of a workbook's dates, from 1 March 1900 on."""


@dataclass(slots=True)
class Row:
    """A student's row; ``values`` has the cells that are not empty, as text.

    ``lists`` has the entries of the columns with lists, each once, and ``ends`` the ends
    of products that have one of their own. ``faults`` has the column, or "", and the
    reason for each cell that is refused.
    """

    number: int
    values: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    ends: dict[str, datetime | None] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StudentSheet:
    """The rows of a file, and the names of the columns that are not known."""

    rows: list[Row]
    ignored: list[str]


def label(column: str) -> str:
    """Return the translated name of a column."""
    return str(COLUMNS[column][0]) if column else ""


def read(data: bytes, name: str) -> StudentSheet:
    """Read a file (XLSX or CSV, by the suffix of ``name``).

    Rows with the same e-mail or school number as an earlier one have a fault.

    Raises:
        SheetError: the file is not valid, is too large, or has no column of e-mails.
    """
    sheet = files.read(data, name, known=_column_of, required="email")
    if len(sheet.lines) > MAX_STUDENTS:
        raise SheetError(
            _("The file has more than %(limit)d rows.") % {"limit": MAX_STUDENTS}
        )
    rows = [Row(line.number) for line in sheet.lines]
    for row, line in zip(rows, sheet.lines, strict=True):
        for column, cell in line.cells.items():
            _take(row, column, cell)
    by_number = {row.number: row for row in rows}
    for number, column, reason in sheet.faults:
        if number in by_number:
            by_number[number].faults.append((column, reason))
        else:
            raise SheetError(reason)
    refuse_repeated(rows)
    return StudentSheet(rows, sheet.ignored)


def _column_of(header: str) -> str | None:
    return _NAMES.get(fold(header).strip()) if len(header) < 100 else None


def _take(row: Row, column: str, cell: Cell) -> None:
    if isinstance(cell, NonTextCell):
        text = _text_of(column, cell)
        if text is None:
            row.faults.append((column, cell.reason))
            return
    else:
        text = cell or ""
    if "\0" in text:
        row.faults.append((column, _("Remove the character U+0000.")))
        return
    if column != "password":
        text = text.strip()
    if column in LISTS:
        parts = (part.strip() for part in _SEPARATORS.split(text))
        row.lists[column] = list(dict.fromkeys(part for part in parts if part))
    elif text:
        row.values[column] = text


def _text_of(column: str, cell: NonTextCell) -> str | None:
    """Return the text of a whole number or, in the column of dates, of a date."""
    if not cell.text.isdigit():
        return None
    if cell.content is CellType.NUMBER:
        return cell.text
    if cell.content is CellType.DATE and column == "until" and len(cell.text) < 7:
        return (_FIRST_DAY + timedelta(days=int(cell.text))).isoformat()
    return None


def refuse_repeated(rows: Iterable[Row], said: str = "") -> None:
    """Add a fault to each row that has the number or the e-mail of an earlier one.

    Args:
        said: the reason, with ``%(row)d`` for the number of the earlier row.
    """
    said = said or _("Row %(row)d is about the same student.")
    canonical = {"email": canonical_email, "school_number": canonical_number}
    for column, form in canonical.items():
        first: dict[str, int] = {}
        for row in rows:
            key = form(row.values.get(column, ""))
            if not key:
                continue
            if key in first:
                row.faults.append((column, said % {"row": first[key]}))
            else:
                first[key] = row.number
