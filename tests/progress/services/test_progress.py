"""A student's view of a subject."""

import pytest

from content import services
from content.kinds import Kind
from content.models import Node
from plans.services import add_subject, set_override
from progress.errors import InvalidSubjectError
from progress.services import progress
from tests.progress.conftest import make_subject, publish

pytestmark = pytest.mark.django_db


@pytest.fixture
def shown(student):
    return lambda: progress.of_subject(player_id=student.pk, subject_id="SUBJ-MATH")


def statuses(node: dict) -> dict[str, str]:
    found = {node["id"]: node["status"]}
    for child in node["children"]:
        found |= statuses(child)
    return found


def sums(answer: dict) -> tuple:
    return (
        answer["passed_lessons"],
        answer["total_lessons"],
        answer["completion_percentage"],
        answer["total_xp_earned"],
        answer["suggested_next_lesson_id"],
    )


def test_a_new_student_sees_the_first_lesson_open(shown):
    answer = shown()
    assert sums(answer) == (0, 4, 0.0, 0, "LES-MATH-0-0")
    assert answer["subject_id"] == answer["root"]["id"] == "SUBJ-MATH"
    assert statuses(answer["root"]) == {
        "SUBJ-MATH": "unlocked",
        "TRK-MATH": "unlocked",
        "UNIT-MATH-0": "unlocked",
        "TOP-MATH-0": "unlocked",
        "LES-MATH-0-0": "unlocked",
        "LES-MATH-0-1": "locked",
        "UNIT-MATH-1": "locked",
        "TOP-MATH-1": "locked",
        "LES-MATH-1-0": "locked",
        "LES-MATH-1-1": "locked",
    }


def test_every_node_has_the_same_keys_and_lessons_their_bit_and_hearts(shown, finish):
    finish("0-0", 3)
    track = shown()["root"]["children"][0]
    assert track["type"] == "track"
    assert (track["bit_index"], track["best_hearts"]) == (None, None)
    topic = track["children"][0]["children"][0]
    assert topic["children"] == [
        {
            "id": "LES-MATH-0-0",
            "type": "lesson",
            "status": "passed",
            "bit_index": 0,
            "best_hearts": 3,
            "children": [],
        },
        {
            "id": "LES-MATH-0-1",
            "type": "lesson",
            "status": "unlocked",
            "bit_index": 1,
            "best_hearts": 0,
            "children": [],
        },
    ]


def test_a_finished_subject_is_at_100_and_suggests_nothing(shown, finish):
    xp = sum(finish(place).xp_earned for place in ("0-0", "0-1", "1-0", "1-1"))
    assert sums(shown()) == (4, 4, 100.0, xp, None)
    assert set(statuses(shown()["root"]).values()) == {"passed"}


def test_hidden_and_unpublished_lessons_count_nowhere(plan, shown, finish):
    finish("0-0")
    finish("0-1")
    set_override(
        plan=plan, target=Node.objects.get(public_id="UNIT-MATH-0"), action="hide"
    )
    publish(plan)
    assert sums(shown())[:3] == (0, 2, 0.0)
    lesson = Node.objects.get(public_id="LES-MATH-1-1")
    lesson.is_published = False
    lesson.save()
    publish(plan)
    finish("1-0")
    assert sums(shown())[:3] == (1, 1, 100.0)


def test_a_deleted_lesson_leaves_the_others_on_their_bits(plan, shown, finish):
    finish("0-0")
    finish("0-1")
    services.delete_node(node=Node.objects.get(public_id="LES-MATH-0-0"))
    added = services.create_node(
        kind=Kind.LESSON,
        parent=Node.objects.get(public_id="TOP-MATH-0"),
        title="New",
        public_id="LES-NEW",
        is_published=True,
    )
    publish(plan)
    assert added.bit_index == 4
    assert sums(shown())[:3] == (1, 4, 25.0)
    assert shown()["suggested_next_lesson_id"] == "LES-NEW"


def test_an_empty_subject_is_open_and_not_passed(plan, student):
    add_subject(plan=plan, subject=make_subject("EMPTY", units=0))
    publish(plan)
    answer = progress.of_subject(player_id=student.pk, subject_id="SUBJ-EMPTY")
    assert sums(answer) == (0, 0, 0.0, 0, None)
    assert answer["root"]["status"] == "unlocked"


def test_a_subject_outside_the_plan_is_refused(student):
    make_subject("OTHER")
    with pytest.raises(InvalidSubjectError):
        progress.of_subject(player_id=student.pk, subject_id="SUBJ-OTHER")


def test_progress_is_two_round_trips_and_no_query(
    shown, finish, count_redis, django_assert_num_queries
):
    finish("0-0")
    shown()
    count_redis.clear()
    with django_assert_num_queries(0):
        shown()
    assert len(count_redis) == 2  # plans and products; the three projections
