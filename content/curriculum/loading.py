"""Load a subject from the database, to export it or to compare it with a file."""

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q

from content.field_lists import NodeFields, StageFields
from content.models import LessonStage, Node, NodeKind
from content.nested_sets import Interval


@dataclass(slots=True)
class StoredNode:
    """A row of a node; ``fields`` holds the columns that a file sets."""

    pk: int
    id: str
    kind: str
    parent: int | None
    place: Interval
    is_trashed: bool
    bit_index: int | None
    fields: dict[str, Any]


@dataclass(slots=True)
class StoredStage:
    """A row of a stage; ``lesson`` is a primary key."""

    pk: int
    id: str
    lesson: int
    position: int
    fields: dict[str, Any]


@dataclass(slots=True)
class StoredSubject:
    """A whole subject: nodes and stages by id, and in order by their parent's key."""

    nodes: dict[str, StoredNode] = field(default_factory=dict)
    stages: dict[str, StoredStage] = field(default_factory=dict)
    children: dict[int, list[int]] = field(default_factory=dict)
    stages_of: dict[int, list[StoredStage]] = field(default_factory=dict)
    tree_id: int = 0

    def by_pk(self) -> dict[int, StoredNode]:
        """The nodes by primary key, in tree order."""
        return {node.pk: node for node in self.nodes.values()}


def load(subject_pk: int) -> StoredSubject:
    """Load everything of one subject, in tree order. Two queries."""
    stored = StoredSubject()
    own = Node.objects.filter(Q(pk=subject_pk) | Q(subject_id=subject_pk))
    for pk, public_id, kind, parent, *rest in own.order_by("lft").values_list(
        *("pk", "public_id", "kind", "parent_id", "lft", "rght", "level"),
        *("tree_id", "trashed_at", "bit_index", *NodeFields.CONTENT),
    ):
        lft, rght, level, tree_id, trashed_at, bit_index, *values = rest
        fields = dict(zip(NodeFields.CONTENT, values, strict=True))
        if kind != NodeKind.LESSON:
            del fields["base_xp"]
        place = Interval(lft, rght, level)
        stored.tree_id = tree_id
        stored.nodes[public_id] = StoredNode(
            pk,
            public_id,
            kind,
            parent,
            place,
            trashed_at is not None,
            bit_index,
            fields,
        )
        if parent is not None:
            stored.children.setdefault(parent, []).append(pk)
    stages = LessonStage.objects.filter(lesson__subject_id=subject_pk)
    for pk, public_id, lesson, position, *values in stages.order_by(
        "lesson_id", "position", "pk"
    ).values_list("pk", "public_id", "lesson_id", "position", *StageFields.CONTENT):
        fields = dict(zip(StageFields.CONTENT, values, strict=True))
        stage = StoredStage(pk, public_id, lesson, position, fields)
        stored.stages[public_id] = stage
        stored.stages_of.setdefault(lesson, []).append(stage)
    return stored
