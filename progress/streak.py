"""The streak: days in a row with a completed lesson. No Django imports.

See docs/architecture.md, "Streak". A day is a date on the server's calendar.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

_DAY = timedelta(days=1)


class Action(StrEnum):
    """The effect of a completion on the streak."""

    STARTED = "started"
    EXTENDED = "extended"
    UNCHANGED = "unchanged"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Streak:
    """The number of days in a row, and the last of them."""

    days: int = 0
    last: date | None = None


def after_success(
    streak: Streak, day: date, days: Callable[[], Collection[date]] = tuple
) -> tuple[Streak, Action]:
    """Return the streak after a completion on ``day``, and the effect on it.

    The streak is a function of the set of days with a completed lesson: it ends at the
    last of them. A day before the last one, of a completion that was sent late, can make
    it longer at its start.

    Args:
        days: returns all days with a completed lesson. Called only if the day before
            the streak's first one arrives late: it may join an earlier streak.
    """
    if streak.last is None:
        return Streak(1, day), Action.STARTED
    if day > streak.last:
        if day - streak.last == _DAY:
            return Streak(streak.days + 1, day), Action.EXTENDED
        return Streak(1, day), Action.RESET
    first = streak.last - (streak.days - 1) * _DAY
    if day != first - _DAY:
        return streak, Action.UNCHANGED
    known = frozenset(days())
    while day - _DAY in known:
        day -= _DAY
    return Streak((streak.last - day).days + 1, streak.last), Action.EXTENDED


def as_of(streak: Streak, today: date) -> Streak:
    """Return the streak as of ``today``: empty after a whole missed day.

    On the day after the last one it can still be extended.
    """
    if streak.last is None or streak.last < earliest_last(today):
        return Streak()
    return streak


def earliest_last(today: date) -> date:
    """Return the earliest last day of a streak that has not ended by ``today``."""
    return today - _DAY


def first_day_too_late(streak: Streak) -> date | None:
    """Return the day at whose start the streak ends unless a lesson is completed.

    None if there is no streak.
    """
    return None if streak.last is None else streak.last + 2 * _DAY


def of_days(days: Iterable[date]) -> Streak:
    """Return the streak of completions on these days, in any order."""
    streak = Streak()
    for day in sorted(days):
        streak, _action = after_success(streak, day)
    return streak
