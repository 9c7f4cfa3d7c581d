"""What has happened with one record: what came, what was decided, what was sent."""

from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from registrar.mapping.modules import MAPPINGS
from registrar.mirror.decisions import CHANGES, Outcome, decision_of
from registrar.models import (
    GRADE_KINDS,
    GRADES,
    Conflict,
    Effect,
    Grade,
    GradeState,
    Hint,
    MirrorRow,
    MoodleGrade,
    Student,
)
from registrar.models.work import Work, WorkState
from registrar.outbox.adding import EVERY_SITE

MOST = 100
"""Entries of each queue that are shown, the newest ones."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a queue.

    Args:
        at: when it came or was added.
        is_incoming: from Zoho, or to Moodle and Zoho.
        title: what came, or what was to be done.
        outcome: a `WorkState`, or "same" if it was done and changed nothing.
        lines: the decision or the result, and errors, in words.
        finished_at: None while it waits.
    """

    pk: int
    at: datetime
    is_incoming: bool
    title: str
    outcome: str
    lines: tuple[str, ...]
    attempts: int
    finished_at: datetime | None
    due_at: datetime
    delivery: int | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is known of a record; ``row`` is None if the mirror lacks it.

    Args:
        grades: of `MoodleGrade`, with their state: of a grade its own, of a student
            all.
    """

    module: str
    record_id: str
    row: MirrorRow | None
    grades: list[Any]
    summary: str
    entries: list[Entry]
    conflicts: list[Conflict]

    @property
    def is_known(self) -> bool:
        """Whether anything is known of the record."""
        return self.row is not None or bool(self.entries or self.grades)


def load(*, module: str, record_id: str) -> Timeline:
    """Return the timeline of a record, newest first. Five queries.

    Args:
        module: a key of `MAPPINGS`.
        record_id: Zoho's id; of a grade also its composite key.
    """
    by = "composite_key" if _is_grade_key(module, record_id) else "zoho_id"
    row = MAPPINGS[module].model._default_manager.filter(**{by: record_id}).first()
    grades = _grades(module, record_id, row)
    ids = {record_id, row.zoho_id} if row else {record_id}
    of_record = Q(module=module, record_id__in=ids)
    of_grades = Q(module=GRADES, record_id__in=[one.composite_key for one in grades])
    hints = Hint.objects.filter(of_record).select_related("delivery")
    hints = hints.defer("delivery__body").order_by("-pk")
    effects = list(Effect.objects.filter(of_record | of_grades).order_by("-pk")[:MOST])
    entries = [
        *(_came(hint) for hint in hints[:MOST]),
        *(_sent(effect) for effect in effects),
    ]
    return Timeline(
        module=module,
        record_id=row.zoho_id if row else record_id,
        row=row,
        grades=grades,
        summary=_summary(module, row, effects, grades),
        entries=sorted(entries, key=attrgetter("at"), reverse=True),
        conflicts=list(Conflict.objects.filter(of_record).order_by("api_name")),
    )


def _is_grade_key(module: str, record_id: str) -> bool:
    return module == GRADES and "-" in record_id


def _grades(module: str, record_id: str, row: MirrorRow | None) -> list[Any]:
    """Return the grades in Moodle that a grade or a student has, the newest first."""
    if module == GRADES:
        key = row.composite_key if isinstance(row, Grade) else record_id
        rows = MoodleGrade.objects.filter(composite_key=key)
    elif isinstance(row, Student) and row.moodle_id is not None:
        rows = MoodleGrade.objects.filter(user_id=row.moodle_id)
    else:
        return []
    return list(rows.with_state().order_by("-changed_at", "-pk")[:MOST])


def _came(hint: Hint) -> Entry:
    lines = []
    document = hint.decision or {}
    same = False
    if "outcome" in document:
        decision = decision_of(document)
        lines.append(decision.reason)
        same = decision.outcome not in CHANGES
        if decision.outcome in (Outcome.UNCHANGED, Outcome.STALE):
            lines.append(_("So nothing was sent."))
    if hint.state != WorkState.DONE and hint.last_error:
        lines.append(hint.last_error)
    return _entry(
        hint,
        is_incoming=True,
        title=_origin(hint),
        lines=lines,
        outcome="same" if same and hint.state == WorkState.DONE else hint.state,
        delivery=hint.delivery_id,
    )


def _origin(hint: Hint) -> str:
    if hint.delivery is None:
        if hint.depth:
            return _("Another record needs this one.")
        return _("Staff asked to read it.")
    words = _("Zoho announced: %(operation)s (%(endpoint)s).") % {
        "operation": hint.get_operation_display(),
        "endpoint": hint.delivery.endpoint,
    }
    if hint.delivery.times > 1:
        words += " " + _("The same delivery came %(times)d times.") % {
            "times": hint.delivery.times
        }
    return words


def _sent(effect: Effect) -> Entry:
    lines = [line for line in (effect.result, effect.last_error) if line]
    if effect.waits_for and effect.state == WorkState.PENDING:
        lines.append(_("Waits for %(record)s.") % {"record": effect.waits_for})
    return _entry(
        effect,
        is_incoming=False,
        title=f"{effect.get_kind_display()} {effect.record_id}"
        if effect.kind in GRADE_KINDS
        else effect.get_kind_display(),
        lines=lines,
        outcome=effect.state,
    )


def _entry(row: Work, *, lines: list[str], **values: Any) -> Entry:
    return Entry(
        pk=row.pk,
        at=row.created_at,
        lines=tuple(lines),
        attempts=row.attempts,
        finished_at=row.finished_at,
        due_at=row.due_at,
        **values,
    )


def _summary(
    module: str,
    row: MirrorRow | None,
    effects: list[Effect],
    grades: list[Any],
) -> str:
    """Return in one sentence how the record stands; of a grade of Moodle in two."""
    effects = [one for one in effects if one.kind not in GRADE_KINDS]
    words = _summary_of_row(module, row, effects)
    if module == GRADES and grades:
        state = GradeState(grades[0].state).label
        words = _("From Moodle to Zoho: %(state)s.") % {"state": state} + f" {words}"
    return words


def _summary_of_row(module: str, row: MirrorRow | None, effects: list[Effect]) -> str:
    if row is None:
        return _("The record is not here: it has not been read from Zoho yet.")
    # Other modules are sent only to a site that has the plugin.
    if module not in EVERY_SITE and not effects and not row.pushed_version:
        return _("Records of this module are not sent to Moodle.")
    if row.pushed_version >= row.version:
        return _("Moodle has the newest version.")
    undone = [one for one in effects if one.state != WorkState.DONE]
    if not undone:
        return _("Moodle lacks the newest version; it will be sent soon.")
    if any(one.state == WorkState.DEAD for one in undone):
        return _("Moodle lacks the newest version: sending it has failed.")
    return _("Moodle lacks the newest version; it waits to be sent.")
