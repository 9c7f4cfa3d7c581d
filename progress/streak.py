"""The streak: days in a row with a completed lesson. No Django imports.

See docs/architecture.md, "Streak". A day is a date on the server's calendar.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum


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


def after_success(streak: Streak, today: date) -> tuple[Streak, Action]:
    """Return the streak after a completion on ``today``, and the effect on it.

    If the last day is in the future (the clock was set back), nothing changes.
    """
    if streak.last is None:
        return Streak(1, today), Action.STARTED
    if today <= streak.last:
        return streak, Action.UNCHANGED
    if today - streak.last == timedelta(days=1):
        return Streak(streak.days + 1, today), Action.EXTENDED
    return Streak(1, today), Action.RESET


def as_of(streak: Streak, today: date) -> Streak:
    """Return the streak as of ``today``: empty after a whole missed day.

    On the day after the last one it can still be extended.
    """
    if streak.last is None or streak.last < earliest_last(today):
        return Streak()
    return streak


def earliest_last(today: date) -> date:
    """Return the earliest last day of a streak that has not ended by ``today``."""
    return today - timedelta(days=1)


def first_day_too_late(streak: Streak) -> date | None:
    """Return the day at whose start the streak ends unless a lesson is completed.

    None if there is no streak.
    """
    return None if streak.last is None else streak.last + timedelta(days=2)


def of_days(days: Iterable[date]) -> Streak:
    """Return the streak of completions on these days, in the order they happened."""
    streak = Streak()
    for day in days:
        streak, _action = after_success(streak, day)
    return streak
