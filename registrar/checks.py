"""System checks of the registrar: its mapping, and its settings."""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import FieldDoesNotExist

from registrar.mapping import locked_names
from registrar.mapping.modules import MAPPINGS, ModuleMapping


@register("registrar")
def check_mappings(**_kwargs: Any) -> list[CheckMessage]:
    """Refuse an api name that the specification does not have."""
    return [found for one in MAPPINGS.values() for found in _mapping_errors(one)]


def _mapping_errors(mapping: ModuleMapping) -> Iterator[CheckMessage]:
    permitted = locked_names.permitted(mapping.module) | locked_names.EVERY_MODULE
    for name in sorted(set(mapping.api_names) - permitted):
        yield Error(
            f"The mapping of {mapping.module} reads {name}, which is not a locked name.",
            hint="See registrar/mapping/locked_names.py; locked names never change.",
            id="registrar.E001",
        )
    columns = [one.column for one in mapping.fields]
    for column in sorted(set(columns)):
        if columns.count(column) > 1 or not _has_column(mapping, column):
            yield Error(
                f"The mapping of {mapping.module} writes {column} twice, or the table "
                "has no such column.",
                id="registrar.E002",
            )


def _has_column(mapping: ModuleMapping, column: str) -> bool:
    try:
        return mapping.model._meta.get_field(column) is not None
    except FieldDoesNotExist:
        return any(one.attname == column for one in mapping.model._meta.concrete_fields)
