"""Compare a record of Zoho with its row; nothing is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registrar.mapping.modules import MAPPINGS
from registrar.mirror.converting import convert
from registrar.models import MirrorRow


@dataclass(frozen=True, slots=True)
class Difference:
    """A column whose value is not that of the record. Values are texts for staff."""

    module: str
    record_id: str
    column: str
    here: str
    in_zoho: str


def compare(
    module: str, record: Mapping[str, Any], row: MirrorRow | None
) -> list[Difference]:
    """Return the differences; none for a row that is missing or deleted.

    Values that are not understood are no differences: they are conflicts.
    """
    if row is None or row.deleted_at is not None:
        return []
    mapping = MAPPINGS[module]
    held = mapping.values_of(row)
    return [
        Difference(module, row.zoho_id, column, _text(held[column]), _text(value))
        for column, value in convert(mapping, record).values.items()
        if held[column] != value
    ]


def _text(value: Any) -> str:
    return "" if value is None else str(value)
