"""Cards follow the items that are published and the lessons that may be opened."""

from datetime import timedelta

import pytest

from content import services
from content.models import LessonStage, Node
from plans.services import add_subject, set_override
from players.models import Enrollment, Entitlement, PlayerProfile
from players.services import access
from progress.errors import ItemNotMetError
from progress.models import InteractionLog, ReviewCard, ReviewWatermark
from progress.services import review_queries, reviews
from tests.progress.conftest import MONDAY, asking, make_subject, publish

pytestmark = pytest.mark.django_db


def node(public_id: str) -> Node:
    return Node.objects.get(public_id=public_id)


def stage_of(place: str) -> LessonStage:
    return LessonStage.objects.get(public_id=f"STG-MATH-{place}")


def replace_question(place: str, item_id: str) -> None:
    """Replace the second question of a lesson by another one."""
    stage = stage_of(place)
    stage.config["questions"][1]["id"] = item_id
    stage.save()


def card(item_id: str) -> ReviewCard:
    return ReviewCard.objects.get(item_id=item_id)


def memory(item_id: str) -> tuple:
    found = card(item_id)
    return found.pk, found.state, found.due_at, found.last_reviewed_at, found.met_at


def test_a_replaced_question_is_not_due_and_the_new_one_is(plan, finish, due, rate):
    finish("0-0")
    rate(("Q2-MATH-0-0", 1))
    replace_question("0-0", "NEW")
    publish(plan)
    assert due(day=1) == ["Q1-MATH-0-0", "NEW"]
    assert card("NEW").met_at == MONDAY
    assert not card("Q2-MATH-0-0").is_active


def test_a_question_that_comes_back_has_its_memory(plan, finish, due, rate):
    finish("0-0")
    rate(("Q2-MATH-0-0", 3))
    before = memory("Q2-MATH-0-0")
    replace_question("0-0", "NEW")
    publish(plan)
    due()
    replace_question("0-0", "Q2-MATH-0-0")
    publish(plan)
    assert due(day=1) == ["Q1-MATH-0-0", "Q2-MATH-0-0"]
    assert memory("Q2-MATH-0-0") == before
    assert not card("NEW").is_active


def test_an_edit_that_changes_no_items_is_not_followed(
    plan, student, finish, due, django_assert_num_queries
):
    finish("0-0")
    due()
    stage = stage_of("0-0")
    stage.config["questions"][0]["prompt"] = "2 + 2?"
    stage.save()
    publish(plan)
    access.of_player(student.pk)
    # The watermark with the end of the ledger and the due cards.
    with django_assert_num_queries(1):
        due()


def test_a_lesson_that_lost_all_its_items_is_not_due(plan, student, finish, due):
    finish("0-0")
    assert len(due()) == 2
    stage_of("0-0").delete()
    publish(plan)
    assert due() == []
    assert reviews.overview(player_id=student.pk, now=MONDAY).total == 0


def test_cards_of_a_deleted_lesson_rest_until_it_comes_back(plan, finish, due, rate):
    finish("0-0")
    finish("0-1")
    rate(("Q1-MATH-0-0", 3))
    before = memory("Q1-MATH-0-0")
    services.trash_nodes(nodes=[node("LES-MATH-0-0")])
    publish(plan)
    assert due(day=1) == ["Q1-MATH-0-1", "Q2-MATH-0-1"]
    services.restore_nodes(nodes=[node("LES-MATH-0-0")])
    publish(plan)
    assert len(due(day=1)) == 4
    assert memory("Q1-MATH-0-0") == before


def test_a_lesson_moved_to_another_subject_takes_its_cards_along(
    plan, student, finish, due, rate
):
    finish("0-0")
    rate(("Q1-MATH-0-0", 3))
    before = memory("Q1-MATH-0-0")
    add_subject(plan=plan, subject=make_subject("LANG", units=1, lessons=1))
    services.move_nodes(
        nodes=[node("LES-MATH-0-0")],
        target=node("TOP-LANG-0"),
        position="last-child",
    )
    publish(plan)
    assert due(day=1, subject="SUBJ-MATH") == []
    assert due(day=1, subject="SUBJ-LANG") == ["Q2-MATH-0-0", "Q1-MATH-0-0"]
    assert memory("Q1-MATH-0-0") == before
    assert [
        (found.subject_id, found.total)
        for found in reviews.overview(player_id=student.pk, now=MONDAY).subjects
    ] == [("SUBJ-MATH", 0), ("SUBJ-LANG", 2)]


