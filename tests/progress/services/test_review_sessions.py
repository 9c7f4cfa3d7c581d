"""A session of reviews earns XP once, however its answers are delivered."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.api_types import parse
from players.local_days import LocalDays
from players.services import wallet
from progress.api_types import SyncEventsBody
from progress.models import InteractionLog, ReviewCard, ReviewRating
from progress.services import ledger, review_sessions, reviews, sync_events
from progress.services.reviews import Rating
from tests.factories.progress import make_card
from tests.progress.conftest import MONDAY, enrolled
from tests.progress.offline_app import OfflineApp
from tests.progress.services.test_concurrency import at_once, completed

pytestmark = pytest.mark.django_db

DEVICE = UUID("7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e")
BEFORE = 35
"""The XP of the lesson whose items are reviewed."""


@pytest.fixture
def answer(student, finish):
    """Answer an item some minutes after Monday noon."""
    finish("0-0")

    def answer(*minutes: int, now: int | None = None, key: str | None = None):
        return reviews.submit(
            player_id=student.pk,
            ratings=[
                Rating("Q1-MATH-0-0", "LES-MATH-0-0", 3, MONDAY + timedelta(minutes=at))
                for at in minutes
            ],
            idempotency_key=key,
            now=MONDAY + timedelta(minutes=max(minutes) if now is None else now),
        )

    return answer


def paid() -> list[tuple[datetime, int]]:
    rows = InteractionLog.objects.filter(type="review_session").order_by("seq")
    return list(rows.values_list("occurred_at", "xp"))


def minutes_paid() -> list[int]:
    return [int((at - MONDAY).total_seconds()) // 60 for at, _xp in paid()]


def test_the_first_answer_of_a_session_earns_xp_in_the_wallet(student, answer):
    assert answer(1).xp_earned == 3
    assert answer(2).xp_earned == 0
    assert paid() == [(MONDAY + timedelta(minutes=1), 3)]
    held = wallet.get(student.pk)
    assert held == ledger.wallet_of(student.pk)
    assert (held.total_xp, held.last_played_at) == (BEFORE + 3, paid()[0][0])


def test_a_pause_ends_the_session(answer):
    assert [answer(at).xp_earned for at in (1, 15, 29, 44)] == [3, 0, 0, 3]


def test_the_gap_and_the_cap_are_settings(answer, settings):
    settings.REVIEW_SESSION_GAP_MINUTES = 5
    settings.XP_REVIEW_SESSIONS_PER_DAY = 2
    assert [answer(at).xp_earned for at in (1, 7, 12, 20)] == [3, 3, 0, 0]


def test_a_day_has_its_own_cap(answer, settings):
    settings.XP_REVIEW_SESSIONS_PER_DAY = 1
    day = 24 * 60
    assert [answer(at).xp_earned for at in (1, 60, day, day + 60)] == [3, 0, 3, 0]


def test_a_session_that_began_before_the_cap_was_reached_is_not_paid_later(
    answer, settings
):
    settings.XP_REVIEW_SESSIONS_PER_DAY = 1
    answer(1)
    answer(60)
    settings.XP_REVIEW_SESSIONS_PER_DAY = 9
    assert answer(70).xp_earned == 0


@pytest.mark.parametrize("setting", ["XP_REVIEW_SESSION", "XP_REVIEW_SESSIONS_PER_DAY"])
def test_sessions_earn_nothing_if_a_setting_is_0(answer, settings, setting):
    setattr(settings, setting, 0)
    assert answer(1).xp_earned == 0
    assert paid() == []


def test_a_repeated_request_is_paid_once_and_answered_the_same(answer):
    first = answer(1, key="one")
    assert answer(1, now=60, key="one") == first
    assert first.xp_earned == 3
    assert minutes_paid() == [1]


def test_a_batch_is_paid_for_each_of_its_sessions(answer):
    assert answer(50, 1, 2, 30, 51).xp_earned == 9
    assert minutes_paid() == [1, 30, 50]


def test_late_answers_of_a_session_are_not_paid_again(answer):
    answer(30)
    assert answer(20, 25, now=40).xp_earned == 0
    assert answer(10, now=40).xp_earned == 0
    assert minutes_paid() == [30]


def test_an_older_session_that_comes_late_is_paid(answer):
    answer(90)
    assert answer(10, now=100).xp_earned == 3
    assert minutes_paid() == [90, 10]


def test_refused_answers_earn_nothing(student, finish):
    finish("0-0")
    with pytest.raises(Exception, match="not met"):
        reviews.submit(
            player_id=student.pk,
            ratings=[
                Rating("Q1-MATH-0-0", "LES-MATH-0-0", 3),
                Rating("Q1-MATH-1-1", "LES-MATH-1-1", 3),
            ],
            idempotency_key=None,
            now=MONDAY,
        )
    assert paid() == []


def queue() -> list[dict]:
    """Lessons and reviews of two sessions, in the order of the device."""
    app = OfflineApp(None)
    for minute, place in ((-300, "0-0"), (-100, "0-1")):
        at = MONDAY + timedelta(minutes=minute)
        app.complete(f"LES-MATH-{place}", 4, at)
        for later in (1, 9):
            after = at + timedelta(minutes=later)
            app.review(f"Q{1 + later // 9}-MATH-{place}", f"LES-MATH-{place}", 3, after)
    return app.store.queue


def deliver(player_id: int, events: list[dict]):
    return sync_events.submit(
        player_id=player_id,
        device_id=DEVICE,
        body=parse(SyncEventsBody, OfflineApp(None).body(events, MONDAY)),
        now=MONDAY,
    )


def rows(player_id: int) -> list[tuple]:
    found = InteractionLog.objects.filter(player_id=player_id).order_by("seq")
    return list(found.values_list("type", "xp", "occurred_at"))


@pytest.mark.parametrize("size", [1, 2, 4, 6])
def test_a_queue_in_any_parts_gives_the_same_ledger(student, size):
    events = queue()
    results = []
    for start in range(0, len(events), size):
        results += deliver(student.pk, events[start : start + size]).results
    assert [one.xp_earned for one in results] == [None, 3, 0, None, 3, 0]
    assert [one.completion.new_total_xp for one in results if one.completion] == [
        33,
        33 + 3 + 33,
    ]
    assert [kind for kind, _xp, _at in rows(student.pk)] == [
        "lesson_completed",
        "review_session",
        "lesson_completed",
        "review_session",
    ]
    # The same again changes nothing, and is answered as before.
    again = deliver(student.pk, events).results
    assert [one.xp_earned for one in again] == [None, 3, 0, None, 3, 0]
    assert wallet.get(student.pk).total_xp == 72
    assert ReviewRating.objects.count() == 4


def test_a_session_costs_its_row_and_the_count_of_the_day(
    answer, django_assert_num_queries
):
    answer(1)
    # The watermark; SAVEPOINT; the player's lock, the last position, the cards, ratings
    # near it, the log, the cards' memory; RELEASE.
    with django_assert_num_queries(9):
        answer(2)
    # The transaction up to the ratings near it and the paid sessions of the day, rolled
    # back; then all of it, with the new row, which the cards follow.
    with django_assert_num_queries(22):
        answer(60)


def test_ratings_near_a_time_are_found_by_an_index(student, finish, plan):
    """Among many of the student and of others."""
    finish("0-0")
    reviews.overview(player_id=student.pk, now=MONDAY)
    other = enrolled(plan, "basma@example.com")
    cards = {student.pk: ReviewCard.objects.filter(player=student).first()}
    cards[other.pk] = make_card(other, "Q", lesson_id="LES", subject_id="SUBJ")
    ReviewRating.objects.bulk_create(
        ReviewRating(
            player_id=player_id,
            position=position,
            card=card,
            item_id=card.item_id,
            lesson_id=card.lesson_id,
            subject_id=card.subject_id,
            rating=3,
            reviewed_at=MONDAY + timedelta(hours=position),
            received_at=MONDAY,
        )
        for player_id, card in cards.items()
        for position in range(1, 2001)
    )
    times = [(0, MONDAY + timedelta(hours=90)), (1, MONDAY + timedelta(minutes=30))]
    with CaptureQueriesContext(connection) as captured:
        paid = review_sessions.to_pay(student.pk, times, days=LocalDays("UTC"), own=[])
    assert paid == {1: times[1][1]}
    near, _paid = captured.captured_queries
    is_mariadb = connection.vendor == "mysql"
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'' if is_mariadb else 'QUERY PLAN '}{near['sql']}")
        plans = [str(row) for row in cursor.fetchall() if "reviewrating" in str(row)]
    assert len(plans) == 2
    assert all("progress_player_reviews" in one for one in plans), plans


@pytest.mark.django_db(transaction=True)
@pytest.mark.mariadb
def test_two_apps_at_once_begin_one_session(finish, student):
    finish("0-0")

    def rate(item: str) -> None:
        reviews.submit(
            player_id=student.pk,
            ratings=[Rating(item, "LES-MATH-0-0", 3)],
            idempotency_key=None,
            now=MONDAY + timedelta(hours=1),
        )

    items = ["Q1-MATH-0-0", "Q2-MATH-0-0"] * 2
    completed(at_once(*[lambda item=item: rate(item) for item in items]))
    assert minutes_paid() == [60]
    assert ReviewRating.objects.count() == 4
