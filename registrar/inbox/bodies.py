"""Which records a body names. Plain Python: no Django here.

Administrators of the CRM choose the body of a webhook, so several forms are accepted:
``{"id": …}``, ``{"ids": […]}``, either inside ``data``, or a list of such objects.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MAX_RECORDS = 200
MAX_ID = 40
_ID_NAMES = ("id", "record_id", "zoho_id")


class BodyError(ValueError):
    """The body names no record, too many, or an impossible id."""


@dataclass(frozen=True, slots=True)
class NamedRecord:
    """A record's id, and its ``Modified_Time`` if the body has it."""

    id: str
    modified: datetime | None = None


def named_records(value: Any) -> list[NamedRecord]:
    """Return the records that a body names, each once.

    Raises:
        BodyError: there is a wrong id, or there are more than 200 records.
    """
    found: dict[str, NamedRecord] = {}
    for one in _walk(value, depth=0):
        held = found.get(one.id)
        if held is None or (one.modified and not held.modified):
            found[one.id] = one
        if len(found) > MAX_RECORDS:
            raise BodyError("too many records")
    return list(found.values())


def _walk(value: Any, *, depth: int) -> Iterator[NamedRecord]:
    if depth > 2:
        return
    if isinstance(value, list):
        for one in value:
            if isinstance(one, Mapping):
                yield from _walk(one, depth=depth + 1)
        return
    if not isinstance(value, Mapping):
        return
    modified = parse_time(value.get("Modified_Time"))
    for name in _ID_NAMES:
        if value.get(name) not in (None, ""):
            yield NamedRecord(_checked(value[name]), modified)
            return
    ids = value.get("ids")
    if isinstance(ids, str):
        ids = [one.strip() for one in ids.split(",") if one.strip()]
    if isinstance(ids, list):
        for one in ids:
            yield NamedRecord(_checked(one), modified)
        return
    yield from _walk(value.get("data"), depth=depth + 1)


def _checked(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BodyError("id")
    text = str(value)
    if len(text) > MAX_ID or not text.isascii() or not text.isalnum():
        raise BodyError("id")
    return text


def parse_time(value: Any) -> datetime | None:
    """Return an aware time; None for an empty or wrong one, or one without an offset."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found.astimezone(UTC) if found.tzinfo else None
