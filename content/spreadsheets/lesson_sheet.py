"""Lessons as a spreadsheet (XLSX or CSV): one row per lesson, only its flat fields.

An import changes existing lessons and creates none. It is all or nothing, and records
one edit for each lesson that differs. django-import-export reads and validates the
rows; they are written under the locks of `content.locks`.
"""

import copy
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog
import tablib
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone, translation
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from import_export import fields, resources, widgets

from content import locks, products
from content.field_lists import NodeFields
from content.history import recording
from content.models import Node, NodeKind
from content.nested_sets import outside_trash
from content.spreadsheets.losses import loss
from core.batches import BATCH_SIZE, batches
from core.folding import fold
from core.spreadsheets import files
from core.spreadsheets.cells import (
    CellType,
    NonTextCell,
    guard_formulas,
    unguard_formulas,
    with_line_feeds,
)
from core.spreadsheets.files import CSV, Sheet, SheetError, as_csv, as_xlsx

log = structlog.get_logger(__name__)

_MAX_HEADER = 100
_WIDTHS = (18, 48, 36, 48, 12, 12, 16, 8)
"""Of the columns of an exported workbook."""
_YES = {"yes", "true", "1", "y", "نعم", "صواب", "صح"}
_NO = {"no", "false", "0", "n", "لا", "خطأ"}
_WHOLE = re.compile(r"[0-9\u0660-\u0669\u06f0-\u06f9]{1,9}(\.0{1,9})?\Z")
_NUMERIC = {CellType.NUMBER, CellType.FORMATTED}


@dataclass(frozen=True, slots=True)
class Change:
    """The changes of one lesson: column names with the old and the new value."""

    row: int
    id: str
    title: str
    values: tuple[tuple[str, Any, Any], ...]

    @property
    def fields(self) -> list[tuple[str, str, str]]:
        """Labels with the old and the new value, as text."""
        return [
            (
                label(name),
                describe_change(name, old) or "–",
                describe_change(name, new) or "–",
            )
            for name, old, new in self.values
        ]


