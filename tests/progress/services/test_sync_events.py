"""Batches of a device's events: what is applied, repeated, refused and held."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import orjson
import pytest
from django.db.models import QuerySet

from content.models import Node
from core.api_types import parse
from core.parsing import time_text
from plans.services import add_subject, set_override
from players import records
from players.models import Entitlement
from players.services import access, wallet
from progress.api_types import SyncEventsBody
from progress.models import (
    DeviceSequence,
    HeldEvent,
    InteractionLog,
    ReviewCard,
    ReviewRating,
)
from progress.services import ledger, sync_events, writing
from progress.tasks import apply_held_events
from tests.progress.conftest import MONDAY, make_subject, publish
from tests.progress.offline_app import OfflineApp

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def device():
    return uuid4()


@pytest.fixture
def app_on(student):
    """Return an app on a device; ``now`` is the server's time in its requests."""

    def app_on(device, now=MONDAY, **options) -> OfflineApp:
        def send(body):
            answer = sync_events.submit(
                player_id=student.pk,
                device_id=device,
                body=parse(SyncEventsBody, body),
                now=app.now,
            )
            return orjson.loads(orjson.dumps(answer))

        app = OfflineApp(send, **options)
        app.now = now
        return app

    return app_on


@pytest.fixture
def app(app_on, device) -> OfflineApp:
    return app_on(device)


def send(app, *events):
    """Send events as they are; return their results."""
    return app.send(app.body(list(events), app.now))["results"]


def brief(results):
    return [(one["status"], one["code"], one["keep"]) for one in results]


def truth(player_id: int, *subjects: str):
    """Redis and the ledger must agree; return the wallet."""
    held = wallet.get(player_id)
    assert held == ledger.wallet_of(player_id)
    for subject_id in subjects or ("SUBJ-MATH",):
        seq, shown = writing.read_subject(player_id, subject_id)
        assert (
            shown == ledger.subjects_of_player(player_id, [subject_id], seq)[subject_id]
        )
    return held


APPLIED = ("applied", None, False)
DUPLICATE = ("duplicate", None, False)


def test_a_day_offline_is_recorded_in_order(student, app):
    for place, hearts in (("0-0", 5), ("0-1", 0), ("0-1", 3), ("1-0", 4)):
        app.complete(f"LES-MATH-{place}", hearts, MONDAY - HOUR)
    app.review("Q1-MATH-0-0", "LES-MATH-0-0", 3, MONDAY)
    app.sync(MONDAY)
    assert brief(app.results) == [APPLIED] * 5
    first, failed, *_rest, review = app.results
    assert (first["completion"]["xp_earned"], first["completion"]["unlocked"]) == (
        35,
        ["LES-MATH-0-1"],
    )
    assert failed["completion"] is None
    assert review["due_at"] > time_text(MONDAY)
    rows = InteractionLog.objects.order_by("seq")
    assert [(row.seq, row.device_seq, row.hearts) for row in rows] == [
        (1, 1, 5),
        (2, 2, 0),
        (3, 3, 3),
        (4, 4, 4),
        (5, None, None),  # the session of reviews
    ]
    assert truth(student.pk).total_xp == 35 + 31 + 33 + 3
    assert app.store.next_seq == 6


def test_a_batch_is_one_insert_and_a_fixed_number_of_queries(
    plan, student, app, django_assert_num_queries, count_redis
):
    subject = make_subject("BIG", units=1, lessons=60)
    add_subject(plan=plan, subject=subject)
    publish(plan)

    def play(lessons: range) -> list[dict]:
        events = [app.complete(f"LES-BIG-0-{n}", 5, MONDAY) for n in lessons]
        return [*events, app.complete("LES-MATH-0-0", 5, MONDAY)]

    send(app, *play(range(1)))
    for lessons in (range(1, 3), range(3, 60)):
        events = play(lessons)
        count_redis.clear()
        # The known events and the device; the repeats; SAVEPOINT, the rows, the
        # device, RELEASE.
        with django_assert_num_queries(6) as queries:
            assert brief(send(app, *events)) == [APPLIED] * len(events)
        inserts = [one for one in queries if one["sql"].startswith("INSERT")]
        assert len(inserts) == 1
        # Access; state and begin of both subjects; put. The API reads the first two
        # with the session.
        assert len(count_redis) == 3
    truth(student.pk, "SUBJ-MATH", "SUBJ-BIG")


