"""Structure changes: where things may lie, and the bits they keep."""

import pytest

from content import services
from content.errors import StructureError
from content.kinds import Kind
from content.models import Node

pytestmark = pytest.mark.django_db


def make_branch(title="Mathematics"):
    subject = services.create_node(kind=Kind.SUBJECT, title=title)
    track = services.create_node(kind=Kind.TRACK, parent=subject, title="Track")
    unit = services.create_node(kind=Kind.UNIT, parent=track, title="Unit")
    topic = services.create_node(kind=Kind.TOPIC, parent=unit, title="Topic")
    return subject, track, unit, topic


def test_lessons_get_the_subjects_next_bits():
    *_, topic = make_branch()
    lessons = [
        services.create_node(kind=Kind.LESSON, parent=topic, title=f"L{n}")
        for n in range(3)
    ]
    assert [lesson.bit_index for lesson in lessons] == [0, 1, 2]


def test_a_unit_does_not_go_inside_a_topic():
    *_, topic = make_branch()
    with pytest.raises(StructureError, match="goes inside a track"):
        services.create_node(kind=Kind.UNIT, parent=topic, title="Unit")


def test_moving_a_lesson_to_another_subject_gives_it_a_bit_there():
    *_, topic = make_branch()
    other, *_, other_topic = make_branch("Physics")
    services.create_node(kind=Kind.LESSON, parent=other_topic, title="there")
    lesson = services.create_node(kind=Kind.LESSON, parent=topic, title="here")
    moved = services.move_node(node=lesson, target=other_topic, position="last-child")
    moved = Node.objects.get(pk=moved.pk)
    assert (moved.subject_id, moved.bit_index) == (other.pk, 1)
