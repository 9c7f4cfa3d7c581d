"""Burying items, leeches, forecasts, and the parameters of reviews."""

from datetime import UTC, datetime, timedelta

import pytest
from fsrs.scheduler import DEFAULT_PARAMETERS

from core.parsing import time_text
from progress import scheduler
from progress.models import InteractionLog, ReviewCard, ReviewRating
from progress.scheduler import Parameters
from progress.services import reviews
from progress.services.reviews import Item
from tests.progress.conftest import MONDAY
from tests.progress.services.test_sync_state import server_of

pytestmark = pytest.mark.django_db

ITEM = Item("Q1-MATH-0-0", "LES-MATH-0-0")
TUESDAY = datetime(2026, 3, 3, tzinfo=UTC)


@pytest.fixture
def rate(student):
    def rate(rating: int, at: datetime, *, now: datetime | None = None):
        answer = reviews.Rating(ITEM.item_id, ITEM.lesson_id, rating, at)
        return reviews.submit(
            player_id=student.pk,
            ratings=[answer],
            idempotency_key=None,
            now=now or at,
        )

    return rate


@pytest.fixture
def bury(student):
    def bury(at: datetime = MONDAY):
        return reviews.bury(player_id=student.pk, item=ITEM, now=at)

    return bury


@pytest.fixture
def due(student):
    def due(now: datetime = MONDAY) -> dict:
        answer = reviews.due(player_id=student.pk, subject_id=None, limit=100, now=now)
        return {item.item_id: item for item in answer.items}

    return due


def card() -> ReviewCard:
    return ReviewCard.objects.get(item_id=ITEM.item_id)


# --- Burying ----------------------------------------------------------------------


def test_a_buried_item_is_due_again_on_the_next_day_with_its_memory(finish, bury, due):
    finish("0-0")
    due()
    before = card().state
    assert bury().due_at == time_text(TUESDAY)
    assert ITEM.item_id not in due()
    assert ITEM.item_id not in due(TUESDAY - timedelta(seconds=1))
    assert ITEM.item_id in due(TUESDAY)
    assert card().state == before
    assert card().last_reviewed_at is None


def test_the_next_day_begins_in_the_zone_of_the_streak(finish, bury, settings):
    settings.STREAK_TIME_ZONE = "Asia/Amman"
    finish("0-0")
    late = datetime(2026, 3, 2, 22, 30, tzinfo=UTC)  # Tuesday in Amman
    assert bury(late).due_at == "2026-03-03T21:00:00Z"


def test_burying_again_changes_nothing_more(finish, bury):
    finish("0-0")
    assert bury() == bury(MONDAY + timedelta(hours=2))
    assert card().buried_until == TUESDAY


def test_burying_earns_nothing_and_begins_no_session(finish, bury, rate):
    finish("0-0")
    bury()
    assert not InteractionLog.objects.filter(type="review_session").exists()
    assert rate(3, MONDAY + timedelta(minutes=1)).xp_earned == 3


def test_an_item_that_is_due_later_stays_due_later(finish, bury, rate):
    finish("0-0")
    due_at = rate(4, MONDAY).reviews[0].due_at
    assert bury().due_at == due_at


def test_an_unknown_item_cannot_be_buried(finish, phone):
    finish("0-0")
    body = {"item_id": "Q1-MATH-1-1", "lesson_id": "LES-MATH-1-1"}
    answer = phone.post("reviews/bury/", body)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "ITEM_NOT_MET")


def test_the_api_buries_until_tomorrow(finish, phone):
    finish("0-0")
    body = {"item_id": ITEM.item_id, "lesson_id": ITEM.lesson_id}
    answer = phone.post("reviews/bury/", body)
    assert answer.json().keys() == {"item_id", "lesson_id", "due_at"}
    due = phone.get("reviews/due/").json()["items"]
    assert [item["item_id"] for item in due] == ["Q2-MATH-0-0"]
    assert phone.post("reviews/bury/", {}).status_code == 400


@pytest.mark.parametrize("first", ["bury", "rate"])
def test_burials_and_answers_give_one_card_in_any_order(finish, bury, rate, first):
    finish("0-0")
    later = MONDAY + timedelta(minutes=3)
    steps = [lambda: bury(), lambda: rate(1, MONDAY, now=later)]
    for step in steps if first == "bury" else reversed(steps):
        step()
    assert (card().due_at, card().failures) == (TUESDAY, 1)


def test_an_app_buries_offline_and_every_app_learns_of_it(student):
    app, tablet = server_of(student.pk), server_of(student.pk)
    app.complete("LES-MATH-0-0", 5, MONDAY)
    app.bury(ITEM.item_id, ITEM.lesson_id, MONDAY)
    app.sync(MONDAY)
    assert [one["status"] for one in app.results] == ["applied"] * 2
    assert app.results[1]["due_at"] == time_text(TUESDAY)
    tablet.pull()
    held = tablet.store.state["cards"][ITEM.item_id, ITEM.lesson_id]
    assert (held["buried_until"], held["due_at"]) == (time_text(TUESDAY),) * 2
    # A later change is in the delta.
    tablet.bury("Q2-MATH-0-0", ITEM.lesson_id, MONDAY)
    tablet.sync(MONDAY)
    app.pull()
    app.now = MONDAY + timedelta(minutes=1)
    app.pull()
    held = app.store.state["cards"]["Q2-MATH-0-0", ITEM.lesson_id]
    assert held["buried_until"] == time_text(TUESDAY)


