"""Content for tests, made the way editors make it: through the services."""

from dataclasses import dataclass
from typing import Any

from content import services
from content.kinds import Kind
from content.models import LessonStage, Node


@dataclass
class Branch:
    """One of each kind, with as many lessons as were asked for."""

    subject: Node
    track: Node
    unit: Node
    topic: Node
    lessons: list[Node]


def make_branch(
    title: str = "Mathematics", *, lessons: int = 0, is_published: bool = True
) -> Branch:
    """A subject with one track, unit and topic; ``lessons`` titled “Lesson 1” on."""

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


def make_stage(lesson: Node, **fields: Any) -> LessonStage:
    """A stage in ``lesson``; a short text unless ``type`` and ``config`` say else."""
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


def fresh(node: Node) -> Node:
    """The node as the database has it now."""
    return Node.objects.get(pk=node.pk)


def titles(parent: Node) -> list[str]:
    """The titles of ``parent``'s children, in order."""
    return [child.title for child in fresh(parent).get_children()]