def test_a_stage_moved_to_a_completed_lesson_keeps_the_memory_of_its_items(
    plan, finish, due, rate
):
    finish("0-0")
    finish("0-1")
    rate(("Q1-MATH-0-0", 3))
    before = memory("Q1-MATH-0-0")
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(
        lesson=node("LES-MATH-0-1")
    )
    publish(plan)
    assert len(due(day=1)) == 4
    assert memory("Q1-MATH-0-0") == before
    assert card("Q1-MATH-0-0").lesson_id == "LES-MATH-0-1"
    # An app with the older release still names the lesson that it was met in.
    assert rate(("Q1-MATH-0-0", 4), day=2).reviews[0].lesson_id == "LES-MATH-0-0"
    assert card("Q1-MATH-0-0").last_reviewed_at == MONDAY + timedelta(days=2)
    assert ReviewCard.objects.count() == 4


def test_a_stage_moved_to_a_lesson_not_yet_completed_waits_for_it(
    plan, finish, due, rate
):
    finish("0-0")
    rate(("Q1-MATH-0-0", 3))
    before = memory("Q1-MATH-0-0")
    LessonStage.objects.filter(public_id="STG-MATH-0-0").update(
        lesson=node("LES-MATH-0-1")
    )
    publish(plan)
    assert due(day=1) == []
    finish("0-1", day=1)
    assert len(due(day=1)) == 4
    assert memory("Q1-MATH-0-0") == before


def test_an_id_used_in_several_lessons_names_several_items(plan, finish, due, rate):
    for place in ("0-0", "0-1", "1-0"):
        stage = stage_of(place)
        stage.config["questions"] = asking("ANY")["config"]["questions"]
        stage.save()
    publish(plan)
    finish("0-0")
    finish("0-1")
    assert due() == ["Q1-ANY", "Q2-ANY"] * 2
    stage_of("0-0").delete()
    publish(plan)
    finish("1-0", day=1)
    assert len(due(day=1)) == 4
    found = ReviewCard.objects.filter(item_id="Q1-ANY").order_by("pk")
    assert list(found.values_list("lesson_id", "is_active")) == [
        ("LES-MATH-0-0", False),
        ("LES-MATH-0-1", True),
        ("LES-MATH-1-0", True),
    ]


def test_an_item_is_not_met_in_a_lesson_that_was_not_completed(finish, rate, student):
    finish("0-0")
    with pytest.raises(ItemNotMetError):
        reviews.submit(
            player_id=student.pk,
            ratings=[reviews.Rating("Q1-MATH-0-0", "LES-MATH-0-1", 3)],
            idempotency_key=None,
            now=MONDAY,
        )


def test_an_entitlement_that_ends_takes_its_items_away_at_once(
    plan, student, finish, due
):
    finish("0-0")
    set_override(
        plan=plan,
        target=node("LES-MATH-0-0"),
        action="set_sold_separately",
        value="ITEM-1",
    )
    publish(plan)
    Entitlement.objects.create(
        player=student, item="ITEM-1", valid_until=MONDAY + timedelta(days=2)
    )
    assert len(due(day=1)) == 2
    assert due(day=3) == []
    assert len(due(day=1)) == 2


def test_another_plan_has_its_own_items(plan, student, finish, due):
    finish("0-0")
    assert len(due()) == 2
    other = type(plan).objects.create(
        public_id="PLAN-B", title="Grade 6", is_published=True
    )
    add_subject(plan=other, subject=make_subject("LANG", units=1, lessons=1))
    publish(other)
    Enrollment.objects.create(player=student, plan=other)
    PlayerProfile.objects.filter(pk=student.pk).update(active_plan=other)
    assert due() == []
    PlayerProfile.objects.filter(pk=student.pk).update(active_plan=plan)
    assert len(due()) == 2


def test_a_watermark_that_others_move_meanwhile_is_not_moved_again(
    plan, student, finish, due, monkeypatch
):
    """As by another process that has read a newer release a moment ago."""
    finish("0-0")
    due()
    stage_of("0-1").delete()
    publish(plan)
    due()
    finish("0-1")
    version = ReviewWatermark.objects.get().items_version
    move = review_queries.move_watermark

    def move_after_others(player_id, mark):
        ReviewWatermark.objects.update(ledger_position=2, items_version="other")
        ReviewCard.objects.update(is_active=False)
        return move(player_id, mark)

    monkeypatch.setattr(review_queries, "move_watermark", move_after_others)
    assert due() == ["Q1-MATH-0-0", "Q2-MATH-0-0"]
    mark = ReviewWatermark.objects.get()
    assert (mark.ledger_position, mark.items_version) == (2, version)


def test_a_completion_is_not_overlooked_after_the_ledger_lost_rows(
    student, finish, due
):
    """A database restored from a backup has fewer rows than the watermark says."""
    finish("0-0")
    due()
    ReviewWatermark.objects.update(ledger_position=10**6)
    finish("0-1")
    assert len(due()) == 4
    assert ReviewWatermark.objects.get().ledger_position < 10**6
    assert InteractionLog.objects.count() == 2
