"""Lessons as a spreadsheet: XLSX or CSV, a row per lesson, only its flat fields.

An import changes lessons that exist and makes none; it is all or nothing, and one edit
per lesson that differs. django-import-export reads and checks the rows; they are
written under the locks every edit of content takes.
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

from content import locks
from content.history import recording
from content.models import Node, NodeKind
from content.spreadsheets import files
from content.spreadsheets.cells import (
    Content,
    OddCell,
    guard_formulas,
    unguard_formulas,
    with_line_feeds,
)
from content.spreadsheets.files import XLSX, Sheet, SheetError, as_csv, as_xlsx
from content.spreadsheets.losses import loss
from core.folding import fold

log = structlog.get_logger(__name__)

_BATCH = 500
_MAX_HEADER = 100
_YES = {"yes", "true", "1", "y", "نعم", "صواب", "صح"}
_NO = {"no", "false", "0", "n", "لا", "خطأ"}
_WHOLE = re.compile(r"[0-9\u0660-\u0669\u06f0-\u06f9]{1,9}(\.0{1,9})?\Z")
_NUMERIC = {Content.NUMBER, Content.FORMATTED}
EDITABLE = (
    "title",
    "description",
    "color_code",
    "is_published",
    "is_public",
    "is_free_preview",
    "required_item",
    "base_xp",
)


@dataclass(frozen=True, slots=True)
class Change:
    """A lesson the sheet changes: columns with the old value and the new."""

    row: int
    id: str
    title: str
    values: tuple[tuple[str, Any, Any], ...]

    @property
    def fields(self) -> list[tuple[str, str, str]]:
        """Labels with the old and the new, in words."""
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
    """Why a row cannot be imported; ``row`` counts as the spreadsheet does."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class SheetReport:
    """What an import did, or with ``dry_run`` would do; nothing where it has faults."""

    rows: int
    changes: list[Change]
    faults: list[SheetFault]
    ignored_columns: list[str]
    dry_run: bool

    @property
    def unchanged(self) -> int:
        """How many rows say what their lesson says."""
        rows = {change.row for change in self.changes}
        rows |= {fault.row for fault in self.faults}
        return max(0, self.rows - len(rows))

    @property
    def unsold(self) -> int:
        """How many lessons lose the product code that students need for them."""
        return sum(
            name == "required_item" and new == ""
            for change in self.changes
            for name, _old, new in change.values
        )


# --- Cells ------------------------------------------------------------------


class Text(widgets.Widget):
    """Text as it stands; a whole number a spreadsheet made of it is its digits."""

    def clean(self, value: Any, row: Any = None, **_kwargs: Any) -> str:
        """The text, edges included.

        Raises:
            ValueError: the cell holds something else, or a character no text has.
        """
        if isinstance(value, OddCell):
            if value.content is not Content.NUMBER or not value.text.isdigit():
                raise ValueError(value.reason)
            return value.text
        text = _text_of(value)
        if "\0" in text:
            raise ValueError(_("Remove the character U+0000."))
        return text

    def render(self, value: Any, obj: Any = None, **_kwargs: Any) -> str:
        return str(value)


class YesNo(widgets.Widget):
    """Yes or no, in the language of whoever exports; read in either."""

    def clean(self, value: Any, row: Any = None, **_kwargs: Any) -> bool:
        if isinstance(value, OddCell):
            if value.content not in {*_NUMERIC, Content.BOOLEAN}:
                raise ValueError(value.reason)
            value = value.text
        word = _text_of(value).strip().lower()
        if word in _YES or word == str(_("yes")):
            return True
        if word in _NO or word == str(_("no")):
            return False
        raise ValueError(_("Write yes or no."))

    def render(self, value: Any, obj: Any = None, **_kwargs: Any) -> str:
        return str(_("yes") if value else _("no"))


class Whole(widgets.Widget):
    """A whole number."""

    def clean(self, value: Any, row: Any = None, **_kwargs: Any) -> int:
        if isinstance(value, OddCell):
            if value.content not in _NUMERIC:
                raise ValueError(value.reason)
            value = value.text
        text = _text_of(value).strip()
        if not _WHOLE.match(text):
            raise ValueError(_("Write a whole number."))
        return int(text.partition(".")[0])

    def render(self, value: Any, obj: Any = None, **_kwargs: Any) -> str:
        return str(value)


