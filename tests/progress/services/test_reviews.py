"""Completions create cards; answers reschedule them."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from content.models import LessonStage, Node
from core.idempotency import IdempotencyConflictError
from core.parsing import time_text
from plans.services import set_override
from players.models import Entitlement
from players.services import wallet
from progress import scheduler
from progress.errors import ItemNotMetError
from progress.models import InteractionLog, ReviewCard, ReviewRating
from progress.services import reviews
from progress.services.reviews import Rating
from tests.progress.conftest import MONDAY, publish

pytestmark = pytest.mark.django_db


def test_nothing_is_due_before_a_lesson_is_completed(student, due):
    assert due() == []
    assert asdict(reviews.overview(player_id=student.pk, now=MONDAY)) == {
        "total": 0,
        "due": 0,
        "next_due_at": None,
        "due_today": 0,
        "new": 0,
        "leeches": 0,
        "subjects": [
            {
                "subject_id": "SUBJ-MATH",
                "total": 0,
                "due": 0,
                "next_due_at": None,
                "due_today": 0,
                "new": 0,
                "leeches": 0,
            }
        ],
    }


def test_a_first_completion_makes_a_card_of_each_item(finish, due):
    finish("0-0")
    assert due() == ["Q1-MATH-0-0", "Q2-MATH-0-0"]
    finish("0-0")
    finish("0-1")
    assert len(due()) == 4 == ReviewCard.objects.count()
    assert due(limit=3) == ["Q1-MATH-0-0", "Q2-MATH-0-0", "Q1-MATH-0-1"]


def test_a_failed_attempt_meets_nothing(student, finish, due):
    with pytest.raises(Exception, match="hearts"):
        finish("0-0", 0)
    assert due() == []


def test_cards_are_of_the_items_published_when_they_are_asked_for(plan, finish, due):
    stage = LessonStage.objects.get(public_id="STG-MATH-0-0")
    stage.config["questions"].pop()
    stage.save()
    publish(plan)
    finish("0-0")
    assert due() == ["Q1-MATH-0-0"]


def test_a_good_answer_sends_an_item_away_and_a_bad_one_brings_it_back(
    finish, due, rate
):
    finish("0-0")
    answer = rate(("Q1-MATH-0-0", 4), ("Q2-MATH-0-0", 1))
    assert answer.accepted == 2
    assert due(day=1) == ["Q2-MATH-0-0"]
    assert set(due(day=30)) == {"Q1-MATH-0-0", "Q2-MATH-0-0"}


def test_an_item_rated_twice_in_a_batch_is_reviewed_twice(finish, rate):
    finish("0-0")
    answer = rate(("Q1-MATH-0-0", 1), ("Q1-MATH-0-0", 4))
    assert (answer.accepted, len(answer.reviews)) == (2, 1)
    assert list(
        ReviewRating.objects.order_by("position").values_list("position", "rating")
    ) == [(1, 1), (2, 4)]
    # The completion, and the XP of the session.
    assert InteractionLog.objects.count() == 2


def test_a_clock_that_runs_ahead_does_not_review_in_the_future(finish, rate):
    finish("0-0")
    rate(("Q1-MATH-0-0", 3), at=MONDAY + timedelta(days=400))
    card = ReviewCard.objects.get(item_id="Q1-MATH-0-0")
    assert card.last_reviewed_at == MONDAY


def test_a_repeated_batch_changes_nothing(finish, rate):
    finish("0-0")
    first = rate(("Q1-MATH-0-0", 3), key="one")
    before = list(ReviewCard.objects.order_by("pk").values())
    assert rate(("Q1-MATH-0-0", 3), day=2, key="one") == first
    assert list(ReviewCard.objects.order_by("pk").values()) == before
    with pytest.raises(IdempotencyConflictError):
        rate(("Q1-MATH-0-0", 4), key="one")


def test_one_unknown_item_refuses_the_whole_batch(finish, rate, due):
    finish("0-0")
    with pytest.raises(ItemNotMetError) as refused:
        rate(("Q1-MATH-0-0", 4), ("Q1-MATH-0-1", 4))
    assert refused.value.details == {
        "index": 1,
        "item_id": "Q1-MATH-0-1",
        "lesson_id": "LES-MATH-0-1",
    }
    assert not ReviewRating.objects.exists()
    assert len(due()) == 2


def test_hidden_and_unpaid_lessons_are_not_due(plan, student, finish, due):
    finish("0-0")
    finish("0-1")
    assert len(due()) == 4
    for lesson, action, value in (
        ("LES-MATH-0-0", "hide", ""),
        ("LES-MATH-0-1", "set_sold_separately", "ITEM-1"),
    ):
        set_override(
            plan=plan,
            target=Node.objects.get(public_id=lesson),
            action=action,
            value=value,
        )
    publish(plan)
    assert due() == []
    Entitlement.objects.create(player=student, item="ITEM-1")
    assert len(due()) == 2
    assert reviews.overview(player_id=student.pk, now=MONDAY).total == 2


def test_reviewing_counts_for_no_streak(student, finish, rate):
    finish("0-0")
    rate(("Q1-MATH-0-0", 3), day=3)
    assert wallet.get(student.pk).current_streak == 1
    assert finish("0-1", day=1).streak.new == 2


@pytest.mark.parametrize("lessons", [1, 4])
def test_reviews_cost_the_same_however_many_are_due(
    student, finish, django_assert_num_queries, lessons
):
    for place in ("0-0", "0-1", "1-0", "1-1")[:lessons]:
        finish(place)
    reviews.overview(player_id=student.pk, now=MONDAY)
    # The watermark with the end of the ledger and the cards by subject.
    with django_assert_num_queries(1):
        reviews.overview(player_id=student.pk, now=MONDAY)
    # The watermark with the end of the ledger and the due cards.
    with django_assert_num_queries(1):
        reviews.due(player_id=student.pk, subject_id=None, limit=20, now=MONDAY)


def test_completed_lessons_without_items_are_looked_at_once(
    plan, student, finish, due, django_assert_num_queries
):
    LessonStage.objects.all().delete()
    publish(plan)
    finish("0-0")
    # No watermark; SAVEPOINT; the player's lock, the end of the ledger, the completions,
    # all cards, the new watermark; RELEASE.
    with django_assert_num_queries(8):
        assert due() == []
    # The watermark with the end of the ledger and the due cards.
    with django_assert_num_queries(1):
        due()
    finish("0-1")
    # The watermark with the cards, the completions after it; the watermark moves.
    with django_assert_num_queries(3):
        due()
    with django_assert_num_queries(1):
        due()


def test_a_repeated_lesson_only_moves_the_watermark(
    finish, due, django_assert_num_queries
):
    finish("0-0")
    before = due()
    finish("0-0", day=1)
    # The watermark with the cards, the completions after it; the watermark moves.
    with django_assert_num_queries(3):
        assert due() == before
    with django_assert_num_queries(1):
        due()


@pytest.mark.parametrize("lessons", [1, 3])
def test_cards_are_created_at_the_same_cost_however_many(
    finish, due, django_assert_num_queries, lessons
):
    finish("0-0")
    due()
    for place in ("0-1", "1-0", "1-1")[:lessons]:
        finish(place)
    # The watermark with the cards, the completions after it; SAVEPOINT; the player's
    # lock, the watermark, cards of the same items, the new cards, the watermark moves;
    # RELEASE; the watermark with the cards.
    with django_assert_num_queries(10):
        assert len(due()) == 2 + 2 * lessons


def test_a_batch_costs_the_same_however_large(
    student, finish, rate, django_assert_num_queries
):
    finish("0-0")
    finish("0-1")
    for day in (1, 2):
        rate(("Q1-MATH-0-1", 3), day=day)  # the sessions begin
    # The key; the watermark; SAVEPOINT; the player's lock, the last position, the cards, ratings
    # near these, the ratings, the cards' memory; RELEASE.
    with django_assert_num_queries(10):
        rate(("Q1-MATH-0-0", 3), key="one", day=1)
    with django_assert_num_queries(10):
        rate(
            *[("Q1-MATH-0-0", 3), ("Q2-MATH-0-0", 1), ("Q1-MATH-0-1", 2)],
            key="two",
            day=2,
        )
    # The history of those whose answer is late, too.
    with django_assert_num_queries(11):
        rate(("Q1-MATH-0-0", 3), ("Q2-MATH-0-0", 1), key="three", day=1)


# --- The time of an answer ----------------------------------------------------------


def test_an_answer_from_before_the_item_was_met_counts_from_then(finish, rate):
    finish("0-0")
    rate(("Q1-MATH-0-0", 3), at=datetime(1970, 1, 1, tzinfo=UTC))
    answer = rate(("Q1-MATH-0-0", 3), day=1)
    card = ReviewCard.objects.get(item_id="Q1-MATH-0-0")
    assert list(
        ReviewRating.objects.order_by("position").values_list("reviewed_at", flat=True)
    ) == [MONDAY, MONDAY + timedelta(days=1)]
    assert card.due_at - card.last_reviewed_at < timedelta(days=10)
    assert answer.reviews[0].due_at == time_text(card.due_at)


def test_an_older_answer_that_comes_later_is_applied_in_its_place(
    student, finish, rate
):
    finish("0-0")
    rate(("Q1-MATH-0-0", 1), day=9, at=MONDAY + timedelta(days=8))
    rate(("Q1-MATH-0-0", 4), day=9, at=MONDAY + timedelta(days=1))
    card = ReviewCard.objects.get(item_id="Q1-MATH-0-0")
    assert card.last_reviewed_at == MONDAY + timedelta(days=8)
    in_order = scheduler.replay(
        MONDAY,
        [(MONDAY + timedelta(days=1), 4), (MONDAY + timedelta(days=8), 1)],
    )
    assert (card.state, card.due_at) == (in_order.state, in_order.due_at)


def test_answers_clamped_to_one_time_keep_their_order(student, finish):
    finish("0-0")
    early = datetime(1980, 1, 1, tzinfo=UTC)
    reviews.submit(
        player_id=student.pk,
        ratings=[
            Rating("Q1-MATH-0-0", "LES-MATH-0-0", 4, early + timedelta(days=1)),
            Rating("Q1-MATH-0-0", "LES-MATH-0-0", 1, early),
        ],
        idempotency_key=None,
        now=MONDAY + timedelta(days=1),
    )
    log = ReviewRating.objects.order_by("position")
    assert list(log.values_list("rating", flat=True)) == [1, 4]
