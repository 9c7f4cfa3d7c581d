"""The factories insert the rows that the services write."""

from typing import Any

import pytest

from content import services
from content.integrity import find_faults
from content.kinds import Kind
from content.models import LessonStage, Node, SubjectState
from tests.factories.content import NewNode, insert_tree

pytestmark = pytest.mark.django_db

TEXT = {
    "type": "Text",
    "title": "Read",
    "config": {"format": "markdown", "body": "Read."},
}
NOT_COMPARED = {
    "id",
    "public_id",
    "subject_id",
    "parent_id",
    "lesson_id",
    "tree_id",
    "created_at",
    "updated_at",
    "history_id",
    "history_date",
    "change",
    "revision",
    "tree_revision",
    "stages_revision",
}
"""Keys, ids, times, and the numbers of edits: the factories make fewer of them."""


def tree() -> NewNode:
    def lesson(title: str, stage: dict[str, Any] | None = None) -> NewNode:
        return NewNode(Kind.LESSON, title, stage=stage)

    def unit(name: str, *lessons: NewNode) -> NewNode:
        topic = NewNode(Kind.TOPIC, f"{name} topic", children=list(lessons))
        return NewNode(Kind.UNIT, name, children=[topic], is_linear=True)

    first = unit("One", lesson("أوّل", TEXT), lesson("Second"))
    second = unit("Two", lesson("Third", TEXT))
    second.is_published = False
    track = NewNode(Kind.TRACK, "Track", children=[first, second])
    return NewNode(Kind.SUBJECT, "Mathematics", children=[track])


def create(new: NewNode, parent: Node | None = None) -> None:
    """Create the nodes one by one, as an editor does."""
    node = services.create_node(
        kind=new.kind,
        parent=parent,
        title=new.title,
        is_published=new.is_published,
        is_linear=new.is_linear,
    )
    if new.stage is not None:
        LessonStage.objects.create(lesson=node, **new.stage)
    for child in new.children:
        create(child, node)


def rows_of(subject: Node) -> list[list[dict[str, Any]]]:
    """The rows of a subject in its tables and their histories, without their keys."""
    stages = LessonStage.objects.filter(lesson__subject=subject)
    nodes = Node.objects.filter(tree_id=subject.tree_id)
    querysets = [
        nodes.order_by("lft"),
        stages.order_by("lesson__lft"),
        SubjectState.objects.filter(subject=subject),
        Node.history.filter(id__in=nodes.values("pk")).order_by("id"),
        LessonStage.history.filter(id__in=stages.values("pk")).order_by("id"),
    ]
    return [
        [
            {name: value for name, value in row.items() if name not in NOT_COMPARED}
            for row in queryset.values()
        ]
        for queryset in querysets
    ]


def test_an_inserted_tree_has_the_rows_of_one_created_node_by_node():
    create(tree())
    expected = rows_of(Node.objects.get(kind=Kind.SUBJECT))
    rows = insert_tree(tree())
    inserted = next(iter(rows.values()))
    assert rows_of(inserted) == expected
    assert list(rows.values()) == list(inserted.get_descendants(include_self=True))
    assert [len(found) for found in expected] == [9, 2, 1, 9, 2]
    assert find_faults() == []


def test_nodes_can_be_created_beside_inserted_ones():
    inserted = list(insert_tree(tree()).values())
    lesson = services.create_node(kind=Kind.LESSON, parent=inserted[3], title="Fourth")
    assert lesson.bit_index == 3
    other = services.create_node(kind=Kind.SUBJECT, title="Physics")
    assert other.pk > lesson.pk > inserted[-1].pk
    assert find_faults() == []
