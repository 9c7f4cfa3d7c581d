"""How many days in a row a player has completed a lesson (DESIGN 7).

Plain rules: no Django here. A day is a date on the server's calendar.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum


class Action(StrEnum):
    """What a completion did to the streak."""

    STARTED = "started"
    EXTENDED = "extended"
    UNCHANGED = "unchanged"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Streak:
    """Days in a row, and the last of them."""

    days: int = 0
    last: date | None = None


def after_success(streak: Streak, today: date) -> tuple[Streak, Action]:
    """The streak once a lesson was completed on ``today``, and what happened to it.

    A last day in the future (the clock was set back) leaves all as it was.
    """
    if streak.last is None:
        return Streak(1, today), Action.STARTED
    if today <= streak.last:
        return streak, Action.UNCHANGED
    if today - streak.last == timedelta(days=1):
        return Streak(streak.days + 1, today), Action.EXTENDED
    return Streak(1, today), Action.RESET


def as_of(streak: Streak, today: date) -> Streak:
    """The streak as it stands on ``today``: none once a whole day was missed.

    The day after the last one is still its day to go on.
    """
    if streak.last is None or today - streak.last > timedelta(days=1):
        return Streak()
    return streak


def first_day_too_late(streak: Streak) -> date | None:
    """The day whose beginning ends the streak, unless a lesson is completed before.

    None where there is no streak.
    """
    return None if streak.last is None else streak.last + timedelta(days=2)


def of_days(days: Iterable[date]) -> Streak:
    """The streak that completions on these days made, in the order they happened."""
    streak = Streak()
    for day in days:
        streak, _action = after_success(streak, day)
    return streak
