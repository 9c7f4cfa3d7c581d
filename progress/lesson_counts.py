"""What a player did in a lesson, and what it adds to the lesson's statistics.

Plain Python: no Django here. All values are sums, minima and maxima, so the order in
which rows of the ledger are counted makes no difference.
"""

from datetime import datetime, timedelta
from enum import IntEnum
from typing import NamedTuple


class Pace(IntEnum):
    """The time from a player's first attempt at a lesson to the first pass."""

    NOT_PASSED = 0
    AT_ONCE = 1
    """The first attempt passed."""
    IN_HOUR = 2
    IN_DAY = 3
    IN_WEEK = 4
    LATER = 5


_LIMITS = (
    (timedelta(0), Pace.AT_ONCE),
    (timedelta(hours=1), Pace.IN_HOUR),
    (timedelta(days=1), Pace.IN_DAY),
    (timedelta(days=7), Pace.IN_WEEK),
)


class Done(NamedTuple):
    """What a player did in a lesson.

    ``completions`` are the attempts that were not failed, ``hearts`` the sum of their
    hearts. ``passed_at`` is None as long as all attempts failed.
    """

    attempts: int
    completions: int
    hearts: int
    first_at: datetime
    passed_at: datetime | None

    @property
    def pace(self) -> Pace:
        if self.passed_at is None:
            return Pace.NOT_PASSED
        taken = self.passed_at - self.first_at
        return next((pace for most, pace in _LIMITS if taken <= most), Pace.LATER)

    def plus(self, other: "Done") -> "Done":
        """Return what was done in both parts of the ledger."""
        passed = [at for at in (self.passed_at, other.passed_at) if at is not None]
        return Done(
            self.attempts + other.attempts,
            self.completions + other.completions,
            self.hearts + other.hearts,
            min(self.first_at, other.first_at),
            min(passed, default=None),
        )


class LessonCounts(NamedTuple):
    """The statistics of a lesson for a number of players.

    ``started`` players have an attempt, ``passed`` of them have passed. ``at_once`` to
    ``in_week`` divide those who passed by their `Pace`; the rest of them is ``later``.
    """

    started: int = 0
    passed: int = 0
    at_once: int = 0
    in_hour: int = 0
    in_day: int = 0
    in_week: int = 0
    attempts: int = 0
    completions: int = 0
    hearts: int = 0

    def plus(self, other: "LessonCounts", *, times: int = 1) -> "LessonCounts":
        """Return the sum; with ``times=-1`` the difference."""
        return LessonCounts(
            *(mine + times * its for mine, its in zip(self, other, strict=True))
        )

    @property
    def later(self) -> int:
        soon = self.at_once + self.in_hour + self.in_day + self.in_week
        return self.passed - soon

    @property
    def not_passed(self) -> int:
        """How many players have started the lesson and not passed it."""
        return self.started - self.passed

    @property
    def passed_percent(self) -> int | None:
        return _percent(self.passed, self.started)

    @property
    def at_once_percent(self) -> int | None:
        """The percentage of those who passed that passed with their first attempt."""
        return _percent(self.at_once, self.passed)

    @property
    def average_hearts(self) -> float | None:
        """The hearts of an attempt that was not failed, to one decimal."""
        if not self.completions:
            return None
        return round(self.hearts / self.completions, 1)

    @property
    def attempts_per_player(self) -> float | None:
        return round(self.attempts / self.started, 1) if self.started else None

    @property
    def typical_pace(self) -> Pace | None:
        """The `Pace` within which half of those who passed have passed."""
        if not self.passed:
            return None
        done = 0
        for pace, players in (
            (Pace.AT_ONCE, self.at_once),
            (Pace.IN_HOUR, self.in_hour),
            (Pace.IN_DAY, self.in_day),
            (Pace.IN_WEEK, self.in_week),
        ):
            done += players
            if 2 * done >= self.passed:
                return pace
        return Pace.LATER


def counts_of(done: Done) -> LessonCounts:
    """Return what one player adds to a lesson's statistics."""
    pace = done.pace
    return LessonCounts(
        started=1,
        passed=int(done.passed_at is not None),
        at_once=int(pace is Pace.AT_ONCE),
        in_hour=int(pace is Pace.IN_HOUR),
        in_day=int(pace is Pace.IN_DAY),
        in_week=int(pace is Pace.IN_WEEK),
        attempts=done.attempts,
        completions=done.completions,
        hearts=done.hearts,
    )


def _percent(part: int, whole: int) -> int | None:
    """Return the percentage, rounded down, so that 100 means everybody."""
    return 100 * part // whole if whole else None
