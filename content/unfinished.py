"""Read a lesson's content for its page; keep a version that is not finished."""

import json
import secrets
from datetime import datetime

from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext as _

from content import lesson_data
from content.field_lists import StageFields
from content.lesson_data import LessonContent
from content.merging import merge
from content.models import LessonStage, Node, UnfinishedLesson
from core.fields import CanonicalJSONEncoder

MAX_BYTES = 3_000_000
"""The largest draft or unfinished lesson, as UTF-8 JSON: three lessons of the largest
size."""


def stored_content(lesson: Node) -> LessonContent:
    """Return the lesson's stored content. One query."""
    stages = LessonStage.objects.filter(lesson=lesson).order_by("position", "pk")
    return LessonContent(
        fields={
            name: lesson_data.text(getattr(lesson, name)) for name in lesson_data.FIELDS
        },
        stages={str(stage.pk): _stage_values(stage) for stage in stages},
    )


def current_content(lesson: Node) -> LessonContent:
    """Return what the lesson's page shows: its unfinished version, or the stored one.

    Two queries.
    """
    stored = stored_content(lesson)
    unfinished = UnfinishedLesson.objects.filter(lesson=lesson).first()
    if unfinished is None:
        return stored
    data = unfinished_data(unfinished, stored)
    return LessonContent(
        fields={
            name: lesson_data.text(data.get(name, "")) for name in lesson_data.FIELDS
        },
        stages={
            key: {**dict.fromkeys(lesson_data.STAGE_FIELDS, ""), **values}
            for key, values in lesson_data.entries(data).items()
        },
    )


def unfinished_data(unfinished: UnfinishedLesson, stored: LessonContent) -> QueryDict:
    """Return the form's data of an unfinished version, merged with the stored one.

    An import may have changed the lesson since. The unfinished version wins where both
    changed the same.
    """
    data = lesson_data.form_data(unfinished.data)
    return merge(data, stored=stored, lesson_pk=unfinished.lesson_id).data


def keep_unfinished(
    data: QueryDict, *, lesson: Node, user_pk: int | None, now: datetime
) -> None:
    """Store a form's data as the lesson's unfinished version.

    Raises:
        ValidationError: it is larger than `MAX_BYTES`.
    """
    kept = data.copy()
    entries = lesson_data.entries(kept)
    for values in entries.values():
        if not values.get("id") and not values.get("key"):
            values["key"] = f"n{secrets.token_hex(8)}"
    lesson_data.write(kept, list(entries.values()), lesson.pk)
    # The instance of a form has its values, not the stored ones.
    stored = Node.objects.get(pk=lesson.pk)
    kept["seen"] = lesson_data.version_of(stored_content(stored))
    fields = [
        [name, value]
        for name, values in kept.lists()
        for value in values
        if name != "csrfmiddlewaretoken"
        and not name.startswith((f"{lesson_data.CHOICE}-", "_"))
    ]
    if len(CanonicalJSONEncoder().encode(fields).encode()) > MAX_BYTES:
        raise ValidationError(_("This lesson is too large to be kept unfinished."))
    UnfinishedLesson.objects.update_or_create(
        lesson=lesson,
        defaults={"data": fields, "saved_by_id": user_pk, "saved_at": now},
    )


def _stage_values(stage: LessonStage) -> dict[str, str]:
    values = {
        name: lesson_data.text(getattr(stage, name)) for name in StageFields.CONTENT
    }
    config = json.dumps(stage.config, ensure_ascii=False, indent=2)
    return values | {"config": config, "DELETE": ""}
