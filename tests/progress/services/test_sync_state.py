"""The state that an app keeps: everything, then what changed."""

from datetime import timedelta
from uuid import uuid4

import orjson
import pytest

from content.models import Node
from core.api_types import parse
from plans.services import set_override
from players import records
from players.models import Entitlement
from progress import sync_views
from progress.api_types import SyncEventsBody
from progress.services import reviews, sync_events, sync_state
from progress.services.reviews import Rating
from tests.progress.conftest import MONDAY, enrolled, publish
from tests.progress.offline_app import OfflineApp, Store

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def server_of(player_id: int, device=None):
    """Return an app of a player; ``app.now`` is the server's time."""
    device = device or uuid4()

    def send(body):
        answer = sync_events.submit(
            player_id=player_id,
            device_id=device,
            body=parse(SyncEventsBody, body),
            now=app.now,
        )
        return orjson.loads(orjson.dumps(answer))

    def read(since):
        found = sync_state.of_player(
            player_id=player_id, device_id=device, since=since, now=app.now
        )
        app.reads += 1
        if found is None:
            return None
        return orjson.loads(orjson.dumps(sync_views._sync(found)))

    app = OfflineApp(send, read)
    app.now, app.reads = MONDAY, 0
    return app


@pytest.fixture
def app(student):
    return server_of(student.pk)


def everything(app) -> dict:
    """The complete state, as a newly installed app on this device reads it."""
    fresh = OfflineApp(app.send, app.read, Store(next_seq=app.store.next_seq))
    fresh.pull()
    return fresh.store.state | {"is_complete": None}


def kept(app) -> dict:
    return app.store.state | {"is_complete": None}


def test_a_new_app_reads_everything(plan, app):
    app.complete("LES-MATH-0-0", 5, MONDAY)
    app.complete("LES-MATH-0-1", 3, MONDAY)
    app.sync(MONDAY)
    app.pull()
    state = app.store.state
    assert state["is_complete"]
    assert (state["wallet"]["total_xp"], state["wallet"]["current_streak"]) == (66, 1)
    assert state["subjects"] == {
        "SUBJ-MATH": {
            "subject_id": "SUBJ-MATH",
            "bitmap": "wA==",
            "hearts": "BQM=",
            "xp": 66,
        }
    }
    assert sorted(state["cards"]) == [
        (f"Q{number}-MATH-0-{lesson}", f"LES-MATH-0-{lesson}")
        for number, lesson in ((1, 0), (1, 1), (2, 0), (2, 1))
    ]
    assert (state["next_seq"], state["plan_id"]) == (3, "PLAN-A")


def test_a_player_without_progress_has_a_state_too(app):
    app.pull()
    assert (app.store.state["subjects"], app.store.state["cards"]) == ({}, {})
    assert app.read(app.store.since) is None


def test_a_delta_has_what_changed_and_nothing_else(student, finish, app):
    finish("0-0")
    finish("0-1")
    app.pull()
    reviews.submit(
        player_id=student.pk,
        ratings=[Rating("Q1-MATH-0-0", "LES-MATH-0-0", 3)],
        idempotency_key=None,
        now=MONDAY,
    )
    answer = app.read(app.store.since)
    assert not answer["is_complete"]
    assert answer["subjects"] == []
    assert [card["item_id"] for card in answer["cards"]] == ["Q1-MATH-0-0"]
    app.pull()
    finish("1-0")
    answer = app.read(app.store.since)
    assert [one["subject_id"] for one in answer["subjects"]] == ["SUBJ-MATH"]
    assert [card["item_id"] for card in answer["cards"]] == [
        *("Q1-MATH-1-0", "Q2-MATH-1-0")
    ]
    app.pull()
    assert kept(app) == everything(app)


def test_nothing_new_costs_one_query(
    student, finish, app, django_assert_num_queries, count_redis
):
    finish("0-0")
    app.pull()
    count_redis.clear()
    # The positions of the ratings and of the device.
    with django_assert_num_queries(1):
        assert app.read(app.store.since) is None
    # Access; the wallet. The API reads both with the session.
    assert len(count_redis) == 2


