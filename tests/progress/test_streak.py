"""The streak and its freezes: pure functions."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, strategies as st

from progress import days_off, streak
from progress.streak import Action, Change, History, Rules, Streak
from tests.progress import streak_reference

MONDAY = date(2026, 3, 2)
DAY = timedelta(1)
NONE = Rules(is_off=lambda _day: False)


def rules(*entries: str, every: int = 7, most: int = 2) -> Rules:
    return Rules(days_off.parse(entries).__contains__, every, most)


WEEKEND = rules("fri", "sat")


@pytest.mark.parametrize(
    ("before", "days_later", "after", "action"),
    [
        (Streak(), 0, Streak(1, MONDAY), Action.STARTED),
        (Streak(3, MONDAY), 0, Streak(3, MONDAY), Action.UNCHANGED),
        (Streak(3, MONDAY), 1, Streak(4, MONDAY + DAY), Action.EXTENDED),
        (Streak(3, MONDAY), 2, Streak(1, MONDAY + 2 * DAY), Action.RESET),
        (Streak(3, MONDAY), 400, Streak(1, MONDAY + 400 * DAY), Action.RESET),
    ],
)
def test_the_streak_counts_days_in_a_row(before, days_later, after, action):
    today = MONDAY + timedelta(days_later)
    assert streak.after_success(before, today, NONE) == Change(after, action)


@pytest.mark.parametrize(
    ("days_earlier", "days", "action"),
    [
        (1, 3, Action.UNCHANGED),
        (4, 3, Action.UNCHANGED),
        (3, 4, Action.EXTENDED),
    ],
)
def test_a_late_day_counts_where_it_joins_the_streak(days_earlier, days, action):
    own = frozenset(MONDAY - n * DAY for n in range(3))
    late = MONDAY - days_earlier * DAY
    found = streak.after_success(Streak(3, MONDAY), late, NONE, lambda: History(own))
    assert found == Change(Streak(days, MONDAY), action)


def test_a_freeze_is_spent_for_each_missed_day():
    thursday = MONDAY + 3 * DAY
    found = streak.after_success(Streak(4, MONDAY, 2), thursday, NONE)
    assert found.streak == Streak(5, thursday, 0)
    assert found.spent == (MONDAY + DAY, MONDAY + 2 * DAY)


def test_freezes_that_cannot_save_the_streak_are_not_spent():
    friday = MONDAY + 4 * DAY
    found = streak.after_success(Streak(4, MONDAY, 2), friday, NONE)
    assert found == Change(Streak(1, friday, 2), Action.RESET)


def test_days_off_are_not_missed_and_recorded_as_one_run():
    sunday = MONDAY + 6 * DAY
    thursday = Streak(4, MONDAY + 3 * DAY)
    found = streak.after_success(thursday, sunday, WEEKEND)
    assert found.streak == Streak(5, sunday)
    assert found.off == ((MONDAY + 4 * DAY, MONDAY + 5 * DAY),)


def test_every_seventh_day_earns_a_freeze_up_to_the_most():
    found, seen = Streak(), []
    for number in range(28):
        found = streak.after_success(found, MONDAY + number * DAY, rules()).streak
        seen.append(found.freezes)
    assert [seen.index(1) + 1, seen.index(2) + 1, max(seen)] == [7, 14, 2]


@pytest.mark.parametrize(("every", "most"), [(0, 2), (7, 0)])
def test_zero_switches_earning_off(every, most):
    own = rules(every=every, most=most)
    assert streak.after_success(Streak(6, MONDAY), MONDAY + DAY, own).earned == 0


# --- As of a day ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days_later", "days", "freezes", "frozen"),
    [
        (-3, 4, 1, 0),  # the clock was set back
        (0, 4, 1, 0),
        (1, 4, 1, 0),
        (2, 4, 0, 1),
        (3, 0, 1, 0),
    ],
)
def test_the_streak_of_today_counts_the_freezes_that_cover(
    days_later, days, freezes, frozen
):
    today = MONDAY + days_later * DAY
    found = streak.as_of(Streak(4, MONDAY, 1), today, NONE.is_off)
    assert (found.days, found.freezes, len(found.frozen)) == (days, freezes, frozen)


@given(
    st.integers(0, 3),
    st.sets(st.sampled_from(days_off.WEEKDAYS), max_size=6),
    st.dates(date(2026, 1, 1), date(2026, 12, 31)),
)
def test_the_streak_ends_on_the_first_day_that_is_too_late(freezes, weekdays, last):
    is_off = rules(*weekdays).is_off
    held = Streak(9, last, freezes)
    end = streak.first_day_too_late(held, is_off)
    assert end is not None
    assert streak.as_of(held, end, is_off).days == 0
    assert streak.as_of(held, end - DAY, is_off).days == 9
    # The same rule from the other side: what the dashboard counts.
    for today in (end - DAY, end):
        goes_on = last >= streak.earliest_last(today, freezes, is_off)
        assert goes_on == bool(streak.as_of(held, today, is_off).days)


def test_without_a_streak_nothing_ends():
    assert streak.first_day_too_late(Streak(), NONE.is_off) is None
    assert streak.as_of(Streak(0, None, 2), MONDAY, NONE.is_off).freezes == 2


# --- Any order ------------------------------------------------------------------------

_DATES = st.dates(date(2026, 1, 1), date(2026, 2, 15))


class Ledger:
    """What a player's rows say, as the services record it."""

    def __init__(self, own: Rules) -> None:
        self.rules = own
        self.streak = Streak()
        self.history = History()

    def give(self, today: date, number: int) -> None:
        day = streak.day_of_gift(self.streak, today)
        given = {**self.history.given, day: self.history.given.get(day, 0) + number}
        self.history = replace(self.history, given=given)
        self.streak = replace(self.streak, freezes=self.streak.freezes + number)

    def complete(self, day: date) -> Change:
        change = streak.after_success(
            self.streak, day, self.rules, lambda: self.history
        )
        self.streak = change.streak
        self.history = streak.recorded(self.history, day, change)
        return change


