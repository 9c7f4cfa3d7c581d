"""What the database has against a file: ids of others, configs that cannot be stored.

`content.curriculum_format` has said before what can be said of the file alone.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.utils.translation import gettext as _

from content.curriculum.batches import batches
from content.curriculum.stored import StoredSubject
from content.curriculum_format import NodeSpec, StageSpec
from content.json_faults import Fault
from content.models import LessonStage, Node, NodeKind
from content.stage_configs import ConfigError, clean_config
from content.stage_types import SCHEMAS


def id_faults(specs: Sequence[NodeSpec], stored: StoredSubject) -> Iterator[Fault]:
    """An id is this kind's and this subject's, or nobody's."""
    labels = dict(NodeKind.choices)
    unknown: dict[str, NodeSpec] = {}
    for spec in specs:
        found = stored.nodes.get(spec.id)
        if found is None:
            if spec.id:
                unknown.setdefault(spec.id, spec)
        elif found.kind != spec.kind:
            kind = labels[found.kind]
            yield _at_id(spec, _("is the id of a %(kind)s") % {"kind": kind})
    for batch in batches(list(unknown)):
        elsewhere = Node.objects.filter(public_id__in=batch)
        for node in elsewhere.select_related("subject"):
            yield _at_id(unknown[node.public_id], _taken_by(node, labels))
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
                _("is the id of a stage of the lesson “%(lesson)s” elsewhere")
                % {"lesson": stage.lesson.title},
            )


def _at_id(spec: NodeSpec | StageSpec, reason: str) -> Fault:
    return (*spec.path, "id"), reason


def _taken_by(node: Node, labels: dict[str, Any]) -> str:
    if node.subject is None:
        return _("is the id of the subject “%(title)s”") % {"title": node.title}
    return _("is the id of a %(kind)s in the subject “%(subject)s”") % {
        "kind": labels[node.kind],
        "subject": node.subject.title,
    }


def clean_configs(specs: Sequence[NodeSpec], stored: StoredSubject) -> Iterator[Fault]:
    """Make every stage's config ready to store; what is stored is clean already."""
    for stage in (stage for spec in specs for stage in spec.stages):
        fields = stage.fields
        if fields["type"] not in SCHEMAS or not isinstance(fields["config"], dict):
            continue  # said by `curriculum_format.file_faults`
        found = stored.stages.get(stage.id)
        same = found is not None and found.fields["type"] == fields["type"]
        previous = found.fields["config"] if found is not None and same else None
        if previous == fields["config"]:
            continue
        try:
            fields["config"] = clean_config(
                fields["type"], fields["config"], previous=previous
            )
        except ConfigError as error:
            for path, reason in error.faults:
                yield (*stage.path, "config", *path), reason
