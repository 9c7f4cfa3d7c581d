"""Deliveries cut, repeated, reordered and concurrent give the ledger of one delivery.

``MEMORA_DELIVERIES`` sets about how many deliveries are made (a thorough run:
``MEMORA_DELIVERIES=100000``).
"""

import os
import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from core.api_types import parse
from players.services import wallet
from progress.api_types import SyncEventsBody
from progress.models import DeviceSequence, InteractionLog, ReviewCard, ReviewRating
from progress.services import ledger, reviews, sync_events, writing
from tests.progress.conftest import MONDAY, enrolled
from tests.progress.offline_app import OfflineApp
from tests.progress.services.test_concurrency import at_once, completed

DELIVERIES = int(os.environ.get("MEMORA_DELIVERIES", "300"))
PLACES = ["0-0", "0-1", "1-0", "1-1", "9-9"]
"""The lessons of the plan in their order, and one that does not exist."""
DEVICE = UUID("7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e")

# A lesson or a review of one of its items: place, hearts or rating, and the minutes
# since the event before it. Rating 5 is an event that cannot be read.
WORK = st.tuples(
    st.booleans(), st.sampled_from(PLACES), st.integers(0, 5), st.integers(0, 900)
)
CUTS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), max_size=25)


def queue_of(work: list[tuple[bool, str, int, int]]) -> list[dict[str, Any]]:
    """The events of an app that was offline for some days."""
    app, at = OfflineApp(None), MONDAY - timedelta(days=6)
    for is_review, place, value, minutes in work:
        at = min(at + timedelta(minutes=minutes), MONDAY)
        lesson = f"LES-MATH-{place}"
        if is_review and not value:
            app.bury(f"Q1-MATH-{place}", lesson, at)
        elif is_review:
            app.review(f"Q1-MATH-{place}", lesson, value, at)
        else:
            app.complete(lesson, value, at)
    return app.store.queue


def deliver(player_id: int, events: list[dict[str, Any]], minutes: int = 0) -> None:
    now = MONDAY + timedelta(minutes=minutes)
    body = OfflineApp(None, clock_ahead=timedelta(hours=5)).body(events, now)
    sync_events.submit(
        player_id=player_id,
        device_id=DEVICE,
        body=parse(SyncEventsBody, body),
        now=now,
    )


def recorded(player_id: int) -> tuple[list[Any], ...]:
    """Everything that is recorded of a player, without the times of receipt."""
    reviews.overview(player_id=player_id, now=MONDAY + timedelta(days=1))
    rows = InteractionLog.objects.filter(player_id=player_id).order_by("seq")
    ratings = ReviewRating.objects.filter(player_id=player_id).order_by("position")
    cards = ReviewCard.objects.filter(player_id=player_id).order_by("item_id")
    device = DeviceSequence.objects.filter(player_id=player_id)
    held = wallet.get(player_id)
    assert held == ledger.wallet_of(player_id)
    seq, shown = writing.read_subject(player_id, "SUBJ-MATH")
    assert (
        shown == ledger.subjects_of_player(player_id, ["SUBJ-MATH"], seq)["SUBJ-MATH"]
    )
    return (
        list(
            rows.values_list(
                *("seq", "type", "event_id", "reference_id", "bit_index", "hearts"),
                *("best_hearts", "xp", "first_of", "day", "device_seq"),
                *("occurred_at", "device_time", "data"),
            )
        ),
        list(
            ratings.values_list(
                *("position", "item_id", "rating", "reviewed_at", "device_seq"),
                *("device_time", "idempotency_key"),
            )
        ),
        list(
            cards.values_list(
                *("item_id", "met_at", "state", "due_at", "failures", "buried_until")
            )
        ),
        list(device.values_list("last_seq", "last_at")),
        [held],
    )


def clean(found: tuple[list[Any], ...]) -> bytes:
    """The same as bytes, which are equal exactly if everything is."""
    return orjson.dumps(found, default=str)


@pytest.mark.django_db
@settings(
    max_examples=max(1, DELIVERIES // 25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(work=st.lists(WORK, min_size=1, max_size=30), cuts=CUTS, shuffled=st.randoms())
def test_any_deliveries_give_the_ledger_of_one_delivery(
    plan, redis_client, work, cuts, shuffled
):
    once, often = (enrolled(plan, f"{uuid4()}@example.com").pk for _ in range(2))
    queue = queue_of(work)
    deliver(once, queue)
    for minutes, (start, length) in enumerate(cuts):
        part = queue[start % len(queue) :][:length]
        if start % 3 == 0:
            shuffled.shuffle(part)
        if start % 7 == 0:
            redis_client.flushdb()
        deliver(often, part, minutes)
    # What an app that follows the guide does in the end.
    for minutes in range(0, len(queue), 7):
        deliver(often, queue[minutes : minutes + 7], 30 + minutes)
    assert clean(recorded(often)) == clean(recorded(once))


@pytest.mark.django_db(transaction=True)
@pytest.mark.mariadb
@pytest.mark.parametrize("seed", range(max(2, DELIVERIES // 300)))
def test_concurrent_deliveries_give_the_ledger_of_one_delivery(plan, seed):
    chance = random.Random(seed)
    once, often = (enrolled(plan, f"{uuid4()}@example.com").pk for _ in range(2))
    queue = queue_of(
        [
            (
                chance.random() < 0.4,
                chance.choice(PLACES),
                chance.randint(0, 5),
                chance.randint(0, 900),
            )
            for _ in range(20)
        ]
    )
    deliver(once, queue)

    def send(own: random.Random) -> None:
        for _time in range(8):
            start = own.randrange(len(queue))
            deliver(often, queue[start // 2 : start + 6])
        deliver(often, queue)

    completed(
        at_once(*[lambda n=n: send(random.Random(seed * 9 + n)) for n in range(3)])
    )
    assert clean(recorded(often)) == clean(recorded(once))