def test_reviews_in_a_batch_cost_the_same_however_many(
    student, app, django_assert_num_queries
):
    def play(*places: str) -> list[dict]:
        return [
            event
            for place in places
            for event in (
                app.complete(f"LES-MATH-{place}", 5, MONDAY),
                app.review(f"Q1-MATH-{place}", f"LES-MATH-{place}", 3, MONDAY),
                app.review(f"Q2-MATH-{place}", f"LES-MATH-{place}", 1, MONDAY),
            )
        ]

    send(app, *play("0-0"))
    for places in (["0-1"], ["1-0", "1-1"]):
        events = play(*places)
        # The known events and the device; SAVEPOINT; the player's lock; the rows of the
        # ledger; the watermark, the completions after it, their cards, the new cards,
        # the watermark; the last position, the cards, ratings near these, the ratings,
        # their memory; the device; RELEASE.
        with django_assert_num_queries(16):
            assert brief(send(app, *events)) == [APPLIED] * len(events)
    assert ReviewRating.objects.count() == 8


def test_a_repeat_is_answered_as_the_first_one_was(student, app):
    app.complete("LES-MATH-0-0", 5, MONDAY)
    app.complete("LES-MATH-0-1", 0, MONDAY)
    app.review("Q1-MATH-0-0", "LES-MATH-0-0", 3, MONDAY)
    events = list(app.store.queue)
    first = send(app, *events)
    before = truth(student.pk)
    app.now += 3 * DAY
    again = send(app, *events)
    assert brief(again) == [DUPLICATE] * 3
    for one, other in zip(first, again, strict=True):
        assert one | {"status": ""} == other | {"status": ""}
    assert truth(student.pk) == before
    assert ReviewRating.objects.count() == 1


def test_an_id_with_another_body_is_a_conflict_of_that_event_alone(student, app):
    one = app.complete("LES-MATH-0-0", 5, MONDAY)
    send(app, one)
    other = app.complete("LES-MATH-0-1", 5, MONDAY)
    found = send(app, one | {"hearts": 4}, other)
    assert brief(found) == [("conflict", "EVENT_CONFLICT", False), APPLIED]
    assert found[0]["message"]
    assert InteractionLog.objects.count() == 2


def test_an_online_completion_with_the_same_key_is_the_same_event(finish, app):
    event = app.complete("LES-MATH-0-0", 5, MONDAY)
    online = finish("0-0", 5, key=event["id"])
    [found] = send(app, event)
    assert (found["status"], found["completion"]) == ("duplicate", online.as_answer())
    following = app.complete("LES-MATH-0-1", 2, MONDAY)
    send(app, following)
    assert finish("0-1", 2, key=following["id"]).xp_earned == 29


def test_an_event_after_a_gap_is_kept_and_decided_when_the_gap_is_filled(app):
    first, second, third = (
        app.complete(f"LES-MATH-{place}", 5, MONDAY) for place in ("0-0", "0-1", "1-0")
    )
    answer = app.send(app.body([first, third], MONDAY))
    assert brief(answer["results"]) == [APPLIED, ("rejected", "OUT_OF_ORDER", True)]
    assert answer["next_seq"] == 2
    assert brief(send(app, third, second)) == [APPLIED] * 2


def test_a_refused_event_is_dropped_and_never_decided_again(app, finish):
    locked = app.complete("LES-MATH-0-1", 5, MONDAY)
    refused = ("rejected", "NOT_UNLOCKED", False)
    assert brief(send(app, locked)) == [refused]
    finish("0-0")
    # It would be accepted now.
    assert brief(send(app, locked)) == [("rejected", "SEQ_USED", False)]
    assert brief(send(app, app.complete("LES-MATH-0-1", 5, MONDAY))) == [APPLIED]