@given(
    st.lists(st.tuples(_DATES, st.integers(0, 2)), max_size=40),
    st.integers(0, 4),
    st.integers(0, 3),
    st.sets(st.sampled_from(days_off.WEEKDAYS), max_size=2),
)
def test_the_order_of_days_makes_no_difference(plan, every, most, weekdays):
    """Each step is a completion, or (not 0) freezes that staff give on a day."""
    own = rules(*weekdays, every=every, most=most)
    found, freezes = Ledger(own), 0
    days: set[date] = set()
    for day, number in plan:
        change = Change(found.streak)
        if number:
            found.give(day, number)
            freezes += number
        else:
            change = found.complete(day)
            days.add(day)
        expected = streak_reference.streak_of(
            days,
            given=found.history.given,
            is_off=own.is_off,
            every=every,
            most=most,
        )
        assert found.streak == Streak(*expected[:3])
        assert found.history.frozen == expected.frozen
        # The rows alone say the same.
        assert streak.of_history(found.history, expected.freezes) == found.streak
        freezes += change.earned + len(change.returned) - len(change.spent)
        assert freezes == expected.freezes


@given(st.sets(_DATES, min_size=1), st.data())
def test_a_late_day_never_takes_away_what_other_settings_gave(days, data):
    """A school may change its rules; what is recorded stays."""
    before = Ledger(rules("fri", "sat", every=2, most=3))
    for day in sorted(days):
        before.complete(day)
    after = Ledger(NONE)
    after.streak, after.history = before.streak, before.history
    for day in data.draw(st.lists(_DATES, max_size=3)):
        change = after.complete(day)
        assert change.streak.freezes >= 0
        assert set(change.returned) <= {day}
        if day < max(days):
            assert change.streak.days >= before.streak.days
        assert after.streak == streak.of_history(after.history, after.streak.freezes)
        before.streak = after.streak
