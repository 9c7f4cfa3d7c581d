"""A naive implementation of the streak's rules, to compare with: day by day."""

from collections.abc import Callable, Collection, Mapping
from datetime import date, timedelta
from typing import NamedTuple


class Expected(NamedTuple):
    """The streak as of the last day with a lesson, and the days of freezes spent."""

    days: int
    last: date | None
    freezes: int
    frozen: frozenset[date]


def streak_of(
    successes: Collection[date],
    *,
    given: Mapping[date, int] | None = None,
    is_off: Callable[[date], bool] = lambda _day: False,
    every: int = 7,
    most: int = 2,
) -> Expected:
    given = given or {}
    days, freezes, frozen = 0, 0, set()
    missed: list[date] = []
    known = sorted({*successes, *given})
    day = known[0] if known else date.max
    while known and day <= known[-1]:
        freezes += given.get(day, 0)
        if day in successes:
            if days and len(missed) <= freezes:
                frozen |= set(missed)
                freezes -= len(missed)
                days += 1
            else:
                days = 1
            missed = []
            if every and days % every == 0 and freezes < most:
                freezes += 1
        elif not is_off(day):
            missed.append(day)
        day += timedelta(1)
    return Expected(days, max(successes, default=None), freezes, frozenset(frozen))
