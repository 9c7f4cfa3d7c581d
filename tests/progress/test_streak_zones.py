"""Streaks in all time zones, over changes of clocks and of the zone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import override_settings
from hypothesis import given, settings as hypothesis_settings, strategies as st

from players.local_days import LocalDays
from players.player_state import WalletState
from players.services.wallet import CurrentStreak
from progress import streak
from progress.services import calendar, freezes, wallets
from tests.players.test_local_days import DAY, SECOND, times, zones
from tests.progress import streak_reference

MOST_HOURS = 60


class Student:
    """A student's wallet, as the services keep it: one completion after another."""

    def __init__(self, zone: str, now: datetime) -> None:
        self.days = LocalDays(zone)
        self.wallet = WalletState()
        self.history = streak.History()
        self.now = now
        self.may_change_at = now

    def shown(self, now: datetime | None = None) -> CurrentStreak:
        return wallets.streak_at(self.wallet, self.days, now or self.now)

    def complete(self, at: datetime) -> streak.Change:
        day = self.days.day_of(at)
        change = streak.after_success(
            freezes.streak_of(self.wallet),
            day,
            calendar.rules(self.days),
            lambda: self.history,
        )
        self.wallet = replace(self.wallet, **freezes.wallet_fields(self.wallet, change))
        self.history = streak.recorded(self.history, day, change)
        return change

    def move(self, zone: str) -> None:
        """Change the zone, if it is allowed now (`players.services.profile`)."""
        if self.now < self.may_change_at:
            return
        self.days = self.days.changed(zone, self.now)
        settled_at = self.days.settled_at or self.now
        self.may_change_at = max(self.now + DAY, settled_at)


steps = st.lists(
    st.tuples(
        st.integers(0, MOST_HOURS * 60),
        st.one_of(st.none(), zones),
        st.booleans(),
    ),
    min_size=1,
    max_size=30,
)


def as_rules(every: int, most: int, off: list[str]) -> Any:
    return {
        "STREAK_FREEZE_EVERY_DAYS": every,
        "STREAK_MOST_FREEZES": most,
        "STREAK_DAYS_OFF": off,
    }


offs = st.lists(st.sampled_from(["fri", "sat", "sun"]), unique=True)


@given(zones, times, steps, st.integers(0, 3), st.integers(0, 2), offs)
def test_no_change_of_clocks_or_zone_ends_a_streak_or_counts_a_day_twice(
    zone, start, plan, every, most, off
):

    with override_settings(**as_rules(every, most, off)):
        student = Student(zone, start)
        for minutes, other_zone, completes in plan:
            _wait(student, timedelta(minutes=minutes))
            if other_zone is not None:
                _move(student, other_zone)
            if completes:
                _complete(student)


def _wait(student: Student, time: timedelta) -> None:
    """The streak ends once, exactly at the time that was shown."""
    before = student.shown()
    student.now += time
    if before.days == 0:
        assert student.shown().days == 0
        return
    assert before.ends_at is not None
    is_over = student.now >= before.ends_at
    assert student.shown().days == (0 if is_over else before.days)
    assert student.shown(before.ends_at - SECOND).days == before.days
    assert student.shown(before.ends_at).days == 0
    # At the next midnight of the student: never within a day.
    assert student.days.day_of(before.ends_at) > student.days.day_of(
        before.ends_at - SECOND
    )


def _move(student: Student, zone: str) -> None:
    """A change of the zone changes nothing that is shown, but the time of the end."""
    before, today = student.shown(), student.days.day_of(student.now)
    end = student.days.beginning_of(today + DAY)
    student.move(zone)
    after = student.shown()
    assert (after.days, after.freezes) == (before.days, before.freezes)
    assert student.days.day_of(student.now) == today
    assert student.days.beginning_of(today + DAY) >= end
    if before.days:
        assert after.ends_at is not None
        assert after.ends_at >= end


def _complete(student: Student) -> None:
    before = student.shown()
    is_new_day = student.days.day_of(student.now) != student.wallet.last_success_date
    change = student.complete(student.now)
    assert change.streak.days == max(before.days + is_new_day, 1)
    assert student.shown().days == change.streak.days
    # A second one on the day, until its last second, changes nothing.
    held = student.wallet
    last = student.days.beginning_of(student.days.day_of(student.now) + DAY) - SECOND
    student.complete(last)
    assert student.wallet == held


@hypothesis_settings(max_examples=200)
@given(
    zones,
    times,
    st.lists(st.integers(0, 40 * 24 * 60), max_size=30),
    st.integers(0, 3),
    st.integers(0, 2),
    offs,
)
def test_completions_in_any_order_give_the_streak_of_all_rows(
    zone, start, minutes, every, most, off
):

    with override_settings(**as_rules(every, most, off)):
        student = Student(zone, start)
        for late in minutes:
            student.complete(start + timedelta(minutes=late))
        done = {
            student.days.day_of(start + timedelta(minutes=late)) for late in minutes
        }
        expected = streak_reference.streak_of(
            done, is_off=calendar.rules(student.days).is_off, every=every, most=most
        )
        assert freezes.streak_of(student.wallet) == streak.Streak(*expected[:3])
        assert student.history.frozen == expected.frozen


def test_in_amman_a_day_with_two_midnights_is_one_day():
    """On 29 October 2021 clocks went from 1:00 back to 0:00."""
    student = Student("Asia/Amman", datetime(2021, 10, 28, 9, tzinfo=UTC))
    done = [
        datetime(2021, 10, 28, 9, tzinfo=UTC),
        datetime(2021, 10, 28, 21, 30, tzinfo=UTC),  # 0:30, before the change
        datetime(2021, 10, 28, 22, 30, tzinfo=UTC),  # 0:30 again
        datetime(2021, 10, 29, 21, 59, 59, tzinfo=UTC),  # 23:59:59
        datetime(2021, 10, 29, 22, 0, tzinfo=UTC),  # 0:00 on the 30th
    ]
    assert [student.complete(at).streak.days for at in done] == [1, 2, 2, 2, 3]


def test_a_flight_from_los_angeles_to_tokyo_ends_no_streak_and_counts_no_day_twice():
    evening = datetime(2026, 11, 28, 5, tzinfo=UTC)  # Friday 27th, 21:00
    student = Student("America/Los_Angeles", evening)
    student.complete(evening)
    student.now = evening + timedelta(hours=1)
    student.move("Asia/Tokyo")  # where it is Saturday 28th, 15:00
    student.now += timedelta(hours=1)
    assert student.complete(student.now).streak.days == 1
    # The 28th is passed over: the 27th ends at midnight in Tokyo after its old end.
    assert student.days.is_skipped(evening.date())
    sunday = student.days.beginning_of(evening.date() + DAY)
    assert sunday == datetime(2026, 11, 28, 15, tzinfo=UTC)
    assert student.shown().ends_at == sunday + DAY
    assert student.complete(sunday).streak.days == 2
