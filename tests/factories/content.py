"""Test content, made through the services, as editors make it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count as numbers_from
from typing import Any

from django.db import models
from django.db.models import Max

from content import services
from content.kinds import Kind
from content.models import LessonStage, Node, SubjectState
from content.nested_sets import compute_intervals
from content.services import Position


@dataclass
class Branch:
    """A subject, track, unit and topic, with lessons."""

    subject: Node
    track: Node
    unit: Node
    topic: Node
    lessons: list[Node]


def make_branch(
    title: str = "Mathematics", *, lessons: int = 0, is_published: bool = True
) -> Branch:
    """Create a subject, track, unit and topic with lessons “Lesson 1”, “Lesson 2”, …"""

    def make(kind: Kind, parent: Node | None, name: str) -> Node:
        return services.create_node(
            kind=kind, parent=parent, title=name, is_published=is_published
        )

    subject = make(Kind.SUBJECT, None, title)
    track = make(Kind.TRACK, subject, f"{title} track")
    unit = make(Kind.UNIT, track, f"{title} unit")
    topic = make(Kind.TOPIC, unit, f"{title} topic")
    made = [make(Kind.LESSON, topic, f"Lesson {n}") for n in range(1, lessons + 1)]
    return Branch(subject, track, unit, topic, made)


_PREFIX = {
    Kind.SUBJECT: "SUBJ",
    Kind.TRACK: "TRK",
    Kind.UNIT: "UNIT",
    Kind.TOPIC: "TOP",
    Kind.LESSON: "LES",
}


def reading(place: str) -> dict[str, Any]:
    """The stage of the lesson at ``place``, as ``MATH-0-1``: a text that names it."""
    _name, unit, number = place.rsplit("-", 2)
    body = f"اقرأ {unit}.{number}"
    return {
        "type": "Text",
        "title": "Read",
        "config": {"format": "markdown", "body": body},
    }


def quiz(*item_ids: str) -> dict[str, Any]:
    """The config of a quiz with one question of each id."""
    return {
        "questions": [
            {
                "id": item_id,
                "prompt": "1 + 1?",
                "options": [{"text": "2", "correct": True}, {"text": "3"}],
            }
            for item_id in item_ids
        ]
    }


def make_subject(
    name: str,
    *,
    units: int = 2,
    lessons: int | Sequence[int] = 2,
    is_linear: bool = False,
    stage: Callable[[str], dict[str, Any]] = reading,
) -> Node:
    """Create a published subject with one topic per unit; its ids name the places.

    ``SUBJ-{name}``, ``UNIT-{name}-{unit}``, ``LES-{name}-{unit}-{lesson}``, counted
    from 0. ``lessons`` is the number in each unit, or one number per unit; ``stage``
    is the one stage of every lesson. ``is_linear`` makes all containers linear.
    """

    def make(kind: Kind, parent: Node | None, title: str, place: str) -> Node:
        return services.create_node(
            kind=kind,
            parent=parent,
            title=title,
            public_id=f"{_PREFIX[kind]}-{place}",
            is_published=True,
            is_linear=is_linear and kind is not Kind.LESSON,
        )

    counts = [lessons] * units if isinstance(lessons, int) else lessons
    subject = make(Kind.SUBJECT, None, name, name)
    track = make(Kind.TRACK, subject, "Track", name)
    for u, count in enumerate(counts):
        unit = make(Kind.UNIT, track, f"Unit {u}", f"{name}-{u}")
        topic = make(Kind.TOPIC, unit, f"Topic {u}", f"{name}-{u}")
        for n in range(count):
            place = f"{name}-{u}-{n}"
            lesson = make(Kind.LESSON, topic, f"Lesson {u}.{n}", place)
            LessonStage.objects.create(
                public_id=f"STG-{place}", lesson=lesson, **stage(place)
            )
    return subject


def make_stage(lesson: Node, **fields: Any) -> LessonStage:
    """Create a stage in ``lesson``; a short text unless ``type`` is given."""
    values = {
        "type": "Text",
        "title": "Reading",
        "config": {"format": "markdown", "body": "Some words."},
        "position": LessonStage.objects.filter(lesson=lesson).count(),
        **fields,
    }
    stage = LessonStage(lesson=lesson, **values)
    stage.full_clean()
    stage.save()
    return stage


def move_node(*, node: Node, target: Node, position: Position) -> Node:
    """Move one node and return it, read again."""
    [moved] = services.move_nodes(nodes=[node], target=target, position=position)
    return moved


def trash_node(*, node: Node) -> Node:
    """Move one node to the trash and return it, read again."""
    services.trash_nodes(nodes=[node])
    return fresh(node)


def restore_node(*, node: Node) -> Node:
    """Restore one node from the trash and return it, read again."""
    services.restore_nodes(nodes=[node])
    return fresh(node)


def fresh(node: Node) -> Node:
    """The node, read again from the database."""
    return Node.objects.get(pk=node.pk)


def titles(parent: Node) -> list[str]:
    """The titles of ``parent``'s children, in order."""
    return [child.title for child in fresh(parent).get_children()]


def plant(*names: str, lessons: int = 2) -> None:
    """Create published subjects of two topics, each lesson with a stage.

    The ids name the places. Rows are created in bulk: the number of queries does not
    depend on the number of lessons.
    """
    pks = numbers_from((Node.objects.aggregate(last=Max("pk"))["last"] or 0) + 1)
    rows: list[Node] = []
    for name in names:
        subject = next(pks)
        ids = {subject: f"SUBJ-{name}"}
        track = next(pks)
        children = {subject: [track], track: []}
        ids[track] = f"TRK-{name}"
        for u in range(2):
            unit, topic = next(pks), next(pks)
            below = [next(pks) for _ in range(lessons)]
            children |= {unit: [topic], topic: below}
            children[track].append(unit)
            ids |= {unit: f"UNIT-{name}-{u}", topic: f"TOP-{name}-{u}"}
            ids |= {pk: f"LES-{name}-{u}-{n}" for n, pk in enumerate(below)}
        parents = {pk: parent for parent, found in children.items() for pk in found}
        bits = numbers_from()
        for pk, place in compute_intervals(subject, children).items():
            kind = list(Kind)[place.level]
            rows.append(
                Node(
                    pk=pk,
                    public_id=ids[pk],
                    kind=kind.value,
                    parent_id=parents.get(pk),
                    subject_id=None if kind is Kind.SUBJECT else subject,
                    title=ids[pk],
                    is_published=True,
                    bit_index=next(bits) if kind is Kind.LESSON else None,
                    tree_id=subject,
                    **place._asdict(),
                )
            )
    models.QuerySet(Node).bulk_create(rows)
    SubjectState.objects.bulk_create(
        SubjectState(subject_id=row.pk, next_bit_index=2 * lessons)
        for row in rows
        if row.kind == Kind.SUBJECT
    )
    models.QuerySet(LessonStage).bulk_create(
        LessonStage(
            public_id=row.public_id.replace("LES", "STG"),
            lesson_id=row.pk,
            type="Text",
            title="Read",
            config={"format": "markdown", "body": "Words."},
        )
        for row in rows
        if row.kind == Kind.LESSON
    )