def test_one_bad_event_does_not_spoil_a_batch(app):
    good = app.complete("LES-MATH-0-0", 5, MONDAY)
    bad = app.review("Q1-MATH-0-0", "LES-MATH-0-0", 7, MONDAY)
    unknown = app.complete("LES-NOWHERE", 5, MONDAY)
    without_item = app.complete("LES-MATH-0-0", 5, MONDAY) | {"kind": "review"}
    last = app.complete("LES-MATH-0-1", 5, MONDAY)
    found = send(app, good, bad, unknown, without_item, last, "no event")
    invalid = ("rejected", "INVALID_EVENT", False)
    assert brief(found) == [
        *(APPLIED, invalid, ("rejected", "INVALID_LESSON", False)),
        *(invalid, APPLIED, invalid),
    ]
    assert "rating" in found[1]["message"]
    assert (found[1]["id"], found[1]["seq"]) == (bad["id"], 2)
    assert (found[5]["id"], found[5]["seq"]) == (None, None)


def test_an_item_is_met_by_an_earlier_event_not_by_a_later_one(app):
    early = app.review("Q1-MATH-0-0", "LES-MATH-0-0", 3, MONDAY)
    lesson = app.complete("LES-MATH-0-0", 5, MONDAY)
    late = app.review("Q1-MATH-0-0", "LES-MATH-0-0", 3, MONDAY)
    assert brief(send(app, early, lesson, late)) == [
        *(("rejected", "ITEM_NOT_MET", False), APPLIED, APPLIED)
    ]


def test_a_wrong_clock_refuses_nothing_and_both_times_are_kept(app_on, device):
    app = app_on(device, clock_ahead=timedelta(days=4000))
    app.complete("LES-MATH-0-0", 5, MONDAY - 2 * HOUR)
    app.sync(MONDAY)
    row = InteractionLog.objects.get()
    assert row.occurred_at == MONDAY - 2 * HOUR
    assert row.device_time == MONDAY - 2 * HOUR + timedelta(days=4000)
    assert row.received_at == MONDAY
    sequence = DeviceSequence.objects.get()
    assert (sequence.last_seq, sequence.last_at) == (1, MONDAY - 2 * HOUR)


def test_days_that_arrive_late_join_the_streak(student, finish, app_on):
    phone, tablet = app_on(uuid4()), app_on(uuid4())
    finish("0-0", day=-5)
    finish("0-0", day=0)
    assert wallet.get(student.pk).current_streak == 1
    for app, day in ((phone, 4), (phone, 2), (tablet, 3), (tablet, 1)):
        app.complete("LES-MATH-0-0", 5, MONDAY - day * DAY)
    phone.sync(MONDAY)
    assert truth(student.pk).current_streak == 1
    tablet.sync(MONDAY)
    held = truth(student.pk)
    assert (held.current_streak, held.last_success_date) == (6, MONDAY.date())
    assert tablet.results[-1]["completion"]["streak"] == {
        "old": 1,
        "new": 6,
        "action": "extended",
        "last_success_date": "2026-03-02",
        "freezes": 0,
        "frozen_days": [],
    }


def test_repeats_of_a_lesson_earn_xp_once_a_day(app, settings):
    events = [app.complete("LES-MATH-0-0", 5, MONDAY - DAY) for _ in range(3)]
    events += [app.complete("LES-MATH-0-0", 4, MONDAY) for _ in range(2)]
    earned = [one["completion"]["xp_earned"] for one in send(app, *events)]
    assert earned == [35, 20, 0, 18, 0]
    again = app.complete("LES-MATH-0-0", 5, MONDAY)
    assert send(app, again)[0]["completion"]["xp_earned"] == 0
    settings.XP_REPEATS_PER_DAY = 2
    again = app.complete("LES-MATH-0-0", 5, MONDAY)
    assert send(app, again)[0]["completion"]["xp_earned"] == 20


def test_a_product_that_ended_since_still_counts(plan, student, app):
    set_override(
        plan=plan,
        target=Node.objects.get(public_id="LES-MATH-0-0"),
        action="set_sold_separately",
        value="MATHS",
    )
    publish(plan)
    entitlement = Entitlement.objects.create(
        player=student, item="MATHS", valid_until=MONDAY - HOUR
    )
    records.forget_player(student.pk)
    early = app.complete("LES-MATH-0-0", 5, MONDAY - 2 * HOUR)
    late = app.complete("LES-MATH-0-0", 5, MONDAY)
    assert brief(send(app, early, late)) == [
        *(APPLIED, ("rejected", "NOT_ENTITLED", False))
    ]
    assert entitlement.item == "MATHS"


# --- Held events --------------------------------------------------------------------