def test_a_delta_costs_the_same_however_much_changed(
    student, finish, app, django_assert_num_queries
):
    app.pull()
    for places in (["0-0"], ["0-1", "1-0", "1-1"]):
        for place in places:
            finish(place)
        reviews.overview(player_id=student.pk, now=MONDAY)
        # The positions; the changed subjects; the watermark; the cards.
        with django_assert_num_queries(4):
            app.pull()
    assert kept(app) == everything(app)


def test_a_streak_that_ended_is_something_new(finish, app):
    finish("0-0")
    app.pull()
    app.now += DAY
    assert app.read(app.store.since) is None
    app.now += DAY
    app.pull()
    assert app.store.state["wallet"]["current_streak"] == 0


def test_products_and_releases_are_something_new(plan, student, finish, app):
    finish("0-0")
    finish("0-1")
    app.pull()
    for public_id, action, value in (
        ("LES-MATH-0-0", "set_sold_separately", "MATHS"),
        ("LES-MATH-0-1", "hide", ""),
    ):
        target = Node.objects.get(public_id=public_id)
        set_override(plan=plan, target=target, action=action, value=value)
    publish(plan)
    app.pull()
    assert not app.store.state["is_complete"]
    assert app.store.state["cards"] == {}
    assert kept(app) == everything(app)
    Entitlement.objects.create(player=student, item="MATHS", valid_until=MONDAY + DAY)
    records.forget_player(student.pk)
    app.pull()
    assert len(app.store.state["cards"]) == 2
    assert app.store.state["entitlements"][0]["is_valid"]
    app.now += DAY
    app.pull()
    assert app.store.state["cards"] == {}
    assert not app.store.state["entitlements"][0]["is_valid"]


@pytest.mark.parametrize("token", ["", "x", "WzFd", "bm9uZQ", "….", "W10=", "e30"])
def test_a_token_that_cannot_be_read_gets_everything(app, token):
    assert app.read(token)["is_complete"]


def test_a_token_of_another_student_gets_everything(plan, finish, app):
    other = server_of(enrolled(plan, "omar@example.com").pk)
    finish("0-0")
    app.pull()
    assert other.read(app.store.since)["is_complete"]


def test_a_token_from_a_lost_database_gets_everything(student, finish, app):
    finish("0-0")
    app.pull()
    stand = sync_state._read(app.store.since)
    later = sync_state._write(stand._replace(seq=stand.seq + 1))
    assert app.read(later)["is_complete"]


def test_the_api_answers_304_and_sends_bytes(phone, count_redis, settings):
    phone.post("lessons/LES-MATH-0-0/complete/", {"hearts": 5})
    answer = phone.get("sync/")
    assert answer.status_code == 200
    token = answer.json()["since"]
    assert answer["ETag"] == f'"{token}"'
    count_redis.clear()
    again = phone.get(f"sync/?since={token}")
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == answer["ETag"]
    # The session check, which reads all.
    assert len(count_redis) == 1


def test_events_are_sent_over_http_in_two_round_trips(phone, count_redis):
    app = OfflineApp(None)
    app.complete("LES-MATH-0-0", 5, MONDAY)
    phone.post("sync/events/", app.body(app.store.queue, MONDAY))
    app.store.queue.clear()
    for place in ("0-1", "1-0"):
        app.complete(f"LES-MATH-{place}", 5, MONDAY)
    count_redis.clear()
    answer = phone.post("sync/events/", app.body(app.store.queue, MONDAY))
    assert [one["status"] for one in answer.json()["results"]] == ["applied"] * 2
    # The session check, which reads and begins all; put.
    assert len(count_redis) == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"device_time": "now", "events": []},
        {"device_time": "2026-11-29T17:05:00Z", "events": {}},
        {"device_time": "2026-11-29T17:05:00Z", "events": [{}] * 201},
    ],
)
def test_a_wrong_body_is_refused_as_a_whole(phone, body):
    answer = phone.post("sync/events/", body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_BODY")


def test_an_old_app_may_send_its_queue_but_not_read(phone, settings):
    settings.MIN_APP_VERSION = "2.0.0"
    phone._headers["X-App-Version"] = "1.0.0"
    body = {"device_time": "2026-11-29T17:05:00Z", "events": []}
    assert phone.post("sync/events/", body).status_code == 200
    assert phone.get("sync/").status_code == 426
