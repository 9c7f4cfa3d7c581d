"""Freezes and days off, as the ledger records them and the wallet shows them."""

from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from core.api_types import parse
from core.parsing import time_text
from core.redis_client import client
from players import keys, records, wallet_sync
from players.local_days import LocalDays
from players.models import PlayerWallet
from players.records import Wanted
from players.services import wallet
from progress.api_types import StreakChange, SyncEventsBody
from progress.errors import InvalidCorrectionError
from progress.models import InteractionLog
from progress.services import ledger, reconciliation, sync_events
from tests.progress.conftest import MONDAY

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def rules(settings):
    """Every second day of a streak earns a freeze; Friday and Saturday are off."""
    settings.STREAK_FREEZE_EVERY_DAYS, settings.STREAK_MOST_FREEZES = 2, 2
    settings.STREAK_DAYS_OFF = ["fri", "sat"]


def rows() -> list[tuple[str, int, int]]:
    """What the ledger has: type, days after Monday, and freezes."""
    return [
        (row.type, (row.day - MONDAY.date()).days, row.freezes)
        for row in InteractionLog.objects.order_by("seq")
    ]


@pytest.mark.django_db(transaction=True)
def test_a_missed_day_spends_a_freeze_with_the_next_completion(
    student, finish, django_assert_num_queries, count_redis
):
    finish("0-0", day=0)
    finish("0-1", day=1)
    finish("1-0", day=1)
    count_redis.clear()
    # One INSERT of both rows; the round trip that begins, and the one that ends.
    with django_assert_num_queries(1) as queries:
        result = finish("1-1", day=3)
    assert queries.captured_queries[0]["sql"].startswith("INSERT")
    assert len(count_redis) == 3  # with the access, which is read on its own here
    assert (result.streak.old, result.streak.new) == (2, 3)
    assert (result.streak.freezes, result.streak.frozen_days) == (0, ["2026-03-04"])
    assert rows()[3:] == [("freeze_spent", 2, -1), ("lesson_completed", 3, 0)]
    held = wallet.get(student.pk)
    assert held == ledger.wallet_of(student.pk)
    assert (held.freezes, held.frozen_days) == (0, (date(2026, 3, 4),))


def test_the_weekend_is_recorded_as_one_row_and_stays_when_the_setting_changes(
    student, finish, settings
):
    finish("0-0", day=3)
    assert finish("0-1", day=6).streak.new == 2
    [paused] = InteractionLog.objects.filter(type="streak_paused")
    assert (paused.day, paused.last_day) == (date(2026, 3, 6), date(2026, 3, 7))
    settings.STREAK_DAYS_OFF = []
    client().flushdb()
    assert wallet.get(student.pk).current_streak == 2
    assert finish("1-0", day=7).streak.new == 3


def test_a_late_day_gives_its_freeze_back(student, finish):
    for place, day in (("0-0", 0), ("0-1", 1), ("1-0", 3)):
        finish(place, day=day)
    result = finish("1-1", day=2)
    assert (result.streak.old, result.streak.new, result.streak.freezes) == (3, 4, 2)
    # The late day is the third; the fourth earns another freeze.
    assert rows()[-2:] == [("freeze_returned", 2, 1), ("lesson_completed", 2, 1)]
    held = wallet.get(student.pk)
    assert held == ledger.wallet_of(student.pk)
    assert (held.current_streak, held.freezes, held.frozen_days) == (4, 2, ())


def test_the_wallet_shows_the_freezes_that_cover_today_without_a_row(student, finish):
    finish("0-0", day=0)
    finish("0-1", day=1)
    shown = {
        day: wallet.current(student.pk, days=LocalDays("UTC"), now=MONDAY + day * DAY)
        for day in (1, 2, 3, 4)
    }
    assert [one.current_streak for one in shown.values()] == [2, 2, 2, 0]
    assert [one.freezes for one in shown.values()] == [1, 1, 0, 1]
    assert shown[3].frozen_days == (date(2026, 3, 4),)
    ends = {one.streak_ends_at for one in shown.values()}
    assert ends == {(MONDAY + 4 * DAY).replace(hour=0), None}
    assert InteractionLog.objects.count() == 2