def hide(plan, public_id: str, *, hidden: bool) -> None:
    Node.objects.filter(public_id=public_id).update(is_published=not hidden)
    publish(plan)


@pytest.fixture
def held(plan, student, app):
    """An event and a review of a lesson that is not published at the moment."""
    hide(plan, "LES-MATH-0-0", hidden=True)
    lesson = app.complete("LES-MATH-0-0", 5, MONDAY - HOUR)
    review = app.review("Q1-MATH-0-0", "LES-MATH-0-0", 3, MONDAY)
    assert brief(send(app, lesson, review)) == [("held", None, False)] * 2
    return [lesson, review]


def test_an_event_of_a_lesson_that_is_not_published_is_applied_when_it_is(
    plan, student, app, held
):
    assert not InteractionLog.objects.exists()
    apply_held_events()
    assert HeldEvent.objects.count() == 2
    following = app.complete("LES-MATH-0-1", 5, MONDAY)
    assert brief(send(app, following, *held)) == [APPLIED, *[("held", None, False)] * 2]
    hide(plan, "LES-MATH-0-0", hidden=False)
    apply_held_events()
    apply_held_events()
    rows = InteractionLog.objects.order_by("seq").values_list(
        "seq", "reference_id", "occurred_at", "device_seq"
    )
    assert list(rows)[1] == (2, "LES-MATH-0-0", MONDAY - HOUR, 1)
    assert ReviewRating.objects.get().reviewed_at == MONDAY
    assert not HeldEvent.objects.exists()
    assert brief(send(app, *held)) == [DUPLICATE] * 2
    truth(student.pk)


def test_a_held_event_that_is_refused_when_it_is_published_is_deleted(
    plan, student, app, held
):
    set_override(
        plan=plan,
        target=Node.objects.get(public_id="LES-MATH-0-0"),
        action="set_sold_separately",
        value="MATHS",
    )
    hide(plan, "LES-MATH-0-0", hidden=False)
    apply_held_events()
    assert not HeldEvent.objects.exists()
    assert not InteractionLog.objects.exists()
    assert brief(send(app, *held)) == [("rejected", "SEQ_USED", False)] * 2


def test_held_events_wait_while_the_player_has_no_plan(plan, student, app, held):
    student.enrollments.all().delete()
    records.forget_player(student.pk)
    apply_held_events()
    assert HeldEvent.objects.count() == 2


NO_ROOM = ("rejected", "TOO_MANY_HELD", True)


def test_beyond_the_cap_work_stays_on_the_device_until_there_is_room(
    plan, student, app, held, settings
):
    settings.HELD_EVENTS_PER_PLAYER = 3
    hide(plan, "LES-MATH-1-1", hidden=True)
    third = app.complete("LES-MATH-1-1", 5, MONDAY)
    fourth = app.complete("LES-MATH-1-1", 4, MONDAY)
    last = app.complete("LES-MATH-0-1", 5, MONDAY)
    waits = [NO_ROOM, ("rejected", "OUT_OF_ORDER", True)]
    assert brief(send(app, third, fourth, last)) == [("held", None, False), *waits]
    assert brief(send(app, fourth, last)) == waits
    assert HeldEvent.objects.count() == 3
    assert DeviceSequence.objects.get().last_seq == 3
    hide(plan, "LES-MATH-0-0", hidden=False)
    apply_held_events()
    assert brief(send(app, fourth, last)) == [("held", None, False), APPLIED]
    truth(student.pk)


def test_events_of_lessons_that_do_not_exist_need_no_room(student, app, held, settings):
    settings.HELD_EVENTS_PER_PLAYER = 2
    gone = app.complete("LES-MATH-9-9", 5, MONDAY)
    following = app.complete("LES-MATH-0-1", 5, MONDAY)
    assert brief(send(app, gone, following)) == [
        ("rejected", "INVALID_LESSON", False),
        APPLIED,
    ]