def test_a_repeated_burial_is_a_duplicate(student):
    app = server_of(student.pk)
    app.complete("LES-MATH-0-0", 5, MONDAY)
    app.bury(ITEM.item_id, ITEM.lesson_id, MONDAY)
    events = list(app.store.queue)
    app.sync(MONDAY)
    again = app.send(app.body(events, MONDAY))
    assert [one["status"] for one in again["results"]] == ["duplicate"] * 2
    assert ReviewRating.objects.count() == 1


def test_a_burial_with_a_rating_is_refused(student):
    app = server_of(student.pk)
    app.bury(ITEM.item_id, ITEM.lesson_id, MONDAY)["rating"] = 3
    app.sync(MONDAY)
    assert [one["code"] for one in app.results] == ["INVALID_EVENT"]


# --- Leeches ----------------------------------------------------------------------


def test_an_item_that_fails_often_is_a_leech(student, finish, rate, due, settings):
    settings.REVIEW_LEECH_FAILURES = 2
    finish("0-0")
    for minute, rating in enumerate((1, 3, 1)):
        assert not due(MONDAY + timedelta(days=9))[ITEM.item_id].is_leech
        rate(rating, MONDAY + timedelta(minutes=minute))
    found = due(MONDAY + timedelta(days=9))[ITEM.item_id]
    assert (found.failures, found.is_leech) == (2, True)
    overview = reviews.overview(player_id=student.pk, now=MONDAY)
    assert (overview.leeches, overview.new, overview.total) == (1, 1, 2)


def test_late_answers_count_as_failures_once(finish, rate):
    finish("0-0")
    now = MONDAY + timedelta(days=2)
    for hours in (9, 3, 6):
        rate(1, MONDAY + timedelta(hours=hours), now=now)
    assert card().failures == 3


def test_the_overview_counts_what_is_due_today(student, finish, rate, bury):
    finish("0-0")
    rate(3, MONDAY)  # due in ten minutes
    overview = reviews.overview(player_id=student.pk, now=MONDAY)
    assert (overview.due, overview.due_today, overview.total) == (1, 2, 2)
    bury()
    overview = reviews.overview(player_id=student.pk, now=MONDAY)
    assert (overview.due, overview.due_today, overview.total) == (1, 1, 2)


# --- Forecasts and parameters -----------------------------------------------------


def test_the_due_list_tells_what_each_rating_would_give(finish, rate, due):
    finish("0-0")
    new = due()[ITEM.item_id]
    assert (new.retrievability, new.intervals.again) == (None, 60)
    rate(4, MONDAY)
    now = MONDAY + timedelta(days=30)
    found = due(now)[ITEM.item_id]
    state = card().state
    for rating, seconds in enumerate(
        (
            found.intervals.again,
            found.intervals.hard,
            found.intervals.good,
            found.intervals.easy,
        ),
        start=1,
    ):
        after = scheduler.review(state, rating=rating, at=now)
        assert timedelta(seconds=seconds) == after.due_at - now
    assert 0 < found.retrievability < 0.9


def test_other_parameters_count_from_the_next_answer_on(finish, rate, due, settings):
    finish("0-0")
    history = [(MONDAY, 3), (MONDAY + timedelta(minutes=10), 3)]
    for at, rating in history:
        rate(rating, at)
    before = card()
    settings.REVIEW_RETENTION = 0.8
    settings.REVIEW_MAXIMUM_DAYS = 30
    due()
    assert (card().state, card().due_at) == (before.state, before.due_at)
    history.append((before.due_at, 3))
    rate(3, before.due_at)
    made = Parameters(desired_retention=0.8, maximum_days=30)
    expected = scheduler.replay(card().met_at, history, made)
    assert (card().state, card().due_at) == (expected.state, expected.due_at)
    assert scheduler.is_made_with(card().state, made)


def test_an_unchanged_parameter_costs_no_history(
    finish, rate, settings, django_assert_num_queries
):
    settings.REVIEW_RETENTION = 0.8
    finish("0-0")
    rate(3, MONDAY)
    # As with the default parameters (test_reviews).
    with django_assert_num_queries(9):
        rate(3, MONDAY + timedelta(minutes=5))


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(desired_retention=0.8),
        Parameters(maximum_days=9),
        Parameters(learning_minutes=()),
        Parameters(relearning_minutes=(5, 30)),
        Parameters(weights=(0.5, *DEFAULT_PARAMETERS[1:])),
    ],
)
def test_each_set_of_parameters_has_its_own_name(parameters):
    memory = scheduler.replay(MONDAY, [(MONDAY, 4)], parameters)
    assert scheduler.is_made_with(memory.state, parameters)
    assert not scheduler.is_made_with(memory.state, scheduler.DEFAULT)