def _text_of(value: Any) -> str:
    """A cell's text.

    Raises:
        ValueError: the row ends before it.
    """
    if value is None:
        raise ValueError(_("The row ends before this column. Write it again in full."))
    return str(value)


class LessonSheet(resources.ModelResource):
    """The columns; collects what would change and writes nothing itself."""

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
        fields = ("id", *EDITABLE)
        import_order = export_order = fields
        import_id_fields = ("id",)
        skip_diff = True
        use_bulk = True  # no savepoint per row

    def __init__(self, lessons: dict[str, Node], numbers: list[int]) -> None:
        """
        Args:
            lessons: those the sheet names, by id.
            numbers: where each row of the dataset stands in the file.
        """
        super().__init__()
        self.lessons = lessons
        self.numbers = numbers
        self.seen: set[str] = set()
        self.changed: list[tuple[int, Node, Node]] = []

    def get_or_init_instance(self, instance_loader: Any, row: Any) -> Any:
        """The lesson the row names; never a new one.

        Raises:
            ValidationError: there is none, or a row before named it.
        """
        try:
            named = _id_in(row.get("id"))
        except ValueError as error:
            raise ValidationError({"id": str(error)}) from error
        if not named:
            raise ValidationError({"id": _("Write the lesson's id.")})
        lesson = self.lessons.get(named)
        if lesson is None:
            raise ValidationError(
                {
                    "id": _(
                        "There is no lesson “%(id)s”, or it is in the trash. A sheet "
                        "changes lessons; it makes none."
                    )
                    % {"id": named}
                }
            )
        if named in self.seen:
            raise ValidationError({"id": _("This lesson has a row above already.")})
        self.seen.add(named)
        return copy.copy(lesson), False

    def import_field(
        self,
        field: Any,
        instance: Any,
        row: Any,
        is_m2m: bool = False,
        **kwargs: Any,
    ) -> None:
        """Take a cell over; one that says what the lesson says leaves it untouched.

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
            # A program that saves CSV as XLSX, or the reverse, leaves the apostrophes
            # of an export in the text, or has none of its own to take away.
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
        """A row that says what the lesson says is none to write."""
        before = self.lessons[instance.public_id]
        return not import_validation_errors and all(
            getattr(before, name) == getattr(instance, name) for name in EDITABLE
        )

    def validate_instance(
        self,
        instance: Any,
        import_validation_errors: Any = None,
        validate_unique: bool = True,
    ) -> None:
        """Only what the sheet can change is checked."""
        errors = dict(import_validation_errors or {})
        others = {found.name for found in Node._meta.fields} - {*EDITABLE}
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
    """The lesson's id in a cell.

    Raises:
        ValueError: the cell holds something else than text.
    """
    return Text().clean(cell).strip()


def _ids_in(sheet: Sheet) -> list[str]:
    """The ids that can be read; of the others the import says what is wrong."""
    ids = []
    for line in sheet.lines:
        with suppress(ValueError):
            ids.append(_id_in(line.cells.get("id", "")))
    return ids


def column_of(header: str) -> str | None:
    """The column a header names: by its name, or by its label in any language."""
    return None if len(header) > _MAX_HEADER else _columns().get(_header_key(header))


@cache
def _columns() -> dict[str, str]:
    found = {}
    for code, _name in settings.LANGUAGES:
        with translation.override(code):
            found.update({_header_key(label(name)): name for name in EDITABLE})
    return found | {_header_key(name): name for name in ("id", *EDITABLE)}


def _header_key(header: str) -> str:
    return fold(header.replace("_", " ").replace("-", " "))


# --- Export -----------------------------------------------------------------


def export_lessons(subject: Node, kind: str) -> bytes:
    """A subject's lessons that are not in the trash, in tree order. Two queries.

    Args:
        kind: `XLSX` or `CSV`.

    Raises:
        SheetError: a text is longer than a spreadsheet's cell holds.
    """
    headers = ["id", "where", *EDITABLE]
    rows = [headers]
    nodes = Node.objects.filter(subject_id=subject.pk).order_by("lft")
    trail: list[tuple[int, str]] = [(subject.rght, subject.title)]
    hidden_until = 0
    for node in nodes:
        while trail and trail[-1][0] < node.rght:
            trail.pop()
        if node.rght < hidden_until:
            continue
        if node.trashed_at is not None:
            hidden_until = node.rght
            continue
        if node.kind != NodeKind.LESSON:
            trail.append((node.rght, node.title))
            continue
        cells = [describe_change(name, getattr(node, name)) for name in EDITABLE]
        where = " › ".join(title for _right, title in trail)
        rows.append([node.public_id, where, *cells])
    return as_xlsx(rows) if kind == XLSX else as_csv(rows)


# --- Import -----------------------------------------------------------------


def import_lessons(data: bytes, name: str, *, dry_run: bool = False) -> SheetReport:
    """Give lessons what the sheet says; all of it or nothing.

    Args:
        data: the file.
        name: its name, whose ending says what it is.

    Raises:
        SheetError: it is no sheet of lessons.
    """
    sheet = files.read(data, name, known=column_of, required="id")
    ids = _ids_in(sheet)
    with transaction.atomic(), recording.one_change(recording.SHEET):
        if not dry_run:
            locks.lock_subjects(_subjects_of(ids))
        numbers = [line.number for line in sheet.lines]
        lessons = LessonSheet(_lessons(ids), numbers)
        result = lessons.import_data(
            _dataset(sheet), dry_run=True, use_transactions=False
        )
        faults = [*_sheet_faults(sheet), *_faults(result, numbers)]
        changes = [_change(*found) for found in lessons.changed]
        if not dry_run and not faults:
            _write([lesson for _row, _before, lesson in lessons.changed])
    report = SheetReport(
        rows=len(sheet.lines),
        changes=changes,
        faults=sorted(faults, key=lambda fault: fault.row),
        ignored_columns=[
            header for header in sheet.ignored if _header_key(header) != "where"
        ],
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
    """The sheet as import-export takes it; an empty cell of a workbook is ""."""
    dataset = tablib.Dataset(headers=sheet.columns)
    for line in sheet.lines:
        dataset.append([line.cells.get(column, "") for column in sheet.columns])
    return dataset


def _subjects_of(ids: list[str]) -> set[int]:
    subjects: set[int] = set()
    for batch in _batches(ids):
        found = Node.objects.filter(public_id__in=batch, subject__isnull=False)
        subjects.update(found.order_by().values_list("subject_id", flat=True))
    return subjects


def _lessons(ids: list[str]) -> dict[str, Node]:
    """The lessons by id that an editor can see, as they are now."""
    found: dict[str, Node] = {}
    for batch in _batches(ids):
        rows = Node.objects.untrashed().filter(
            kind=NodeKind.LESSON, public_id__in=batch
        )
        found.update({node.public_id: node for node in rows})
    return found


def _batches(values: list[Any]) -> Iterable[list[Any]]:
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]


def _change(row: int, before: Node, after: Node) -> Change:
    values = ((name, getattr(before, name), getattr(after, name)) for name in EDITABLE)
    differing = tuple(found for found in values if found[1] != found[2])
    return Change(row, after.public_id, before.title, differing)


def label(name: str) -> str:
    """A column in words."""
    if name == "id":
        return "id"
    return str(capfirst(str(Node._meta.get_field(name).verbose_name)))


def describe_change(name: str, value: Any) -> str:
    """A column's value as the sheet says it."""
    return str(LessonSheet.fields[name].widget.render(value))


def _sheet_faults(sheet: Sheet) -> Iterable[SheetFault]:
    for row, column, reason in sheet.faults:
        yield SheetFault(row, label(column) if column else "", reason)


def _faults(result: Any, numbers: list[int]) -> Iterable[SheetFault]:
    """What import-export refused, in words; a row number as spreadsheets count."""
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
        Node.objects.bulk_update(lessons, [*EDITABLE, "updated_at"], batch_size=_BATCH)
