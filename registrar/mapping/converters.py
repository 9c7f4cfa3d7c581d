"""Values of Zoho's JSON to values of the mirror. Plain Python: no Django here.

Each converter takes the JSON value of a field, None included, and returns the value of
the column. It raises `UnknownValueError` for a value that it does not understand; nothing
is cut, rounded or guessed.
"""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

Converter = Callable[[Any], Any]
_MAX_MONEY = Decimal(10) ** 12
_MAX_INTEGER = 2**31 - 1


class UnknownValueError(ValueError):
    """The mapping does not accept the value. ``reason`` is one of `models.conflicts.Reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def text(most: int = 255) -> Converter:
    """Return a converter of texts, kept as they were sent; None becomes ""."""

    def convert(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise UnknownValueError("type")
        if len(str(value)) > most:
            raise UnknownValueError("length")
        return str(value)

    return convert


def choice(*known: str) -> Converter:
    """Return a converter of a picklist whose values decide what happens.

    Case and outer spaces do not count; the result is one of ``known``, or "" for None
    and for Zoho's ``-None-``.
    """
    spellings = {one.casefold(): one for one in known} | {"": "", "-none-": ""}

    def convert(value: Any) -> str:
        found = "" if value is None else value
        if not isinstance(found, str):
            raise UnknownValueError("type")
        try:
            return spellings[found.strip().casefold()]
        except KeyError:
            raise UnknownValueError("choice") from None

    return convert


def day(value: Any) -> date | None:
    """Convert ``YYYY-MM-DD``. A date has no time zone and stays the date it is."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) != len("2026-01-01"):
        raise UnknownValueError("date")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise UnknownValueError("date") from None


def money(value: Any) -> Decimal | None:
    """Convert an amount: a JSON number or its text, with at most three decimals."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UnknownValueError("number")
    try:
        # The text of a float is its shortest form: 0.1 stays 0.1.
        found = Decimal(str(value))
    except InvalidOperation:
        raise UnknownValueError("number") from None
    if not found.is_finite() or found.copy_abs() >= _MAX_MONEY:
        raise UnknownValueError("number")
    exact = found.quantize(Decimal("0.001"))
    if exact != found:
        raise UnknownValueError("decimals")
    return exact


def whole(value: Any) -> int | None:
    """Convert a whole number from 0."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value[:11].isdigit():
        value = int(value[:11])
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnknownValueError("number")
    if not 0 <= value <= _MAX_INTEGER:
        raise UnknownValueError("number")
    return value


def lookup(value: Any) -> str | None:
    """Convert a lookup ``{"name", "id"}`` to its id; None for an empty one."""
    if value is None or value == "" or value == {}:
        return None
    found = value.get("id") if isinstance(value, Mapping) else value
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise UnknownValueError("lookup")
    if not str(found) or len(str(found)) > 40:
        raise UnknownValueError("lookup")
    return str(found)


def lookup_name(value: Any) -> str:
    """Convert a lookup to its name; "" for an empty one."""
    found = value.get("name") if isinstance(value, Mapping) else None
    converted: str = text()(found)
    return converted


def linked_ids(api_name: str) -> Converter:
    """Return a converter of a multi-select lookup to a list of ids.

    Each linking row has the other record under the field's own name.
    """

    def convert(value: Any) -> list[str]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise UnknownValueError("lookup")
        rows = [row if isinstance(row, Mapping) else {} for row in value]
        ids = [lookup(row.get(api_name)) for row in rows]
        if None in ids:
            raise UnknownValueError("lookup")
        return [one for one in ids if one]

    return convert
