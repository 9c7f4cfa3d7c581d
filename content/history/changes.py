"""Read the history as a list of edits, newest first.

An edit is everything that one request or job wrote
(`content.history.recording.Recorded.change`) to one object and its parts: a lesson with
its stages, a plan with its subjects and overrides.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import QuerySet
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from content import field_labels, json_diff
from content.history.recording import CHANGED, CREATED, DELETED
from content.json_diff import Difference
from content.models import LessonStage, Node, NodeKind

MAX_ROWS = 1000
"""How many rows of each history table are read."""
_IGNORED_FIELDS = frozenset(
    {"id", "created_at", "updated_at", "lesson", "plan", "public_id"}
)
"""Fields that never change, or whose changes are not interesting."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A changed field as text, before and after; for JSON, the differences."""

    label: str
    old: str
    new: str
    inside: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class RowChange:
    """A change of one row: `CREATED`, `CHANGED` or `DELETED`."""

    what: str
    title: str
    how: str
    fields: tuple[FieldChange, ...] = ()
    is_first_known: bool = False
    """Whether the row existed before its history begins."""


@dataclass(slots=True)
class Edit:
    """The changes of one request or job."""

    id: UUID
    at: datetime
    who: str
    reason: str
    rows: list[RowChange] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of one history table that belong to the object.

    ``what`` and ``title`` return the display name of a row's kind and of the row.
    """

    rows: QuerySet[Any]
    what: Callable[[Any], str]
    title: Callable[[Any, "Names"], str]


def node_edits(node: Node, others: Sequence["Source"] = ()) -> list[Edit]:
    """Return the edits of a node; for a lesson, also of its stages.

    At most four queries, and one for each of the ``others``.
    """
    own = Source(
        Node.history.filter(id=node.pk),
        what=lambda row: str(NodeKind(row.kind).label),
        title=lambda row, _names: str(row.title),
    )
    stages = [stage_rows(node)] if node.kind == NodeKind.LESSON else []
    return collect_edits([own, *stages, *others])


def stage_rows(lesson: Node) -> Source:
    """Return the history of stages that are or were in the lesson."""
    past = LessonStage.history
    ever = past.filter(lesson_id=lesson.pk).values("id")
    return Source(
        past.filter(id__in=ever),
        what=lambda _row: str(_("stage")),
        title=lambda row, _names: str(row.title),
    )


def collect_edits(sources: Sequence[Source]) -> list[Edit]:
    """Return the edits in the rows of ``sources``, newest first.

    One query for each source and for each table of names.
    """
    read = [
        (source, list(source.rows.order_by("-history_date", "-history_id")[:MAX_ROWS]))
        for source in sources
    ]
    every = [row for _source, rows in read for row in rows]
    names = Names(every)
    found: dict[UUID, Edit] = {}
    for source, rows in read:
        before: dict[int, Any] = {}
        for row in reversed(rows):
            changed = _row_change(source, before.get(row.id), row, names)
            before[row.id] = row
            edit = found.get(row.change)
            if edit is None:
                edit = found[row.change] = Edit(
                    id=row.change,
                    at=row.history_date,
                    who=names.of_user(row.history_user_id),
                    reason=row.history_change_reason or "",
                )
            edit.at = max(edit.at, row.history_date)
            if changed is not None:
                edit.rows.append(changed)
    edits_with_changes = [edit for edit in found.values() if edit.rows]
    return sorted(edits_with_changes, key=lambda edit: edit.at, reverse=True)


def _row_change(
    source: Source, before: Any, row: Any, names: "Names"
) -> RowChange | None:
    """Return how a row differs from the one before it; None if it does not."""
    how = row.history_type
    what, title = source.what(row), source.title(row, names)
    if how != CHANGED:
        return RowChange(what, title, how)
    if before is None or before.history_type == DELETED:
        return RowChange(what, title, CREATED, is_first_known=True)
    fields = tuple(field_changes(before, row, names))
    return RowChange(what, title, how, fields) if fields else None


def field_changes(before: Any, after: Any, names: "Names") -> Iterable[FieldChange]:
    """Yield the fields that differ, as text.

    ``before`` and ``after`` are rows of a history table or of its model.
    """
    history: Any = before if hasattr(before, "tracked_fields") else after
    for tracked in history.tracked_fields:
        if tracked.name in _IGNORED_FIELDS:
            continue
        old, new = getattr(before, tracked.attname), getattr(after, tracked.attname)
        if old == new:
            continue
        label = capfirst(str(tracked.verbose_name))
        if isinstance(tracked, models.JSONField):
            inside = json_diff.differences(old, new)
            if tracked.name == "config":
                inside = field_labels.labelled(after.type, inside)
            yield FieldChange(label, "", "", tuple(inside))
        else:
            yield FieldChange(
                label, names.of_value(tracked, old), names.of_value(tracked, new)
            )


def name_of(user: Any) -> str:
    """Return how pages name a member of staff."""
    return str(user.get_full_name() or user.get_username())


class Names:
    """The names of users and related rows by key. One query per table."""

    def __init__(self, rows: Iterable[Any]) -> None:
        pks_by_model: dict[type[Any], set[int]] = defaultdict(set)
        for row in rows:
            for tracked in row.tracked_fields:
                if isinstance(tracked, models.ForeignKey):
                    related: Any = tracked.related_model
                    pk = getattr(row, tracked.attname)
                    if pk is not None and tracked.name not in _IGNORED_FIELDS:
                        pks_by_model[related].add(pk)
            if row.history_user_id is not None:
                pks_by_model[get_user_model()].add(row.history_user_id)
        self._found: Mapping[type[Any], Mapping[int, Any]] = {
            model: model._base_manager.in_bulk(pks)
            for model, pks in pks_by_model.items()
        }

    def of_user(self, pk: int | None) -> str:
        if pk is None:
            return ""
        user = self._found.get(get_user_model(), {}).get(pk)
        if user is None:
            return str(_("a deleted user"))
        return name_of(user)

    def of(self, name: str, row: Any) -> str:
        """Return the value of the row's field ``name`` as text."""
        tracked = next(found for found in row.tracked_fields if found.name == name)
        return self.of_value(tracked, getattr(row, tracked.attname))

    def of_value(self, tracked: Any, value: Any) -> str:
        """Return the value of a field as text for editors."""
        if value is None or value == "":
            return "–"
        if isinstance(tracked, models.ForeignKey):
            name = self._found.get(tracked.related_model, {}).get(value)
            return str(_("a deleted object")) if name is None else str(name)
        if isinstance(value, bool):
            return str(_("yes") if value else _("no"))
        if tracked.choices:
            return str(dict(tracked.flatchoices).get(value, value))
        if tracked.name == "trashed_at":
            return str(_("in the trash"))
        return str(value)
