"""Completions create cards; answers reschedule them."""

from datetime import timedelta

import pytest

from content.models import LessonStage, Node
from plans.services import set_override
from players.models import Entitlement
from players.services import access, wallet
from progress.errors import IdempotencyConflictError, InvalidBodyError
from progress.models import InteractionLog, InteractionType, ReviewCard
from progress.services import reviews
from progress.services.reviews import Rating
from tests.progress.conftest import MONDAY, publish

pytestmark = pytest.mark.django_db


@pytest.fixture
def rate(student):
    def rate(*rated: tuple[str, int], day: int = 0, key: str | None = None, at=None):
        return reviews.submit(
            player_id=student.pk,
            ratings=[
                Rating(item, f"LES-MATH-{item[-3:]}", rating, reviewed_at=at)
                for item, rating in rated
            ],
            idempotency_key=key,
            now=MONDAY + timedelta(days=day),
        )

    return rate


@pytest.fixture
def due(student):
    def due(*, day: int = 0, limit: int = 100, subject: str | None = None):
        answer = reviews.due(
            player_id=student.pk,
            subject_id=subject,
            limit=limit,
            now=MONDAY + timedelta(days=day),
        )
        return [item["item_id"] for item in answer["items"]]

    return due


def test_nothing_is_due_before_a_lesson_is_completed(student, due):
    assert due() == []
    assert reviews.overview(player_id=student.pk, now=MONDAY) == {
        "total": 0,
        "due": 0,
        "next_due_at": None,
        "subjects": [
            {"subject_id": "SUBJ-MATH", "total": 0, "due": 0, "next_due_at": None}
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
    assert answer["accepted"] == 2
    assert due(day=1) == ["Q2-MATH-0-0"]
    assert set(due(day=30)) == {"Q1-MATH-0-0", "Q2-MATH-0-0"}


def test_an_item_rated_twice_in_a_batch_is_reviewed_twice(finish, rate):
    finish("0-0")
    answer = rate(("Q1-MATH-0-0", 1), ("Q1-MATH-0-0", 4))
    assert (answer["accepted"], len(answer["reviews"])) == (2, 1)
    assert InteractionLog.objects.filter(type=InteractionType.REVIEW).count() == 2


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


def test_one_key_names_a_completion_or_a_batch_not_both(finish, rate):
    finish("0-0", key="one")
    with pytest.raises(IdempotencyConflictError):
        rate(("Q1-MATH-0-0", 3), key="one")
    rate(("Q1-MATH-0-0", 3), key="two")
    with pytest.raises(IdempotencyConflictError):
        finish("0-0", key="two")


def test_one_unknown_item_refuses_the_whole_batch(finish, rate, due):
    finish("0-0")
    with pytest.raises(InvalidBodyError) as refused:
        rate(("Q1-MATH-0-0", 4), ("Q1-MATH-0-1", 4))
    assert refused.value.details == {"field": "reviews[1].item_id"}
    assert not InteractionLog.objects.filter(type=InteractionType.REVIEW).exists()
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
    access.forget([student.pk])
    assert len(due()) == 2
    assert reviews.overview(player_id=student.pk, now=MONDAY)["total"] == 2


def test_reviewing_is_playing_but_earns_nothing(student, finish, rate):
    finish("0-0")
    rate(("Q1-MATH-0-0", 3), day=3)
    held = wallet.get(student.pk)
    assert held.last_played_at == MONDAY + timedelta(days=3)
    assert (held.total_xp, held.current_streak) == (35, 1)
    assert finish("0-1", day=1).streak.new == 2


@pytest.mark.parametrize("lessons", [1, 4])
def test_reviews_cost_the_same_however_many_are_due(
    student, finish, django_assert_num_queries, lessons
):
    for place in ("0-0", "0-1", "1-0", "1-1")[:lessons]:
        finish(place)
    reviews.overview(player_id=student.pk, now=MONDAY)
    # Lessons completed without cards; cards by lesson.
    with django_assert_num_queries(2):
        reviews.overview(player_id=student.pk, now=MONDAY)
    with django_assert_num_queries(2):
        reviews.due(player_id=student.pk, subject_id=None, limit=20, now=MONDAY)
