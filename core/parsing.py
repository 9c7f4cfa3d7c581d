"""Numbers and times that a client wrote as text.

Plain Python: no Django here. Every query parameter, key in an address and client time
is read by these functions, so that none of them can name a value that Python, the
database or a later calculation does not take.
"""

import re
from datetime import UTC, datetime

MOST_KEY = 10**18 - 1
"""The largest primary key that is looked for: eighteen digits fit a BIGINT, and still do
when a page's length is added."""
EARLIEST = datetime(2, 1, 1, tzinfo=UTC)
LATEST = datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC)
"""Between these, a time exists in every time zone and a year more or less does, too."""
_DIGITS = re.compile(r"[0-9]{1,18}")


def whole_number(text: str, *, least: int = 0, most: int = MOST_KEY) -> int | None:
    """The number that ``text`` writes in ASCII digits.

    Returns:
        None for anything else: no number, one of more than 18 digits, or one outside
        ``least`` and ``most``.
    """
    if not _DIGITS.fullmatch(text):
        return None
    number = int(text)
    return number if least <= number <= most else None


def is_key(text: str) -> bool:
    """Whether ``text`` can be a primary key."""
    return whole_number(text) is not None


def as_key(text: str) -> int:
    """The primary key in an address; 0, which no row has, for anything else."""
    return whole_number(text) or 0


def instant(value: object) -> datetime | None:
    """The time that ``value`` writes in ISO 8601 with its offset, in UTC.

    Returns:
        None for anything else: no text, no offset, or a time outside `EARLIEST` and
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
