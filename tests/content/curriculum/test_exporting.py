"""Export of a subject; importing the file again changes nothing."""

import json

import pytest

from content import services
from content.curriculum import (
    Counts,
    SubjectNotFoundError,
    export_curriculum,
    import_curriculum,
)
from content.models import LessonStage, Node, SubjectState
from tests.factories.content import make_branch, make_stage, trash_node

pytestmark = pytest.mark.django_db

QUIZ = {
    "questions": [
        {
            "prompt": "2 < 3?",
            "options": [{"text": "yes", "correct": True}, {"text": "no"}],
        }
    ]
}


@pytest.fixture
def branch():
    made = make_branch("الرياضيات", lessons=3)
    make_stage(made.lessons[0])
    make_stage(made.lessons[0], type="Quiz", config=QUIZ, weight=3, is_skippable=True)
    Node.objects.filter(pk=made.lessons[1].pk).update(
        is_free_preview=True, base_xp=0, description="وصف"
    )
    Node.objects.filter(pk=made.unit.pk).update(
        is_published=False, required_item="ITEM", color_code="#aBc123", is_linear=True
    )
    return made


def exported(branch):
    return json.loads(export_curriculum(branch.subject.public_id))


def test_importing_an_export_changes_nothing(branch):
    data = export_curriculum(branch.subject.public_id)
    revision = SubjectState.objects.get().revision
    report = import_curriculum(data)
    assert report.nodes == Counts(unchanged=7)
    assert report.stages == Counts(unchanged=2)
    assert SubjectState.objects.get().revision == revision
    assert export_curriculum(branch.subject.public_id) == data


def test_an_export_makes_the_same_subject_elsewhere(branch):
    data = export_curriculum(branch.subject.public_id)
    services.delete_node(node=branch.subject)
    import_curriculum(data)
    assert export_curriculum(branch.subject.public_id) == data


def test_an_export_is_readable_utf_8(branch):
    data = export_curriculum(branch.subject.public_id)
    assert "الرياضيات".encode() in data
    assert data.endswith(b"}\n")


def test_an_export_names_ids_and_bits_and_only_what_differs_from_the_default(branch):
    unit = exported(branch)["subject"]["tracks"][0]["units"][0]
    assert {key: value for key, value in unit.items() if key != "topics"} == {
        "id": branch.unit.public_id,
        "title": branch.unit.title,
        "color_code": "#aBc123",
        "is_published": False,
        "is_linear": True,
        "required_item": "ITEM",
    }
    assert unit["topics"][0]["lessons"][1] == {
        "id": branch.lessons[1].public_id,
        "title": "Lesson 2",
        "description": "وصف",
        "is_published": True,
        "is_free_preview": True,
        "base_xp": 0,
        "bit_index": 1,
        "stages": [],
    }


def test_what_lies_in_the_trash_is_left_out_with_all_it_holds(branch):
    trash_node(node=branch.topic)
    assert exported(branch)["subject"]["tracks"][0]["units"][0]["topics"] == []


def test_a_subject_in_the_trash_is_not_exported(branch):
    trash_node(node=branch.subject)
    with pytest.raises(SubjectNotFoundError, match="in the trash"):
        export_curriculum(branch.subject.public_id)


@pytest.mark.parametrize("which", ["unit", "nothing"])
def test_only_subjects_are_exported(branch, which):
    public_id = branch.unit.public_id if which == "unit" else "SUBJ-NONE"
    with pytest.raises(SubjectNotFoundError, match="There is no subject"):
        export_curriculum(public_id)


def test_an_export_takes_four_queries_whatever_the_size(
    branch, django_assert_num_queries
):
    for lesson in branch.lessons:
        make_stage(lesson)
    # the subject; its nodes; its stages; its state
    with django_assert_num_queries(4):
        export_curriculum(branch.subject.public_id)


def test_stages_stand_in_their_lesson_s_order(branch):
    first, second = LessonStage.objects.order_by("position")
    LessonStage.objects.filter(pk=first.pk).update(position=9)
    lesson = exported(branch)["subject"]["tracks"][0]["units"][0]["topics"][0][
        "lessons"
    ][0]
    assert [s["id"] for s in lesson["stages"]] == [second.public_id, first.public_id]
