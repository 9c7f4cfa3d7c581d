"""Parse numbers, times and time zones that a client sent as text.

Plain Python: no Django here. These functions read every query parameter, key in a URL,
client time and time zone, so that no value is outside the range of Python, the database
or a later calculation.
"""

import re
from datetime import UTC, datetime
from functools import cache
from zoneinfo import available_timezones

MAX_KEY = 10**18 - 1
"""The largest primary key that is looked up.

Eighteen digits fit a BIGINT, also after the length of a page is added.
"""
EARLIEST = datetime(2, 1, 1, tzinfo=UTC)
LATEST = datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC)
"""Times in this range exist in every time zone, also one year earlier or later."""
_DIGITS = re.compile(r"[0-9]{1,18}")


def whole_number(text: str, *, minimum: int = 0, maximum: int = MAX_KEY) -> int | None:
    """Return the number that ``text`` holds in ASCII digits.

    Returns:
        None for anything else: not a number, more than 18 digits, or outside ``minimum``
            and ``maximum``.
    """
    if not _DIGITS.fullmatch(text):
        return None
    number = int(text)
    return number if minimum <= number <= maximum else None


def is_key(text: str) -> bool:
    """Return whether ``text`` can be a primary key."""
    return whole_number(text) is not None


def as_key(text: str) -> int:
    """Return the primary key in a URL; 0, which no row has, for anything else."""
    return whole_number(text) or 0


def parse_time(value: object) -> datetime | None:
    """Return the time that ``value`` holds in ISO 8601 with an offset, in UTC.

    Returns:
        None for anything else: not a text, no offset, or outside `EARLIEST` and
            `LATEST`.
    """
    if not isinstance(value, str) or not value.isprintable():
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            return None
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if EARLIEST <= moment <= LATEST else None


def time_text(at: datetime) -> str:
    """Return an aware time in UTC as the API writes it: ``2026-01-31T08:00:00Z``."""
    # `strftime` takes four times as long.
    return f"{at.astimezone(UTC).isoformat(timespec='seconds')[:19]}Z"


def is_time_zone(text: str) -> bool:
    """Return whether ``text`` is a zone of the IANA database, such as ``Asia/Riyadh``."""
    return text in _time_zones()


@cache
def _time_zones() -> frozenset[str]:
    # These two are files of the database and no zones: what they mean differs by machine.
    return frozenset(available_timezones()) - {"Factory", "localtime"}
