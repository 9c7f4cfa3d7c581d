"""Copies of a branch get new ids, bits and stages."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from content import services
from content.copying import copy_node
from content.integrity import find_faults
from content.kinds import Kind
from content.models import LessonStage, Node, SubjectState
from core.errors import StructureError
from tests.factories.content import (
    fresh,
    make_branch,
    make_stage,
    move_node,
    titles,
    trash_node,
)

pytestmark = pytest.mark.django_db

QUIZ = {
    "questions": [
        {
            "prompt": "2 + 2?",
            "options": [{"text": "4", "correct": True}, {"text": "5"}],
        }
    ]
}


@pytest.fixture(autouse=True)
def _trees_stay_whole():
    yield
    assert find_faults() == []


def below(node):
    return list(fresh(node).get_descendants().order_by("lft"))


def test_a_copy_stands_after_its_original_as_a_draft_with_all_inside():
    branch = make_branch(lessons=2)
    services.create_node(kind=Kind.UNIT, parent=branch.track, title="Next")
    copied = copy_node(node=branch.unit)
    assert titles(branch.track) == [
        "Mathematics unit",
        "Mathematics unit (copy)",
        "Next",
    ]
    assert not copied.is_published
    inside = [(node.kind, node.title, node.is_published) for node in below(copied)]
    assert inside == [
        ("topic", "Mathematics topic", True),
        ("lesson", "Lesson 1", True),
        ("lesson", "Lesson 2", True),
    ]


def test_copied_lessons_get_fresh_ids_and_the_subjects_next_bits():
    branch = make_branch(lessons=2)
    copied = copy_node(node=branch.topic)
    lessons = below(copied)
    assert [lesson.bit_index for lesson in lessons] == [2, 3]
    assert SubjectState.objects.get().next_bit_index == 4
    assert Node.objects.values("public_id").distinct().count() == Node.objects.count()


def test_copied_stages_are_the_same_with_new_ids_down_to_their_items():
    lesson = make_branch(lessons=1).lessons[0]
    make_stage(lesson)
    quiz = make_stage(lesson, type="Quiz", title="Try", config=QUIZ)
    copied = copy_node(node=lesson)
    first, second = copied.stages.all()
    assert (first.title, second.title) == ("Reading", "Try")
    assert {first.public_id, second.public_id}.isdisjoint(
        lesson.stages.values_list("public_id", flat=True)
    )
    [was], [now] = quiz.config["questions"], second.config["questions"]
    assert now["id"] != was["id"]
    assert {**now, "id": ""} == {**was, "id": ""}
    assert LessonStage.objects.get(pk=quiz.pk).config == quiz.config


def test_a_copy_into_another_subject_keeps_its_title_and_takes_bits_there():
    branch, other = make_branch(lessons=2), make_branch("Physics", lessons=3)
    copied = copy_node(node=branch.topic, parent=other.unit)
    assert titles(other.unit) == ["Physics topic", "Mathematics topic"]
    assert {node.subject_id for node in below(copied)} == {other.subject.pk}
    assert [lesson.bit_index for lesson in below(copied)] == [3, 4]
    assert SubjectState.objects.get(pk=branch.subject.pk).next_bit_index == 2


def test_a_whole_subject_is_copied_as_a_new_one_with_its_head():
    branch = make_branch(lessons=2)
    SubjectState.objects.update(language="ar", license="CC BY")
    copied = copy_node(node=branch.subject)
    state = SubjectState.objects.get(pk=copied.pk)
    assert (state.language, state.license, state.next_bit_index) == ("ar", "CC BY", 2)
    assert [node.kind for node in below(copied)] == [
        "track",
        "unit",
        "topic",
        "lesson",
        "lesson",
    ]
    assert Node.objects.subjects().last() == copied


def test_what_is_in_the_trash_is_not_copied():
    branch = make_branch(lessons=2)
    trash_node(node=branch.lessons[0])
    copied = copy_node(node=branch.unit)
    assert [node.title for node in below(copied)] == ["Mathematics topic", "Lesson 2"]
    trash_node(node=branch.track)
    with pytest.raises(StructureError, match="is in the trash"):
        copy_node(node=branch.unit)


def test_a_copy_goes_where_its_kind_goes_and_nowhere_else():
    branch = make_branch(lessons=1)
    with pytest.raises(StructureError, match="must be inside a topic"):
        copy_node(node=branch.lessons[0], parent=branch.unit)
    assert Node.objects.count() == 5


def test_copying_into_what_is_copied_copies_what_was_there_before():
    branch = make_branch(lessons=1)
    copy_node(node=branch.topic, parent=branch.unit)
    assert titles(branch.unit) == ["Mathematics topic", "Mathematics topic (copy)"]


def test_a_long_title_is_shortened_to_fit():
    branch = make_branch()
    Node.objects.filter(pk=branch.topic.pk).update(title="x" * 255)
    assert len(copy_node(node=branch.topic).title) == 255


def test_a_copy_counts_as_an_edit_of_its_new_subject_only():
    branch, other = make_branch(lessons=1), make_branch("Physics")
    before = dict(SubjectState.objects.values_list("pk", "revision"))
    copy_node(node=branch.topic, parent=other.unit)
    after = dict(SubjectState.objects.values_list("pk", "revision"))
    assert after[branch.subject.pk] == before[branch.subject.pk]
    assert after[other.subject.pk] > before[other.subject.pk]


def test_copying_takes_the_same_queries_however_much_is_copied():
    counts = []
    for lessons in (2, 40):
        branch = make_branch(str(lessons), lessons=lessons)
        for lesson in branch.lessons:
            make_stage(lesson)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            copy_node(node=branch.unit)
        counts.append(len(captured))
    assert counts[0] == counts[1], counts


def test_a_copy_beside_what_is_moved_meanwhile_stands_beside_it_there():
    branch = make_branch("A", lessons=1)
    other = services.create_node(kind=Kind.TOPIC, parent=branch.unit, title="Other")
    stale = Node.objects.select_related("parent").get(pk=branch.lessons[0].pk)
    move_node(node=branch.lessons[0], target=other, position="last-child")
    copied = copy_node(node=stale)
    assert copied.parent_id == other.pk