def test_work_is_not_dropped_for_a_product_that_only_an_old_copy_lacks(
    plan, student, app
):
    for place in ("0-0", "0-1"):
        set_override(
            plan=plan,
            target=Node.objects.get(public_id=f"LES-MATH-{place}"),
            action="set_sold_separately",
            value="MATHS" if place == "0-0" else "OTHER",
        )
    publish(plan)
    assert access.of_player(student.pk).items == {}  # Redis has it now
    QuerySet(Entitlement).bulk_create([Entitlement(player=student, item="MATHS")])
    assert access.of_player(student.pk).items == {}
    lesson = app.complete("LES-MATH-0-0", 5, MONDAY)
    other = app.complete("LES-MATH-0-1", 5, MONDAY)
    found = brief(send(app, lesson, other))
    assert found == [APPLIED, ("rejected", "NOT_ENTITLED", False)]


# --- Faults -------------------------------------------------------------------------


def test_a_device_that_lost_its_numbers_goes_on_from_next_seq(student, app_on, device):
    app = app_on(device)
    app.complete("LES-MATH-0-0", 5, MONDAY)
    backup = [dict(event) for event in app.store.queue]
    app.complete("LES-MATH-0-1", 5, MONDAY)
    app.sync(MONDAY)
    restored = app_on(device)
    restored.store.queue, restored.store.next_seq = backup, 2
    restored.number_from(restored.send(restored.body([], MONDAY))["next_seq"])
    restored.complete("LES-MATH-1-0", 5, MONDAY)
    restored.sync(MONDAY)
    assert brief(restored.results) == [DUPLICATE, APPLIED]
    assert InteractionLog.objects.count() == 3
    truth(student.pk)


def test_redis_with_older_data_refuses_no_event(student, app, finish, redis_client):
    finish("0-0")
    old = {
        key: redis_client.dump(key)
        for key in redis_client.keys("*")
        if b"rate" not in key
    }
    finish("0-1")
    for key, value in old.items():
        redis_client.restore(key, 60_000, value, replace=True)
    assert brief(send(app, app.complete("LES-MATH-1-0", 5, MONDAY))) == [APPLIED]
    truth(student.pk)


def test_without_redis_a_batch_is_decided_on_the_ledger(student, app, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    events = [app.complete(f"LES-MATH-{one}", 5, MONDAY) for one in ("0-0", "0-1")]
    assert brief(send(app, *events)) == [APPLIED] * 2
    assert ledger.wallet_of(student.pk).total_xp == 70


def test_a_batch_is_recorded_in_full_or_not_at_all(student, app, monkeypatch):
    from progress.services import device_events

    def broken(*_args):
        raise RuntimeError

    events = [
        app.complete("LES-MATH-0-0", 5, MONDAY),
        app.review("Q1-MATH-0-0", "LES-MATH-0-0", 3, MONDAY),
    ]
    with monkeypatch.context() as patched:
        patched.setattr(device_events, "move", broken)
        with pytest.raises(RuntimeError):
            send(app, *events)
    assert not InteractionLog.objects.exists()
    assert not ReviewCard.objects.exists()
    assert brief(send(app, *events)) == [APPLIED] * 2
    truth(student.pk)


def test_a_moved_lesson_is_not_paid_as_a_first_completion_again(student, app):
    # What a move to another subject leaves: a row elsewhere, and no bit here.
    InteractionLog.objects.create(
        player=student,
        seq=1,
        event_id=ledger.server_event(),
        type="lesson_completed",
        reference_id="LES-MATH-0-0",
        first_of="LES-MATH-0-0",
        subject_id="SUBJ-OLD",
        bit_index=7,
        hearts=4,
        best_hearts=4,
        day=MONDAY.date(),
        occurred_at=MONDAY,
        received_at=MONDAY,
    )
    records.forget_player(student.pk, ["SUBJ-MATH"])
    events = [app.complete("LES-MATH-0-0", hearts, MONDAY) for hearts in (5, 5)]
    found = [one["completion"] for one in send(app, *events)]
    assert [(one["is_first_completion"], one["is_new_record"]) for one in found] == [
        (False, True),
        (False, False),
    ]


def test_the_times_of_a_batch_are_those_of_its_days(student, app, settings):
    settings.STREAK_TIME_ZONE = "Asia/Riyadh"  # UTC+3
    app.now = datetime(2026, 3, 4, 6, tzinfo=UTC)
    app.complete("LES-MATH-0-0", 5, datetime(2026, 3, 2, 21, 30, tzinfo=UTC))
    app.sync(app.now)
    assert str(InteractionLog.objects.get().day) == "2026-03-03"
