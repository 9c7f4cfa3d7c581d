"""A small school: two subjects with a few lessons, and one plan."""

import pytest

from content import services
from content.kinds import Kind
from content.models import LessonStage, Node
from plans.models import AcademicPlan
from plans.services import add_subject


def make_subject(name: str, *, units: int = 2, lessons: int = 2) -> Node:
    """A published subject ``SUBJ-{name}`` with one topic per unit, ids telling places."""
    subject = services.create_node(
        kind=Kind.SUBJECT, title=name, public_id=f"SUBJ-{name}", is_published=True
    )
    track = services.create_node(
        kind=Kind.TRACK,
        parent=subject,
        title="Track",
        public_id=f"TRK-{name}",
        is_published=True,
    )
    for u in range(units):
        unit = services.create_node(
            kind=Kind.UNIT,
            parent=track,
            title=f"Unit {u}",
            public_id=f"UNIT-{name}-{u}",
            is_published=True,
        )
        topic = services.create_node(
            kind=Kind.TOPIC,
            parent=unit,
            title=f"Topic {u}",
            public_id=f"TOP-{name}-{u}",
            is_published=True,
        )
        for n in range(lessons):
            lesson = services.create_node(
                kind=Kind.LESSON,
                parent=topic,
                title=f"Lesson {u}.{n}",
                public_id=f"LES-{name}-{u}-{n}",
                is_published=True,
            )
            LessonStage.objects.create(
                public_id=f"STG-{name}-{u}-{n}",
                lesson=lesson,
                type="Text",
                title="Read",
                config={"format": "markdown", "body": f"اقرأ {u}.{n}"},
            )
    return subject


def node(public_id: str) -> Node:
    return Node.objects.get(public_id=public_id)


@pytest.fixture
def math(db) -> Node:
    return make_subject("MATH")


@pytest.fixture
def plan(math) -> AcademicPlan:
    plan = AcademicPlan.objects.create(
        public_id="PLAN-A", title="Grade 5", is_published=True
    )
    add_subject(plan=plan, subject=math)
    return plan
