"""Export a subject as a curriculum file."""

from typing import Any

import orjson
from django.utils.translation import gettext as _

from content.curriculum.loading import StoredNode, StoredSubject, load
from content.curriculum_format import CHILDREN_KEY, FORMAT, NODE_DEFAULTS
from content.field_lists import SubjectStateFields
from content.kinds import Kind
from content.models import Node, SubjectState
from core.errors import MemoraError


class SubjectNotFoundError(MemoraError):
    """No subject has this id, or it is in the trash."""

    code = "NOT_FOUND"


def export_curriculum(subject_id: str) -> bytes:
    """Return the subject's curriculum file, without trash, as indented UTF-8 JSON.

    Raises:
        SubjectNotFoundError: no subject has this id, or it is in the trash.
    """
    subject = Node.objects.subjects().filter(public_id=subject_id).first()
    if subject is None:
        raise SubjectNotFoundError(_("There is no subject “%s”.") % subject_id)
    if subject.trashed_at is not None:
        raise SubjectNotFoundError(
            _("The subject “%s” is in the trash. Restore it first.") % subject_id
        )
    stored = load(subject.pk)
    by_pk = stored.by_pk()
    states = SubjectState.objects.filter(pk=subject.pk)
    head = states.values(*SubjectStateFields.HEADER).first() or {}
    document = {
        "format": FORMAT,
        **{key: value for key, value in head.items() if value},
        "subject": _exported(by_pk[subject.pk], stored, by_pk),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def _exported(
    node: StoredNode, stored: StoredSubject, by_pk: dict[int, StoredNode]
) -> dict[str, Any]:
    kind = Kind(node.kind)
    data: dict[str, Any] = {"id": node.id, "title": node.fields["title"]}
    for key, default in NODE_DEFAULTS.items():
        if key == "is_published" or node.fields[key] != default:
            data[key] = node.fields[key]
    if kind is Kind.LESSON:
        data["base_xp"] = node.fields["base_xp"]
        data["bit_index"] = node.bit_index
        data["stages"] = [
            {"id": stage.id, **stage.fields}
            for stage in stored.stages_of.get(node.pk, ())
        ]
        return data
    data[CHILDREN_KEY[kind]] = [
        _exported(by_pk[pk], stored, by_pk)
        for pk in stored.children.get(node.pk, ())
        if not by_pk[pk].is_trashed
    ]
    return data
