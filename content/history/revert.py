"""Revert a lesson and its stages to an earlier version.

A revert is an edit like any other: it is published, recorded in the history, and can be
reverted too. It does not change the lesson's place, id, bit or trash state.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from content import locks
from content.field_lists import NodeFields, StageFields
from content.history import recording
from content.history.recording import DELETED
from content.models import LessonStage, Node, NodeKind
from content.stage_configs import repeated_item_fault, repeated_items
from content.stage_types import SCHEMAS
from core.errors import MemoraError

log = structlog.get_logger(__name__)


class RevertError(MemoraError):
    """The lesson cannot be reverted; nothing was changed."""

    code = "REVERT_REFUSED"


@dataclass(frozen=True, slots=True)
class Version:
    """A lesson and its stages at some moment, as rows of the history."""

    lesson: Any
    stages: list[Any]
    """In order."""


def version_at(lesson: Node, moment: datetime) -> Version | None:
    """Return the lesson and its stages at ``moment``; None if it did not exist.

    Two queries.
    """
    past: Any = Node.history
    lesson_row = (
        past.filter(id=lesson.pk, history_date__lte=moment)
        .order_by("-history_date", "-history_id")
        .first()
    )
    if lesson_row is None or lesson_row.history_type == DELETED:
        return None
    stages: Any = LessonStage.history
    all_pks = stages.filter(lesson_id=lesson.pk).values("id")
    rows = stages.filter(id__in=all_pks, history_date__lte=moment)
    latest: dict[int, Any] = {}
    for row in rows.order_by("history_date", "history_id"):
        latest[row.id] = row
    stage_rows = [
        row
        for row in latest.values()
        if row.history_type != DELETED and row.lesson_id == lesson.pk
    ]
    return Version(
        lesson_row, sorted(stage_rows, key=lambda row: (row.position, row.id))
    )


@transaction.atomic
def revert_lesson(*, lesson: Node, moment: datetime) -> bool:
    """Restore the fields and stages that ``lesson`` had at ``moment``.

    A stage deleted since then is restored with its id, so that students' reviews of its
    items continue. A stage added since then is deleted.

    Returns:
        Whether anything changed.

    Raises:
        RevertError: the lesson cannot be reverted; the message states the reason.
        StructureError: the lesson was deleted or moved by another request.
    """
    _states, [lesson] = locks.lock_nodes(lesson)
    if lesson.kind != NodeKind.LESSON:
        raise RevertError(_("Only lessons can be restored to an earlier version."))
    if lesson.trashed_at is not None:
        raise RevertError(
            _("“%(title)s” is in the trash. Restore it first.")
            % {"title": lesson.title}
        )
    version = version_at(lesson, moment)
    if version is None:
        raise RevertError(
            _("The history has no version of “%(title)s” at that time.")
            % {"title": lesson.title}
        )
    stages = _stages(lesson, version)
    with recording.group_changes(recording.REVERTED):
        fields = _changed_fields(lesson, version)
        changed = _write_stages(lesson, stages) or bool(fields)
        if changed:
            # Also when only stages changed: an open form of the lesson then detects the
            # edit.
            lesson.save(update_fields=[*fields, "updated_at"])
    log.info("lesson_reverted", lesson_id=lesson.public_id, changed=changed)
    return changed


def _stages(lesson: Node, version: Version) -> list[LessonStage]:
    """Return the stages to store, validated by today's rules.

    Raises:
        RevertError: a stage cannot be restored; the message names it and the reason.
    """
    current_stages = {
        stage.pk: stage for stage in LessonStage.objects.filter(lesson=lesson)
    }
    elsewhere = LessonStage.objects.exclude(lesson=lesson).select_related("lesson")
    ids = [row.public_id for row in version.stages]
    existing = {stage.public_id: stage for stage in elsewhere.filter(public_id__in=ids)}
    restored = []
    for row in version.stages:
        if other := existing.get(row.public_id):
            raise RevertError(
                _(
                    "The stage “%(stage)s” is now in the lesson “%(lesson)s”. Move it "
                    "back first."
                )
                % {"stage": row.title, "lesson": other.lesson.title}
            )
        stage = current_stages.get(row.id)
        if stage is None:
            stage = LessonStage(pk=row.id, public_id=row.public_id, lesson=lesson)
            stage._stored_config = row.config
        for name in StageFields.ORDERED:
            setattr(stage, name, getattr(row, name))
        _require_valid(stage)
        stage.is_compared_with_others = True
        restored.append(stage)
    _refuse_repeated_items(lesson, restored)
    return restored


def _refuse_repeated_items(lesson: Node, stages: list[LessonStage]) -> None:
    repeated = repeated_items((stage.type, stage.config) for stage in stages)
    if repeated:
        titles = [stage.title for stage in stages]
        reason = repeated_item_fault(repeated[0], lesson=lesson.title, stages=titles)
        raise RevertError(
            _("“%(title)s” is not valid as it was: %(why)s")
            % {"title": lesson.title, "why": reason}
        )


def _require_valid(stage: LessonStage) -> None:
    if stage.type not in SCHEMAS:
        raise RevertError(
            _("The stage type “%(type)s” no longer exists (stage “%(stage)s”).")
            % {"type": stage.type, "stage": stage.title}
        )
    try:
        stage.clean()
    except ValidationError as error:
        raise RevertError(
            _("The earlier version of the stage “%(stage)s” is not valid: %(why)s")
            % {"stage": stage.title, "why": " ".join(error.messages)}
        ) from error


def _changed_fields(lesson: Node, version: Version) -> list[str]:
    """Set the old values on the lesson, unsaved; return the names that differ.

    Raises:
        RevertError: an old value is not valid today.
    """
    changed = []
    for name in NodeFields.CONTENT:
        old = getattr(version.lesson, name)
        if str(getattr(lesson, name)) != str(old):
            setattr(lesson, name, old)
            changed.append(name)
    try:
        lesson.clean_fields(exclude={f.name for f in Node._meta.fields} - {*changed})
    except ValidationError as error:
        raise RevertError(
            _("The earlier version of “%(title)s” is not valid: %(why)s")
            % {"title": lesson.title, "why": " ".join(error.messages)}
        ) from error
    return changed


def _write_stages(lesson: Node, stages: list[LessonStage]) -> bool:
    before = {stage.pk: stage for stage in LessonStage.objects.filter(lesson=lesson)}
    changed = False
    for stage in stages:
        stored = before.pop(stage.pk, None)
        if stored is None:
            stage.save(force_insert=True)
            changed = True
        elif names := [
            name
            for name in StageFields.ORDERED
            if getattr(stored, name) != getattr(stage, name)
        ]:
            stage.save(update_fields=names)
            changed = True
    for added in before.values():
        added.delete()
        changed = True
    return changed
