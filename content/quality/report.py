"""The report of one subject: read it, call the rules."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from content import tree_rows
from content.kinds import Kind
from content.models import Node
from content.quality import (
    accessibility,
    completeness,
    duplicates,
    links,
    readability,
)
from content.quality.findings import Finding, Problem, StageContent
from content.queries import load_subject
from content.stage_texts import words_of
from content.tree import ContentNode


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of a subject by kind, each kind in tree order."""

    lessons: int
    stages: int
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[Problem, int]:
        """The number of findings of each kind, in the order of the report."""
        found = Counter(finding.problem for finding in self.findings)
        return {problem: found[problem] for problem in Problem}


def of_subject(subject_pk: int) -> Report:
    """Return the report of a subject with its drafts, without its trash.

    Four queries for any size; three if no link names a node.

    Raises:
        Node.DoesNotExist: no subject has this primary key.
    """
    nodes = list(_untrashed(load_subject(subject_pk)))
    lessons = [node for node in nodes if node.kind is Kind.LESSON]
    stages = [stage for lesson in lessons for stage in _stages_of(lesson)]
    linked = links.read(stages)
    known_ids = _existing(links.node_ids(linked))
    findings = (
        *completeness.empty_lessons(lessons),
        *links.broken_images(nodes),
        *links.broken(linked, known_ids),
        *accessibility.missing_alt(stages),
        *accessibility.missing_captions(stages),
        *accessibility.low_contrast_nodes(nodes),
        *accessibility.low_contrast_drawings(stages),
        *duplicates.find(stages),
        *completeness.missing_explanations(stages),
        *completeness.default_durations(stages),
        *readability.long_sentences(stages),
    )
    return Report(len(lessons), len(stages), findings)


def _untrashed(node: ContentNode) -> Iterator[ContentNode]:
    """Yield the nodes at and below ``node`` without those in the trash."""
    if node.is_trashed:
        return
    yield node
    for child in node.children:
        yield from _untrashed(child)


def _stages_of(lesson: ContentNode) -> Iterator[StageContent]:
    for stage in lesson.stages:
        config = json.loads(stage.config)
        yield StageContent(
            lesson=lesson,
            id=stage.id,
            type=stage.type,
            title=stage.title,
            config=config,
            target_time=stage.target_time,
            lines=words_of(stage.type, config).lines,
        )


def _existing(public_ids: set[str]) -> set[str]:
    """Return those ids that nodes outside of the trash have."""
    if not public_ids:
        return public_ids
    found = Node.objects.filter(tree_rows.outside_trash(), public_id__in=public_ids)
    return set(found.order_by().values_list("public_id", flat=True))
