"""An item id that two stages of a lesson use, where stages are saved one by one."""

import pytest
from django.core.exceptions import ValidationError

from content.models import LessonStage
from content.stage_configs import items_of_lesson, repeated_items
from core.fields import CanonicalJSONEncoder
from tests.factories.content import make_branch, make_stage, quiz

CARDS = {"cards": [{"id": "A", "front": "x", "back": "y"}]}


@pytest.fixture
def lesson(db):
    return make_branch(lessons=2).lessons[0]


def test_items_are_compared_over_all_types_of_stages():
    found = repeated_items(
        [("Quiz", quiz("A", "B")), ("Text", {"body": "x"}), ("Reveal", CARDS)]
    )
    assert [(one.item_id, one.first, one.second, one.path) for one in found] == [
        ("A", 0, 2, ("cards", 0, "id"))
    ]
    assert repeated_items([("Quiz", quiz("A", "B")), ("Quiz", quiz("C"))]) == []


def test_the_items_of_a_lesson_stand_in_order_and_once():
    dumps = CanonicalJSONEncoder().encode
    stages = [
        ("Quiz", dumps(quiz("B", "A"))),
        ("Text", dumps({"body": "x"})),
        ("Reveal", dumps(CARDS)),
    ]
    assert items_of_lesson(stages) == ("B", "A")


def test_a_second_stage_with_the_item_is_refused_and_named(lesson):
    make_stage(lesson, type="Quiz", title="First", config=quiz("A"))
    with pytest.raises(ValidationError) as refused:
        make_stage(lesson, type="Quiz", title="Second", config=quiz("B", "A"))
    (said,) = refused.value.message_dict["config"]
    for name in ("A", "Lesson 1", "First", "Second"):
        assert f"“{name}”" in said or f"item {name} " in said
    assert LessonStage.objects.count() == 1


def test_an_edit_that_takes_another_stages_item_is_refused(lesson):
    make_stage(lesson, type="Quiz", config=quiz("A"))
    stage = make_stage(lesson, type="Quiz", config=quiz("B"))
    stage.config = quiz("A")
    with pytest.raises(ValidationError):
        stage.save(update_fields=["config"])


def test_a_stage_is_not_moved_to_a_lesson_with_its_item(lesson):
    make_stage(lesson, type="Quiz", config=quiz("A"))
    other = lesson.get_next_sibling()
    stage = make_stage(other, type="Quiz", config=quiz("A"))  # another lesson may
    stage.lesson = lesson
    with pytest.raises(ValidationError):
        stage.save()


def test_an_item_may_move_to_another_stage_once_it_left_the_first(lesson):
    first = make_stage(lesson, type="Quiz", config=quiz("A", "B"))
    second = make_stage(lesson, type="Quiz", config=quiz("C"))
    first.config = quiz("B")
    first.save()
    second.config = quiz("C", "A")
    second.save()
    assert LessonStage.objects.count() == 2


def test_a_stage_stored_with_the_fault_can_lose_it(lesson):
    first = make_stage(lesson, type="Quiz", config=quiz("A"))
    second = make_stage(lesson, type="Quiz", config=quiz("B"))
    LessonStage.objects.filter(pk=second.pk).update(config=quiz("A"))
    first.refresh_from_db()
    first.title = "Other"
    first.save(update_fields=["title"])
    second.refresh_from_db()
    second.config = quiz("B")
    second.save()


def test_stages_without_items_cost_no_query_more(lesson, django_assert_num_queries):
    stage = make_stage(lesson)
    other = make_stage(lesson, type="Quiz", config=quiz("A"))
    stage.title = other.title = "Other"
    with django_assert_num_queries(count_of(stage)) as before:
        stage.save()
    # The other stages with items.
    with django_assert_num_queries(len(before.captured_queries) + 1):
        other.save()


def count_of(stage: LessonStage) -> int:
    """The number of queries of saving a stage."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        stage.save()
    return len(captured)