@dataclass(frozen=True, slots=True)
class SheetFault:
    """Why a row cannot be imported; ``row`` is its number in the spreadsheet."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class SheetReport:
    """What an import did, or with ``dry_run`` would do.

    An import with faults changes nothing.
    """

    rows: int
    changes: list[Change]
    faults: list[SheetFault]
    ignored_columns: list[str]
    new_products: list[str]
    """Codes without a product; the import creates one for each."""
    dry_run: bool

    @property
    def unchanged(self) -> int:
        """How many rows are equal to their lesson."""
        rows = {change.row for change in self.changes}
        rows |= {fault.row for fault in self.faults}
        return max(0, self.rows - len(rows))

    @property
    def unsold(self) -> int:
        """How many lessons lose the product code that restricts access to them."""
        return sum(
            name == "required_item" and new == ""
            for change in self.changes
            for name, _old, new in change.values
        )


# --- Cells ------------------------------------------------------------------


class Text(widgets.Widget):
    """Text; a whole number that a spreadsheet made of it is accepted."""

    def clean(self, value: Any, row: Any = None, **_kwargs: Any) -> str:
        """Return the text, including white space at its ends.

        Raises:
            ValueError: the cell is not text, or contains U+0000.
        """
        if isinstance(value, NonTextCell):
            if value.content is not CellType.NUMBER or not value.text.isdigit():
                raise ValueError(value.reason)
            return value.text
        text = _text_of(value)
        if "\0" in text:
            raise ValueError(_("Remove the character U+0000."))
        return text

    def render(self, value: Any, obj: Any = None, **_kwargs: Any) -> str:
        return str(value)


class YesNo(widgets.Widget):
    """Yes or no, exported in the active language and read in both."""

    def clean(self, value: Any, row: Any = None, **_kwargs: Any) -> bool:
        if isinstance(value, NonTextCell):
            if value.content not in {*_NUMERIC, CellType.BOOLEAN}:
                raise ValueError(value.reason)
            value = value.text
        word = _text_of(value).strip().lower()
        if word in _YES or word == str(_("yes")):
            return True
        if word in _NO or word == str(_("no")):
            return False
        raise ValueError(_("Enter yes or no."))

    def render(self, value: Any, obj: Any = None, **_kwargs: Any) -> str:
        return str(_("yes") if value else _("no"))


class Whole(widgets.Widget):
    """A whole number."""

    def clean(self, value: Any, row: Any = None, **_kwargs: Any) -> int:
        if isinstance(value, NonTextCell):
            if value.content not in _NUMERIC:
                raise ValueError(value.reason)
            value = value.text
        text = _text_of(value).strip()
        if not _WHOLE.match(text):
            raise ValueError(_("Enter a whole number."))
        return int(text.partition(".")[0])

    def render(self, value: Any, obj: Any = None, **_kwargs: Any) -> str:
        return str(value)


def _text_of(value: Any) -> str:
    """Return the text of a cell.

    Raises:
        ValueError: the row ends before the cell.
    """
    if value is None:
        raise ValueError(_("The row ends before this column. Enter the complete row."))
    return str(value)


class LessonSheet(resources.ModelResource):
    """The columns; it collects the changes and does not write them."""

    id = fields.Field("public_id", "id", Text())
    title = fields.Field("title", "title", Text())
    description = fields.Field("description", "description", Text())
    color_code = fields.Field("color_code", "color_code", Text())
    is_published = fields.Field("is_published", "is_published", YesNo())
    is_public = fields.Field("is_public", "is_public", YesNo())
    is_free_preview = fields.Field("is_free_preview", "is_free_preview", YesNo())
    required_item = fields.Field("required_item", "required_item", Text())
    base_xp = fields.Field("base_xp", "base_xp", Whole())

    class Meta:
        model = Node
        fields = ("id", *NodeFields.SHEET)
        import_order = export_order = fields
        import_id_fields = ("id",)
        skip_diff = True
        use_bulk = True  # no savepoint per row

    def __init__(self, lessons: dict[str, Node], numbers: list[int]) -> None:
        """Set the lessons and row numbers of the sheet.

        Args:
            lessons: the sheet's lessons, by id.
            numbers: the row number in the file of each row of the dataset.
        """
        super().__init__()
        self.lessons = lessons
        self.numbers = numbers
        self.seen: set[str] = set()
        self.changed: list[tuple[int, Node, Node]] = []

    def get_or_init_instance(self, instance_loader: Any, row: Any) -> Any:
        """Return a copy of the row's lesson; never a new lesson.

        Raises:
            ValidationError: there is none, or an earlier row has the same id.
        """
        try:
            public_id = _id_in(row.get("id"))
        except ValueError as error:
            raise ValidationError({"id": str(error)}) from error
        if not public_id:
            raise ValidationError({"id": _("Enter the id of the lesson.")})
        lesson = self.lessons.get(public_id)
        if lesson is None:
            raise ValidationError(
                {
                    "id": _(
                        "There is no lesson “%(id)s”, or it is in the trash. A sheet "
                        "can change lessons but not create them."
                    )
                    % {"id": public_id}
                }
            )
        if public_id in self.seen:
            raise ValidationError({"id": _("An earlier row is for the same lesson.")})
        self.seen.add(public_id)
        return copy.copy(lesson), False

    def import_field(
        self,
        field: Any,
        instance: Any,
        row: Any,
        is_m2m: bool = False,
        **kwargs: Any,
    ) -> None:
        """Set the value of a cell on the lesson, unless the lesson has that value.

        Raises:
            ValueError: it cannot be read, or a spreadsheet program has changed it.
        """
        if field.column_name not in row or field.column_name == "id":
            return
        before = getattr(instance, field.attribute)
        cell = row[field.column_name]
        if cell is None and before == "":
            return
        after = field.widget.clean(cell, row)
        if isinstance(after, str):
            known = with_line_feeds(before)
            # A program that converts between CSV and XLSX keeps the apostrophes of a
            # CSV export in the text, or adds none.
            if after in (known, guard_formulas(known), unguard_formulas(known)):
                return
            after = after.strip()
            if reason := loss(known, after):
                raise ValueError(reason)
        setattr(instance, field.attribute, after)

    def skip_row(
        self,
        instance: Any,
        original: Any,
        row: Any,
        import_validation_errors: Any = None,
    ) -> bool:
        """Skip a row that is equal to its lesson."""
        before = self.lessons[instance.public_id]
        return not import_validation_errors and all(
            getattr(before, name) == getattr(instance, name)
            for name in NodeFields.SHEET
        )

    def validate_instance(
        self,
        instance: Any,
        import_validation_errors: Any = None,
        validate_unique: bool = True,
    ) -> None:
        """Validate only the fields that the sheet can change."""
        errors = dict(import_validation_errors or {})
        others = {found.name for found in Node._meta.fields} - {*NodeFields.SHEET}
        try:
            instance.clean_fields(exclude=others | errors.keys())
        except ValidationError as error:
            errors = error.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)

    def save_instance(
        self, instance: Any, is_create: bool, row: Any, **kwargs: Any
    ) -> None:
        number = self.numbers[kwargs["row_number"] - 1]
        self.changed.append((number, self.lessons[instance.public_id], instance))


def _id_in(cell: Any) -> str:
    """Return the lesson's id in a cell.

    Raises:
        ValueError: the cell is not text.
    """
    return Text().clean(cell).strip()


def _ids_in(sheet: Sheet) -> list[str]:
    """Return the ids that can be read; the import reports the others."""
    ids = []
    for line in sheet.lines:
        with suppress(ValueError):
            ids.append(_id_in(line.cells.get("id", "")))
    return ids


def column_of(header: str) -> str | None:
    """Return the column that a header names, by name or by label in any language."""
    return None if len(header) > _MAX_HEADER else _columns().get(_header_key(header))


@cache
def _columns() -> dict[str, str]:
    found = {}
    for code, _name in settings.LANGUAGES:
        with translation.override(code):
            found.update({_header_key(label(name)): name for name in NodeFields.SHEET})
    return found | {_header_key(name): name for name in ("id", *NodeFields.SHEET)}


def _header_key(header: str) -> str:
    return fold(header.replace("_", " ").replace("-", " "))


# --- Export -----------------------------------------------------------------


def export_lessons(subject: Node, kind: str) -> bytes:
    """Export a subject's lessons that are not in the trash, in tree order. Two queries.

    Args:
        kind: `XLSX` or `CSV`.

    Raises:
        SheetError: a text is too long for a spreadsheet's cell.
    """
    headers = ["id", "where", *NodeFields.SHEET]
    rows = [headers]
    nodes = Node.objects.filter(subject_id=subject.pk).order_by("lft")
    trail: list[tuple[int, str]] = [(subject.rght, subject.title)]
    for node in outside_trash(nodes):
        while trail and trail[-1][0] < node.rght:
            trail.pop()
        if node.kind != NodeKind.LESSON:
            trail.append((node.rght, node.title))
            continue
        cells = [
            describe_change(name, getattr(node, name)) for name in NodeFields.SHEET
        ]
        where = " › ".join(title for _right, title in trail)
        rows.append([node.public_id, where, *cells])
    if kind == CSV:
        return as_csv(rows)
    return as_xlsx(rows, title=_("Lessons"), widths=_WIDTHS)


# --- Import -----------------------------------------------------------------


def import_lessons(data: bytes, name: str, *, dry_run: bool = False) -> SheetReport:
    """Change lessons to match the sheet; all or nothing.

    Args:
        data: the file.
        name: its name; the suffix determines the format.
        dry_run: return the report without writing anything.

    Returns:
        The report. Nothing was written if it has faults.

    Raises:
        SheetError: the file is not a sheet of lessons.
    """
    sheet = files.read(data, name, known=column_of, required="id")
    ids = _ids_in(sheet)
    with transaction.atomic(), recording.group_changes(recording.SHEET):
        if not dry_run:
            locks.lock_subjects(_subjects_of(ids))
        numbers = [line.number for line in sheet.lines]
        lessons = LessonSheet(_lessons(ids), numbers)
        result = lessons.import_data(
            _dataset(sheet), dry_run=True, use_transactions=False
        )
        faults = [*_sheet_faults(sheet), *_faults(result, numbers)]
        changes = [_change(*found) for found in lessons.changed]
        codes = {lesson.required_item for _row, _before, lesson in lessons.changed}
        new_products = products.unknown(codes)
        if not dry_run and not faults:
            products.ensure(new_products)
            _write([lesson for _row, _before, lesson in lessons.changed])
    report = SheetReport(
        rows=len(sheet.lines),
        changes=changes,
        faults=sorted(faults, key=lambda fault: fault.row),
        ignored_columns=[
            header for header in sheet.ignored if _header_key(header) != "where"
        ],
        new_products=new_products,
        dry_run=dry_run,
    )
    log.info(
        "lesson_sheet_imported",
        rows=report.rows,
        changed=len(changes),
        faults=len(faults),
        dry_run=dry_run,
    )
    return report


def _dataset(sheet: Sheet) -> tablib.Dataset:
    """Convert the sheet for django-import-export; an empty cell of a workbook is ""."""
    dataset = tablib.Dataset(headers=sheet.columns)
    for line in sheet.lines:
        dataset.append([line.cells.get(column, "") for column in sheet.columns])
    return dataset


def _subjects_of(ids: list[str]) -> set[int]:
    subjects: set[int] = set()
    for batch in batches(ids):
        found = Node.objects.filter(public_id__in=batch, subject__isnull=False)
        subjects.update(found.order_by().values_list("subject_id", flat=True))
    return subjects


def _lessons(ids: list[str]) -> dict[str, Node]:
    """Return the untrashed lessons by id, as they are now."""
    found: dict[str, Node] = {}
    for batch in batches(ids):
        rows = Node.objects.untrashed().filter(
            kind=NodeKind.LESSON, public_id__in=batch
        )
        found.update({node.public_id: node for node in rows})
    return found


def _change(row: int, before: Node, after: Node) -> Change:
    values = (
        (name, getattr(before, name), getattr(after, name)) for name in NodeFields.SHEET
    )
    differing = tuple(found for found in values if found[1] != found[2])
    return Change(row, after.public_id, before.title, differing)


def label(name: str) -> str:
    """Return the label of a column."""
    if name == "id":
        return "id"
    return str(capfirst(str(Node._meta.get_field(name).verbose_name)))


def describe_change(name: str, value: Any) -> str:
    """Return the value of a column as text in the sheet."""
    return str(LessonSheet.fields[name].widget.render(value))


def _sheet_faults(sheet: Sheet) -> Iterable[SheetFault]:
    for row, column, reason in sheet.faults:
        yield SheetFault(row, label(column) if column else "", reason)


def _faults(result: Any, numbers: list[int]) -> Iterable[SheetFault]:
    """Yield the errors of django-import-export, with row numbers of the spreadsheet.

    Raises:
        SheetError: an error that does not belong to a row.
    """
    for error in result.base_errors:
        raise SheetError(str(error.error))
    for invalid in result.invalid_rows:
        for column, reasons in invalid.error_dict.items():
            for reason in reasons:
                yield SheetFault(
                    numbers[invalid.number - 1], label(column), str(reason)
                )
    for row, errors in result.row_errors():
        for error in errors:
            yield SheetFault(numbers[row - 1], "", str(error.error))


def _write(lessons: list[Node]) -> None:
    now = timezone.now()
    for lesson in lessons:
        lesson.updated_at = now
    if lessons:
        Node.objects.bulk_update(
            lessons, [*NodeFields.SHEET, "updated_at"], batch_size=BATCH_SIZE
        )
