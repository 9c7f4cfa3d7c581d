"""Convert all mapped fields of a record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from registrar.mapping.converters import UnknownValueError
from registrar.mapping.modules import ModuleMapping


@dataclass(slots=True)
class Converted:
    """A record's values by `MappedField.name`; what was not understood, by api name."""

    values: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, tuple[str, str]] = field(default_factory=dict)
    understood: set[str] = field(default_factory=set)


def convert(mapping: ModuleMapping, record: Mapping[str, Any]) -> Converted:
    """Convert a record; fields that it lacks are left out."""
    found = Converted()
    for one in mapping.fields:
        if one.api_name not in record:
            continue
        value = record[one.api_name]
        try:
            found.values[one.name] = one.convert(value)
            found.understood.add(one.api_name)
        except UnknownValueError as error:
            found.problems[one.api_name] = (str(value)[:500], error.reason)
    return found
