"""Values of Zoho's fields, and the texts of searches.

Ids are texts: JavaScript and many JSON readers round their nineteen digits.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

_RECORD_ID = re.compile(r"[0-9]{1,30}")
_API_NAME = re.compile(r"\w{1,100}", re.ASCII)


def record_id(value: str) -> str:
    """Return ``value``, which may come from a webhook, if it can be a record's id.

    Raises:
        ValueError: it is not a number. In an address it could name another record.
    """
    if not _RECORD_ID.fullmatch(value):
        raise ValueError(f"not an id of a record: {value[:40]!r}")
    return value


def api_name(value: str) -> str:
    """Return ``value`` if it can be the api name of a module or a related list.

    Raises:
        ValueError: it cannot.
    """
    if not _API_NAME.fullmatch(value):
        raise ValueError(f"not an api name: {value[:40]!r}")
    return value


def lookup_name(value: Any) -> str:
    """Return the name of a lookup; "" for an empty one."""
    found = value.get("name") if isinstance(value, Mapping) else None
    return str(found) if found else ""


def to_lookup(record_id: str) -> dict[str, str] | None:
    """Return a lookup for a write; None empties the field."""
    return {"id": record_id} if record_id else None


def to_multi_select(ids: Iterable[str], *, field: str) -> list[dict[str, Any]]:
    """Return linking rows for a write."""
    return [{field: {"id": one}} for one in ids]


def timestamp(moment: datetime) -> str:
    """Return an aware time as Zoho writes it: whole seconds with an offset."""
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()


def parse_timestamp(value: Any) -> datetime | None:
    """Return a time such as ``Modified_Time``; None for an empty or wrong one.

    A text without an offset is none: it could mean different times.
    """
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found.astimezone(UTC) if found.tzinfo else None


def criterion(field: str, value: str) -> str:
    """Return a search criterion: ``field`` equals ``value``."""
    escaped = value.replace("\\", "\\\\")
    for character in "(),":
        escaped = escaped.replace(character, f"\\{character}")
    return f"({field}:equals:{escaped})"


def coql_text(value: str) -> str:
    """Return ``value`` as a text in a COQL query, with its quotes."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