def test_a_record_of_a_version_without_freezes_counts_as_missing(student, finish):
    finish("0-0", day=0)
    finish("0-1", day=1)
    client().hdel(keys.wallet(student.pk), "freezes", "frozen_days")
    assert records.look(student.pk, Wanted(wallet=True)).wallet is None
    assert wallet.get(student.pk).freezes == 1
    client().hdel(keys.wallet(student.pk), "freezes", "frozen_days")
    assert finish("1-0", day=3).streak.new == 3


def test_snapshots_and_reconciliation_know_the_freezes(student, finish):
    finish("0-0", day=0)
    finish("0-1", day=1)
    wallet_sync.sync_pending_wallets()
    assert PlayerWallet.objects.get(pk=student.pk).freezes == 1
    assert not reconciliation.reconcile([student.pk]).found
    PlayerWallet.objects.update(freezes=9)
    client().hset(keys.wallet(student.pk), "frozen_days", "2026-03-01")
    found = reconciliation.reconcile([student.pk], repair=True)
    assert [(one.store, one.field) for one in found.found] == [
        ("redis", "frozen_days"),
        ("snapshot", "freezes"),
    ]
    assert not found.remaining


def test_a_batch_decides_each_day_on_the_days_before_it(student):
    """Days of two devices; one statement reads the days, one inserts all rows."""

    def send(app: UUID, now: datetime, *events: tuple[str, int]) -> list[StreakChange]:
        body = {
            "device_time": time_text(now),
            "events": [
                {
                    "id": str(uuid4()),
                    "seq": seq,
                    "kind": "lesson_completed",
                    "lesson_id": f"LES-MATH-{place}",
                    "hearts": 5,
                    "occurred_at": time_text(MONDAY + day * DAY),
                }
                for seq, (place, day) in enumerate(events, start=1)
            ],
        }
        answer = sync_events.submit(
            player_id=student.pk,
            device_id=app,
            body=parse(SyncEventsBody, body),
            now=now,
        )
        found = [one.completion for one in answer.results]
        return [one.streak for one in found if one is not None]

    first = send(
        *(uuid4(), MONDAY + 6 * DAY),
        *(("0-0", 0), ("0-1", 1), ("1-0", 3), ("1-1", 6)),
    )
    assert [(one.new, one.freezes) for one in first] == [(1, 0), (2, 1), (3, 0), (4, 1)]
    # Thursday to Sunday: the weekend is off. Then Wednesday arrives.
    [late] = send(uuid4(), MONDAY + 6 * DAY, ("0-0", 2))
    assert (late.old, late.new, late.freezes) == (4, 5, 2)
    assert wallet.get(student.pk) == ledger.wallet_of(student.pk)


def give(student, number: int, day: int) -> wallet.CurrentWallet:
    return wallet.give_freezes(
        player_id=student.pk,
        number=number,
        reason="Was ill",
        actor_id=student.user_id,
        now=MONDAY + day * DAY,
    )


def test_a_given_freeze_saves_a_streak_that_has_ended_until_the_next_completion(
    student, finish, django_capture_on_commit_callbacks
):
    finish("0-0", day=0)
    with django_capture_on_commit_callbacks(execute=True):
        held = give(student, 2, day=2)
    # One of them covers yesterday.
    assert (held.current_streak, held.freezes) == (1, 1)
    assert wallet.get(student.pk) == ledger.wallet_of(student.pk)
    assert finish("0-1", day=3).streak.new == 2
    assert [row[0] for row in rows()[1:]] == [
        *("freeze_given", "freeze_spent", "freeze_spent", "lesson_completed"),
    ]
    assert wallet.get(student.pk) == ledger.wallet_of(student.pk)


def test_freezes_given_after_the_completion_of_a_day_count_from_the_next_one(
    student, finish
):
    finish("0-0", day=0)
    give(student, 1, day=0)
    assert rows()[-1] == ("freeze_given", 1, 1)
    assert ledger.wallet_of(student.pk).last_played_at == MONDAY


def test_nobody_gets_more_freezes_than_the_setting_allows(student, finish):
    finish("0-0", day=0)
    give(student, 1, day=1)
    with pytest.raises(InvalidCorrectionError, match="1 of at most 2"):
        give(student, 2, day=1)
    # The missed day uses one: there is room for another.
    assert give(student, 1, day=2).freezes == 1
