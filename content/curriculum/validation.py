"""Validate a file against the database: ids in use and stage configs.

`content.curriculum_format` reports the faults that need no database.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any

from django.utils.translation import gettext as _

from content.curriculum.loading import StoredSubject
from content.curriculum_format import NodeSpec, StageSpec
from content.json_errors import Fault
from content.models import LessonStage, Node, NodeKind
from content.stage_configs import (
    ConfigError,
    byte_size,
    clean,
    lesson_size_fault,
    repeated_item_fault,
    repeated_items,
)
from content.stage_types import SCHEMAS
from core.batches import batches


def id_faults(specs: Sequence[NodeSpec], stored: StoredSubject) -> Iterator[Fault]:
    """Yield a fault for each id that another kind, subject or lesson uses."""
    unknown: dict[str, NodeSpec] = {}
    for spec in specs:
        found = stored.nodes.get(spec.id)
        if found is None:
            if spec.id:
                unknown.setdefault(spec.id, spec)
        elif found.kind != spec.kind:
            kind = NodeKind(found.kind).label
            yield _at_id(spec, _("is already the id of a %(kind)s") % {"kind": kind})
    for batch in batches(list(unknown)):
        elsewhere = Node.objects.filter(public_id__in=batch)
        for node in elsewhere.select_related("subject"):
            yield _at_id(unknown[node.public_id], _taken_by(node))
    yield from _stage_id_faults(specs, stored)


def _stage_id_faults(
    specs: Sequence[NodeSpec], stored: StoredSubject
) -> Iterator[Fault]:
    unknown = {
        stage.id: stage
        for spec in specs
        for stage in spec.stages
        if stage.id and stage.id not in stored.stages
    }
    for batch in batches(list(unknown)):
        elsewhere = LessonStage.objects.filter(public_id__in=batch)
        for stage in elsewhere.select_related("lesson"):
            yield _at_id(
                unknown[stage.public_id],
                _("is already the id of a stage in the lesson “%(lesson)s”")
                % {"lesson": stage.lesson.title},
            )


def _at_id(spec: NodeSpec | StageSpec, reason: str) -> Fault:
    return (*spec.path, "id"), reason


def _taken_by(node: Node) -> str:
    if node.subject is None:
        return _("is already the id of the subject “%(title)s”") % {"title": node.title}
    return _("is already the id of a %(kind)s in the subject “%(subject)s”") % {
        "kind": node.get_kind_display(),
        "subject": node.subject.title,
    }


def clean_configs(specs: Sequence[NodeSpec], stored: StoredSubject) -> Iterator[Fault]:
    """Clean the config of every stage and yield the faults.

    An unchanged config is not cleaned again. ``losses`` of a stage receives what
    cleaning removed.
    """
    named = {stage.id for spec in specs for stage in spec.stages if stage.id}
    for spec in specs:
        faults = [fault for stage in spec.stages for fault in _clean(stage, stored)]
        yield from faults
        if not faults:
            yield from _size_faults(spec, stored)
            yield from _item_faults(spec, stored, named)


def _clean(stage: StageSpec, stored: StoredSubject) -> Iterator[Fault]:
    fields = stage.fields
    if fields["type"] not in SCHEMAS or not isinstance(fields["config"], dict):
        return  # reported by `curriculum_format.file_faults`
    found = stored.stages.get(stage.id)
    same = found is not None and found.fields["type"] == fields["type"]
    previous = found.fields["config"] if found is not None and same else None
    if previous == fields["config"]:
        return
    try:
        cleaned = clean(fields["type"], fields["config"], previous=previous)
    except ConfigError as error:
        for path, reason in error.faults:
            yield (*stage.path, "config", *path), reason
        return
    fields["config"] = cleaned.config
    stage.losses = cleaned.losses


def _size_faults(spec: NodeSpec, stored: StoredSubject) -> Iterator[Fault]:
    """Yield a fault if the lesson is too large to be saved on its page.

    A stored lesson that is too large already and does not grow is accepted.
    """
    if not spec.stages:
        return
    ids_in_file = {stage.id for stage in spec.stages}
    lesson = stored.nodes.get(spec.id)
    before = stored.stages_of.get(lesson.pk, []) if lesson else []
    others = [stage.fields for stage in before if stage.id not in ids_in_file]
    fields = [stage.fields for stage in spec.stages] + others
    size = _size(fields)
    reason = lesson_size_fault(size)
    if reason and size > _size([stage.fields for stage in before]):
        yield (*spec.path, "stages"), reason


def _item_faults(
    spec: NodeSpec, stored: StoredSubject, named: Set[str]
) -> Iterator[Fault]:
    """Yield a fault for each item that two stages of the lesson would have.

    Args:
        named: the ids of all stages in the file. The stored stages of the lesson that
            it does not name stay behind those that it names.
    """
    if not spec.stages:
        return
    lesson = stored.nodes.get(spec.id)
    before = stored.stages_of.get(lesson.pk, []) if lesson else []
    kept = [stage.fields for stage in before if stage.id not in named]
    fields = [*(stage.fields for stage in spec.stages), *kept]
    # `curriculum_format.file_faults` reports the others.
    if not all(
        isinstance(stage["type"], str) and isinstance(stage["config"], dict)
        for stage in fields
    ):
        return
    titles = [str(stage["title"]) for stage in fields]
    title = str(spec.fields["title"])
    for repeated in repeated_items(
        (stage["type"], stage["config"]) for stage in fields
    ):
        if repeated.second < len(spec.stages):
            path = (*spec.stages[repeated.second].path, "config", *repeated.path)
        else:
            path = (*spec.path, "stages")
        yield path, repeated_item_fault(repeated, lesson=title, stages=titles)


def _size(stages: Iterable[dict[str, Any]]) -> int:
    # `curriculum_format.file_faults` reports the others.
    known = (stage for stage in stages if stage["type"] in SCHEMAS)
    return sum(
        byte_size(stage["config"])
        for stage in known
        if isinstance(stage["config"], dict)
    )
