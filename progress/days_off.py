"""Days off, such as weekends and school holidays. No Django imports."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS = re.compile(r"\A(\d{4}-\d\d-\d\d)(?:/(\d{4}-\d\d-\d\d))?\Z")


@dataclass(frozen=True, slots=True)
class DaysOff:
    """A calendar of days that do not break a streak.

    ``weekdays`` has numbers, 0 is Monday; ``ranges`` the first and last day of each.
    """

    weekdays: frozenset[int] = frozenset()
    ranges: tuple[tuple[date, date], ...] = ()

    def __contains__(self, day: date) -> bool:
        return day.weekday() in self.weekdays or any(
            first <= day <= last for first, last in self.ranges
        )


def parse(entries: Iterable[str]) -> DaysOff:
    """Return the calendar of entries such as ``fri``, ``2026-12-25``.

    An entry is a weekday (`WEEKDAYS`), a date, or two dates with ``/`` between them: the
    first and the last day.

    Raises:
        ValueError: names the entry that is none of these, or says that all seven
            weekdays are off: a streak could never end.
    """
    weekdays: set[int] = set()
    ranges = []
    for entry in entries:
        if entry in WEEKDAYS:
            weekdays.add(WEEKDAYS.index(entry))
            continue
        found = _DAYS.match(entry)
        if found is None:
            raise ValueError(f"{entry!r} is neither a weekday nor a date")
        first, last = found.group(1), found.group(2) or found.group(1)
        try:
            days = date.fromisoformat(first), date.fromisoformat(last)
        except ValueError:
            raise ValueError(f"{entry!r} has a date that does not exist") from None
        if days[0] > days[1]:
            raise ValueError(f"{entry!r} ends before it begins")
        ranges.append(days)
    if len(weekdays) == len(WEEKDAYS):
        raise ValueError("all seven weekdays are off")
    return DaysOff(frozenset(weekdays), tuple(ranges))
