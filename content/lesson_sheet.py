"""Lessons as a spreadsheet: XLSX or CSV, a row per lesson, only its flat fields.

An import changes lessons that exist and makes none; it is all or nothing, and one edit
per lesson that differs. django-import-export reads and checks the rows; they are
written under the locks every edit of content takes.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from import_export import fields, resources, widgets

from content import history, locks, sheet_files
from content.models import Node, NodeKind
from content.sheet_files import XLSX, SheetError, as_csv, as_xlsx

log = structlog.get_logger(__name__)

_BATCH = 500
_YES = {"yes", "true", "1", "y", "نعم"}
_NO = {"no", "false", "0", "n", "لا"}
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
            (label(name), in_words(name, old) or "–", in_words(name, new) or "–")
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
        return self.rows - len(self.changes) - len({fault.row for fault in self.faults})


# --- Cells ------------------------------------------------------------------


class Text(widgets.Widget):
    """Text as it stands; a number a spreadsheet made of it is its digits."""

    def clean(self, value: Any, row: Any = None, **_kwargs: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        text = str(value)
        if "\0" in text:
            raise ValueError(_("Remove the character U+0000."))
        return text.strip()

    def render(self, value: Any, obj: Any = None, **_kwargs: Any) -> str:
        return str(value)


class YesNo(widgets.Widget):
    """Yes or no, in the language of whoever exports; read in either."""

    def clean(self, value: Any, row: Any = None, **_kwargs: Any) -> bool:
        word = str(value if value is not None else "").strip().lower()
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
        try:
            number = float(str(value).strip())
        except ValueError:
            number = 0.5
        if not number.is_integer():
            raise ValueError(_("Write a whole number."))
        return int(number)

    def render(self, value: Any, obj: Any = None, **_kwargs: Any) -> str:
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

    def __init__(self, lessons: dict[str, Node]) -> None:
        super().__init__()
        self.lessons = lessons
        self.seen: set[str] = set()
        self.changed: list[tuple[int, Node, Node]] = []

    def get_or_init_instance(self, instance_loader: Any, row: Any) -> Any:
        """The lesson the row names; never a new one.

        Raises:
            ValidationError: there is none, or a row before named it.
        """
        named = Text().clean(row.get("id"))
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
        self.changed.append((kwargs["row_number"], self.lessons[row_id(row)], instance))


def row_id(row: Any) -> str:
    """The lesson a row names."""
    return Text().clean(row.get("id"))


# --- Export -----------------------------------------------------------------


def export_lessons(subject: Node, kind: str) -> bytes:
    """A subject's lessons that are not in the trash, in tree order. Two queries.

    Args:
        kind: `XLSX` or `CSV`.
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
        cells = [in_words(name, getattr(node, name)) for name in EDITABLE]
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
    dataset = sheet_files.read(data, name, required="id")
    ids = [Text().clean(value) for value in dataset["id"]]
    with transaction.atomic(), history.one_change(history.SHEET):
        if not dry_run:
            locks.lock_subjects(_subjects_of(ids))
        sheet = LessonSheet(_lessons(ids))
        result = sheet.import_data(dataset, dry_run=True, use_transactions=False)
        faults = list(_faults(result))
        changes = [_change(*found) for found in sheet.changed]
        if not dry_run and not faults:
            _write([lesson for _row, _before, lesson in sheet.changed])
    report = SheetReport(
        rows=len(dataset),
        changes=changes,
        faults=sorted(faults, key=lambda fault: fault.row),
        ignored_columns=[
            header
            for header in dataset.headers or []
            if header not in ("id", "where", *EDITABLE)
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
    return Change(row + 1, after.public_id, before.title, differing)


def label(name: str) -> str:
    """A column in words."""
    if name == "id":
        return "id"
    return str(capfirst(str(Node._meta.get_field(name).verbose_name)))


def in_words(name: str, value: Any) -> str:
    """A column's value as the sheet says it."""
    return str(LessonSheet.fields[name].widget.render(value))


def _faults(result: Any) -> Iterable[SheetFault]:
    """What import-export refused, in words; a row number as spreadsheets count."""
    for error in result.base_errors:
        raise SheetError(str(error.error))
    for invalid in result.invalid_rows:
        for column, reasons in invalid.error_dict.items():
            for reason in reasons:
                yield SheetFault(invalid.number + 1, label(column), str(reason))
    for row, errors in result.row_errors():
        for error in errors:
            yield SheetFault(row + 1, "", str(error.error))


def _write(lessons: list[Node]) -> None:
    now = timezone.now()
    for lesson in lessons:
        lesson.updated_at = now
    if lessons:
        Node.objects.bulk_update(lessons, [*EDITABLE, "updated_at"], batch_size=_BATCH)
