"""Test content: the rows that the services write, inserted in bulk where possible."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count as numbers_from
from typing import Any

from django.db import models
from django.db.models import Max

from content import kinds, services
from content.kinds import Kind
from content.models import LessonStage, Node, SubjectState
from content.nested_sets import compute_intervals
from content.services import Position
from content.stage_configs import clean_config


@dataclass(eq=False)
class NewNode:
    """A node to insert, with everything below it; a lesson may have one stage."""

    kind: Kind
    title: str
    public_id: str = ""
    children: list["NewNode"] = field(default_factory=list)
    stage: dict[str, Any] | None = None
    is_published: bool = True
    is_linear: bool = False

    def walk(self) -> Iterator["NewNode"]:
        """The node and all nodes below it, in tree order."""
        yield self
        for child in self.children:
            yield from child.walk()


def insert_tree(root: NewNode) -> dict[NewNode, Node]:
    """Create a subject and all nodes below it; return the rows in tree order.

    The nodes below and the stages take one insert each, with their history:
    `content.services.create_node` would need some twenty statements per node. The keys
    are computed here, so no other thread may create nodes at the same time.
    """

    def own_fields(new: NewNode) -> dict[str, Any]:
        return {
            "public_id": new.public_id or kinds.new_node_id(new.kind),
            "title": new.title,
            "is_published": new.is_published,
            "is_linear": new.is_linear,
        }

    subject = services.create_node(kind=root.kind, **own_fields(root))
    news = list(root.walk())
    # The subject has the newest key, so no node ever had one of the keys after it.
    pks = {new: subject.pk + at for at, new in enumerate(news)}
    parents = {child: pks[new] for new in news for child in new.children}
    places = compute_intervals(root, {new: new.children for new in news})
    bits = numbers_from()
    rows = [
        Node(
            pk=pks[new],
            kind=new.kind.value,
            parent_id=parents[new],
            subject=subject,
            tree_id=subject.tree_id,
            bit_index=next(bits) if new.kind is Kind.LESSON else None,
            **places[new]._asdict(),
            **own_fields(new),
        )
        for new in news[1:]
    ]
    Node.objects.bulk_create(rows)
    # These two are not edits.
    models.QuerySet(Node).filter(pk=subject.pk).update(rght=places[root].rght)
    SubjectState.objects.filter(pk=subject.pk).update(next_bit_index=next(bits))
    stages = [
        LessonStage(lesson_id=pks[new], **new.stage)
        for new in news
        if new.stage is not None
    ]
    for stage in stages:
        stage.config = clean_config(stage.type, stage.config)
    if stages:
        LessonStage.objects.bulk_create(stages)
    return dict(zip(news, [fresh(subject), *rows], strict=True))


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

    def new(kind: Kind, name: str, *below: NewNode) -> NewNode:
        return NewNode(kind, name, children=list(below), is_published=is_published)

    leaves = [new(Kind.LESSON, f"Lesson {n}") for n in range(1, lessons + 1)]
    inner = new(Kind.TOPIC, f"{title} topic", *leaves)
    inner = new(Kind.UNIT, f"{title} unit", inner)
    inner = new(Kind.TRACK, f"{title} track", inner)
    subject, track, unit, topic, *made = insert_tree(
        new(Kind.SUBJECT, title, inner)
    ).values()
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

    def new(
        kind: Kind, title: str, place: str, *below: NewNode, **more: Any
    ) -> NewNode:
        return NewNode(kind, title, f"{_PREFIX[kind]}-{place}", list(below), **more)

    def container(*args: Any) -> NewNode:
        return new(*args, is_linear=is_linear)

    def lesson(u: int, n: int) -> NewNode:
        place = f"{name}-{u}-{n}"
        only = {"public_id": f"STG-{place}", **stage(place)}
        return new(Kind.LESSON, f"Lesson {u}.{n}", place, stage=only)

    counts = [lessons] * units if isinstance(lessons, int) else lessons
    made = [
        container(
            Kind.UNIT,
            f"Unit {u}",
            f"{name}-{u}",
            container(
                Kind.TOPIC,
                f"Topic {u}",
                f"{name}-{u}",
                *(lesson(u, n) for n in range(count)),
            ),
        )
        for u, count in enumerate(counts)
    ]
    track = container(Kind.TRACK, "Track", name, *made)
    root = container(Kind.SUBJECT, name, name, track)
    return insert_tree(root)[root]


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
