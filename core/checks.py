"""System checks of settings that several apps have."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.checks import CheckMessage, Error


def time_zone_errors(variable: str, value: str, *, id: str) -> Iterator[CheckMessage]:
    """Yield an error if ``value``, of the environment's ``variable``, is no time zone.

    Args:
        id: the id of the error, such as ``memora.E002``.
    """
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Error(
            f"{variable} is {value!r}, which is not a time zone.",
            hint="Use a name of the IANA database such as UTC or Asia/Riyadh.",
            id=id,
        )
