"""In whatever order ratings arrive, a card is that of its ratings in time order."""

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from players.services import wallet
from progress import scheduler
from progress.models import InteractionLog, ReviewCard, ReviewRating
from progress.services import ledger, reviews
from progress.services.reviews import Rating
from tests.progress.conftest import MONDAY
from tests.progress.reference import paid_sessions

pytestmark = pytest.mark.django_db

ITEMS = 3
NOW = MONDAY + timedelta(days=400)
_numbers = count()

RATINGS = st.lists(
    st.tuples(
        st.integers(0, ITEMS - 1),
        st.integers(1, 4),
        # Minutes after the items were met; some are before.
        st.integers(-(10**6), 500_000),
    ),
    max_size=12,
    unique_by=lambda rated: rated[2],
)


@st.composite
def deliveries(draw) -> list[list[tuple[int, int, int]]]:
    """The same ratings in any order, divided into batches."""
    ratings = draw(st.permutations(draw(RATINGS)))
    batches: list[list[tuple[int, int, int]]] = [[]]
    for rated in ratings:
        if batches[-1] and draw(st.booleans()):
            batches.append([])
        batches[-1].append(rated)
    return batches if batches[0] else []


def make_cards(student) -> list[ReviewCard]:
    memory = scheduler.met(MONDAY)
    number = next(_numbers)
    return [
        ReviewCard.objects.create(
            player=student,
            item_id=f"ITEM-{number}-{item}",
            lesson_id="LES-MATH-0-0",
            subject_id="SUBJ-MATH",
            met_at=MONDAY,
            state=memory.state,
            due_at=memory.due_at,
        )
        for item in range(ITEMS)
    ]


def send(student, cards: list[ReviewCard], batch: list[tuple[int, int, int]]) -> Any:
    return reviews.submit(
        player_id=student.pk,
        ratings=[
            Rating(
                cards[item].item_id,
                "LES-MATH-0-0",
                rating,
                MONDAY + timedelta(minutes=minutes),
            )
            for item, rating, minutes in batch
        ],
        idempotency_key=None,
        now=NOW,
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=deliveries())
def test_any_order_and_division_of_ratings_gives_the_same_cards(student, batches):
    cards = make_cards(student)
    for batch in batches:
        send(student, cards, batch)
    for number, card in enumerate(cards):
        card.refresh_from_db()
        log = ReviewRating.objects.filter(card=card)
        history = sorted(
            log.order_by("position").values_list("reviewed_at", "rating"),
            key=lambda rated: rated[0],
        )
        sent = [rated for batch in batches for rated in batch if rated[0] == number]
        after = [rated for rated in sent if rated[2] > 0]
        # What was answered before the item was met counts as of then; the rest of the
        # history is that of the answers' own times.
        assert [at for at, _rating in history[: len(sent) - len(after)]] == [MONDAY] * (
            len(sent) - len(after)
        )
        assert history[len(sent) - len(after) :] == [
            (MONDAY + timedelta(minutes=minutes), rating)
            for _item, rating, minutes in sorted(after, key=lambda rated: rated[2])
        ]
        expected = scheduler.replay(MONDAY, history)
        assert card.state == expected.state
        assert card.due_at == expected.due_at
        assert card.last_reviewed_at == expected.last_reviewed_at


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ratings=RATINGS.filter(bool), data=st.data())
def test_a_batch_gives_the_same_cards_in_any_order(student, ratings, data):
    """Also those from before the item was met: their own times order them."""
    first, second = make_cards(student), make_cards(student)
    send(student, first, ratings)
    send(student, second, data.draw(st.permutations(ratings)))
    for one, other in zip(first, second, strict=True):
        one.refresh_from_db()
        other.refresh_from_db()
        assert (one.state, one.due_at) == (other.state, other.due_at)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=deliveries())
def test_sessions_are_paid_as_plain_code_pays_them(student, batches):
    """The minutes are divided, so that many ratings are near others."""
    cards = make_cards(student)
    for batch in batches:
        send(student, cards, [(one, rated, at // 900) for one, rated, at in batch])
    ratings = ReviewRating.objects.filter(player=student).order_by("position")
    times = list(ratings.values_list("reviewed_at", flat=True))
    rows = InteractionLog.objects.filter(player=student, type="review_session")
    expected = paid_sessions(times, gap=timedelta(minutes=15), most=5)
    assert list(rows.order_by("seq").values_list("occurred_at", flat=True)) == expected
    assert wallet.get(student.pk) == ledger.wallet_of(student.pk)


def test_positions_count_one_two_three(student):
    cards = make_cards(student)
    send(student, cards, [(0, 3, 9), (1, 3, 4)])
    send(student, cards, [(0, 1, 2)])
    log = ReviewRating.objects.order_by("pk")
    assert list(log.values_list("position", "item_id")) == [
        (1, cards[1].item_id),
        (2, cards[0].item_id),
        (3, cards[0].item_id),
    ]
