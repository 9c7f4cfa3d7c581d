"""The days of a player: dates in the player's time zone. No Django imports.

Each instant belongs to one day, and days only grow, also when clocks are set back and
when the zone changes. The day during which a player changes the zone ends at the first
midnight of the new zone that is not before its end in the old one. So it is never
shorter than it was, and never two days; a date that is passed over has no length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Self
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_FIRST_INSTANT = datetime.min.replace(tzinfo=UTC)
_MOST = 16
"""So many earlier zones are kept. A zone changes at most daily, so they reach further
back than any work done offline."""


@dataclass(frozen=True, slots=True)
class EarlierZone:
    """A zone that the player had, the last day in it, and when that day ended."""

    zone: str
    last_day: date
    until: datetime


@dataclass(frozen=True, slots=True)
class LocalDays:
    """The player's zone, an IANA name, and the earlier ones in their order."""

    zone: str
    earlier: tuple[EarlierZone, ...] = ()

    @classmethod
    def from_stored(
        cls, zone: str, earlier: Sequence[Sequence[Any]], *, default: str
    ) -> Self:
        """Return the days of a stored zone, "" for ``default``, and `stored`."""
        return cls(
            zone or default,
            tuple(
                EarlierZone(
                    name,
                    date.fromisoformat(last_day),
                    datetime.fromtimestamp(until, UTC),
                )
                for name, last_day, until in earlier
            ),
        )

    def stored(self) -> list[list[Any]]:
        """Return the earlier zones as JSON: name, last day, and end in Unix seconds."""
        return [
            [one.zone, one.last_day.isoformat(), int(one.until.timestamp())]
            for one in self.earlier
        ]

    def day_of(self, at: datetime) -> date:
        """Return the day of an aware time."""
        least = date.min
        for one in self.earlier:
            if at < one.until:
                return min(max(least, _day_in(one.zone, at)), one.last_day)
            least = one.last_day
        return max(least, _day_in(self.zone, at))

    def beginning_of(self, day: date) -> datetime:
        """Return the first instant of that day or a later one, in UTC."""
        least = _FIRST_INSTANT
        for one in self.earlier:
            if day <= one.last_day:
                return max(least, _beginning_in(one.zone, day))
            least = one.until
        return max(least, _beginning_in(self.zone, day))

    def end_of_day(self, at: datetime) -> datetime:
        """Return the end of the day of an aware time, in UTC."""
        return self.beginning_of(self.day_of(at) + _DAY)

    def is_skipped(self, day: date) -> bool:
        """Return whether no instant belongs to that day."""
        return self.beginning_of(day) == self.beginning_of(day + _DAY)

    def changed(self, zone: str, now: datetime) -> "LocalDays":
        """Return the days with another zone from ``now`` on."""
        if zone == self.zone:
            return self
        today = self.day_of(now)
        until = self.end_of_day(now)
        midnight = _beginning_in(zone, _day_in(zone, until))
        if midnight < until:
            until = _beginning_in(zone, _day_in(zone, until) + _DAY)
        earlier = (*self.earlier, EarlierZone(self.zone, today, until))
        return LocalDays(zone, earlier[-_MOST:])

    @property
    def settled_at(self) -> datetime | None:
        """The end of the day during which the zone was changed; None: it never was."""
        return self.earlier[-1].until if self.earlier else None


def _day_in(zone: str, at: datetime) -> date:
    day = at.astimezone(ZoneInfo(zone)).date()
    # Where clocks are set back over midnight, the day that has begun goes on.
    return day + _DAY if _beginning_in(zone, day + _DAY) <= at else day


@lru_cache(maxsize=10_000)
def _beginning_in(zone: str, day: date) -> datetime:
    """Return the first instant at which the zone's date is ``day`` or later, in UTC."""
    # The first midnight of two. Where clocks are set forward over midnight, the time
    # before: the same instant.
    return datetime.combine(day, time.min, ZoneInfo(zone)).astimezone(UTC)
