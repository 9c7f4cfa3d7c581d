"""The streak: days in a row with a completed lesson. No Django imports.

See docs/architecture.md, "Streak". A day is a date in the player's time zone
(`players.local_days`). The streak and the number of freezes are a function of the days
with a completed lesson, the freezes that staff gave, the days off, and the rules: the
order in which completions arrive makes no difference.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum

_DAY = timedelta(days=1)
SHOWN_DAYS = 28
"""Frozen days are shown for so many days before the last completion."""

IsOff = Callable[[date], bool]
"""Whether a day without a completion is not missed: a day off, or none in the zone."""
Run = tuple[date, date]
"""The first and the last of consecutive days."""


class Action(StrEnum):
    """The effect of a completion on the streak."""

    STARTED = "started"
    EXTENDED = "extended"
    UNCHANGED = "unchanged"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Streak:
    """The number of days in a row, the last of them, and the freezes that are left."""

    days: int = 0
    last: date | None = None
    freezes: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """The days off, and how freezes are earned.

    Every ``freeze_every`` days of a streak earn a freeze, while the player has fewer
    than ``most_freezes``. 0 in one of them: none is earned.
    """

    is_off: IsOff
    freeze_every: int = 0
    most_freezes: int = 0

    def earned(self, *, days: int, freezes: int) -> int:
        """Return the freezes that a streak earns with its day number ``days``."""
        is_due = self.freeze_every > 0 and days % self.freeze_every == 0
        return int(is_due and freezes < self.most_freezes)


@dataclass(frozen=True, slots=True)
class History:
    """What is recorded: all days that decide on the streak.

    Attributes:
        successes: the days with a completed lesson.
        frozen: the days that a freeze was spent on, and not given back.
        off: the days off between two completions of one streak.
        given: how many freezes staff gave, by the day from which they count.
        ended: the last day of an earlier season. The other attributes have only later
            days: a streak does not go on over it.
    """

    successes: Set[date] = frozenset()
    frozen: Set[date] = frozenset()
    off: Set[date] = frozenset()
    given: Mapping[date, int] = field(default_factory=dict)
    ended: date | None = None

    def after(self, ended: date) -> "History":
        """Return what is left of the history in a season after that day."""
        return History(
            {day for day in self.successes if day > ended},
            {day for day in self.frozen if day > ended},
            {day for day in self.off if day > ended},
            {day: number for day, number in self.given.items() if day > ended},
            ended,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """The effect of a completion, or of given freezes, and what is to be recorded.

    Attributes:
        spent: the days that a freeze is spent on.
        returned: the days whose freeze is given back.
        off: days off that the streak continues over.
        earned: freezes that the completion earns; less than 0 if a late day makes some
            unearned.
    """

    streak: Streak
    action: Action = Action.UNCHANGED
    spent: tuple[date, ...] = ()
    returned: tuple[date, ...] = ()
    off: tuple[Run, ...] = ()
    earned: int = 0


@dataclass(frozen=True, slots=True)
class Current:
    """A streak as of a day: 0 days after it has ended.

    ``frozen`` has the missed days that its freezes cover, which ``freezes`` no longer
    has; the next completion records them.
    """

    days: int = 0
    freezes: int = 0
    frozen: tuple[date, ...] = ()


def after_success(
    streak: Streak,
    day: date,
    rules: Rules,
    history: Callable[[], History] = History,
) -> Change:
    """Return the effect of a completion on ``day``.

    A freeze is spent for each missed day since the last completion, but only if the
    freezes cover all of them. Days off are not missed.

    Args:
        history: returns what is recorded. Called only for a day before the last one, of
            a completion that arrives late.
    """
    if streak.last is not None and day <= streak.last and not streak.days:
        # No streak, but a last day: it is of an earlier season (`History.ended`).
        return Change(streak)
    if streak.last is not None and day < streak.last:
        return _late(streak, day, rules, history())
    if day == streak.last:
        return Change(streak)
    gap = _gap_before(streak, day, rules.is_off)
    if gap is None:
        days, action = 1, Action.STARTED if streak.last is None else Action.RESET
        gap = _Gap()
    else:
        days, action = streak.days + 1, Action.EXTENDED
    freezes = streak.freezes - len(gap.missed)
    earned = rules.earned(days=days, freezes=freezes)
    return Change(
        Streak(days, day, freezes + earned), action, gap.missed, (), gap.off, earned
    )


def day_of_gift(streak: Streak, today: date) -> date:
    """Return the first day on which freezes count that staff give today.

    They cover days that were missed since the last completion. If that was today, they
    count from tomorrow on.
    """
    if streak.last is None or streak.last < today:
        return today
    return streak.last + _DAY


def as_of(streak: Streak, today: date, is_off: IsOff) -> Current:
    """Return the streak as of ``today``: empty once more days are missed than it covers.

    Today is not missed yet. Freezes that cannot save the streak are not spent.
    """
    gap = _gap_before(streak, today, is_off)
    if gap is None:
        return Current(0, streak.freezes)
    return Current(streak.days, streak.freezes - len(gap.missed), gap.missed)


def first_day_too_late(streak: Streak, is_off: IsOff) -> date | None:
    """Return the day at whose start the streak ends unless a lesson is completed.

    None if there is no streak. The freezes and days off are counted.
    """
    if streak.last is None or not streak.days:
        return None
    left, day = streak.freezes, streak.last + _DAY
    while (is_day_off := is_off(day)) or left:
        left -= not is_day_off
        day += _DAY
    return day + _DAY


def earliest_last(today: date, freezes: int, is_off: IsOff) -> date:
    """Return the earliest last day of a streak with ``freezes`` that goes on today."""
    day = today - _DAY
    while (is_day_off := is_off(day)) or freezes:
        freezes -= not is_day_off
        day -= _DAY
    return day


def of_history(history: History, freezes: int) -> Streak:
    """Return the streak that is recorded: the last completed day, and those before it.

    Args:
        freezes: the sum of the recorded ones.
    """
    if not history.successes:
        return Streak(0, history.ended, freezes)
    last = day = max(history.successes)
    days = 0
    while True:
        if day in history.successes:
            days += 1
        elif day not in history.frozen and day not in history.off:
            return Streak(days, last, freezes)
        day -= _DAY


def recorded(history: History, day: date, change: Change) -> History:
    """Return the history with a completion on ``day`` and its effect."""
    off = (one for run in change.off for one in days_of(*run))
    return replace(
        history,
        successes=history.successes | {day},
        frozen=(history.frozen | set(change.spent)) - set(change.returned),
        off=history.off | set(off),
    )


def shown(frozen: Iterable[date], last: date | None) -> tuple[date, ...]:
    """Return the frozen days that are shown with a last completion on ``last``."""
    if last is None:
        return ()
    since = last - SHOWN_DAYS * _DAY
    return tuple(sorted(day for day in frozen if day > since))


def days_of(first: date, last: date) -> Iterator[date]:
    """Yield the days from the first to the last one."""
    for number in range((last - first).days + 1):
        yield first + number * _DAY


# --- Gaps and late days ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Gap:
    """The days between a streak and a later day: missed ones, and runs of days off."""

    missed: tuple[date, ...] = ()
    off: tuple[Run, ...] = ()


def _gap_before(streak: Streak, day: date, is_off: IsOff) -> _Gap | None:
    """Return the days between the streak and ``day``.

    None if there is no streak, or more days are missed than its freezes cover.
    """
    if streak.last is None or not streak.days:
        return None
    missed: list[date] = []
    off: list[Run] = []
    between = streak.last + _DAY
    while between < day:
        if not is_off(between):
            missed.append(between)
            if len(missed) > streak.freezes:
                return None
        elif off and off[-1][1] == between - _DAY:
            off[-1] = off[-1][0], between
        else:
            off.append((between, between))
        between += _DAY
    return _Gap(tuple(missed), tuple(off))


def _late(streak: Streak, day: date, rules: Rules, before: History) -> Change:
    is_of_earlier_season = before.ended is not None and day <= before.ended
    if day in before.successes or is_of_earlier_season:
        return Change(streak)
    after = replace(before, successes=before.successes | {day})
    return _decided_again(streak, before, after, rules)


@dataclass(slots=True)
class _Replay:
    """What the rules say about a history."""

    streak: Streak = field(default_factory=Streak)
    frozen: set[date] = field(default_factory=set)
    off: set[date] = field(default_factory=set)


def _replay(history: History, rules: Rules) -> _Replay:
    found = _Replay()
    given = sorted(history.given.items(), reverse=True)
    for day in sorted(history.successes):
        held = found.streak.freezes
        while given and given[-1][0] <= day:
            held += given.pop()[1]
        change = after_success(replace(found.streak, freezes=held), day, rules)
        found.streak = change.streak
        found.frozen.update(change.spent)
        for run in change.off:
            found.off.update(days_of(*run))
    left = sum(number for _day, number in given)
    found.streak = replace(found.streak, freezes=found.streak.freezes + left)
    return found


def _decided_again(
    streak: Streak, before: History, after: History, rules: Rules
) -> Change:
    """Return the difference that the rules make between two histories.

    Only the difference: what was recorded by other settings stays. With the same
    settings the result is what the rules say about ``after``.
    """
    is_off = rules.is_off
    rules = replace(rules, is_off=lambda day: day in before.off or is_off(day))
    old, new = _replay(before, rules), _replay(after, rules)
    frozen = before.frozen - (old.frozen - new.frozen) | (new.frozen - old.frozen)
    frozen -= after.successes
    spent = tuple(sorted(frozen - before.frozen))
    returned = tuple(sorted(before.frozen - frozen))
    earned = new.streak.freezes - old.streak.freezes
    earned += len(new.frozen) - len(old.frozen)
    # Never less than none, if fewer are left than the settings of today say.
    earned = max(earned, len(spent) - len(returned) - streak.freezes)
    freezes = streak.freezes + earned + len(returned) - len(spent)
    off = new.off - before.off
    recorded = replace(after, frozen=frozen, off=before.off | off)
    found = of_history(recorded, freezes)
    action = Action.UNCHANGED
    if found.days != streak.days:
        action = Action.EXTENDED if found.days > streak.days else Action.RESET
    return Change(found, action, spent, returned, tuple(_runs(off)), earned)


def _runs(days: Iterable[date]) -> Iterator[Run]:
    first = last = None
    for day in sorted(days):
        if last is not None and day - last == _DAY:
            last = day
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = day
    if first is not None and last is not None:
        yield first, last
