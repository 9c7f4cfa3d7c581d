"""What the CRM is made of: its organisation, modules and fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registrar.zoho.answers import unreadable
from registrar.zoho.client import ZohoClient


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a module; ``choices`` are the values of a picklist."""

    api_name: str
    data_type: str
    choices: tuple[str, ...] = ()


def organisation(client: ZohoClient) -> str:
    """Return the organisation's name: a test of the account and its permissions."""
    rows = _rows(client.get("org"), "org")
    return str(rows[0].get("company_name", "")) if rows else ""


def modules(client: ZohoClient) -> set[str]:
    """Return the api names of all modules that the account may see."""
    rows = _rows(client.get("settings/modules"), "modules")
    return {str(row.get("api_name", "")) for row in rows}


def fields(client: ZohoClient, *, module: str) -> dict[str, Field]:
    """Return the fields of ``module`` by api name.

    Raises:
        PeerRefusedError: the CRM has no such module.
    """
    rows = _rows(client.get("settings/fields", params={"module": module}), "fields")
    found = (
        Field(
            str(row.get("api_name", "")),
            str(row.get("data_type", "")),
            tuple(
                str(choice.get("actual_value", ""))
                for choice in row.get("pick_list_values") or ()
            ),
        )
        for row in rows
    )
    return {field.api_name: field for field in found}


def _rows(body: Any, name: str) -> list[Mapping[str, Any]]:
    if body is None:
        return []
    found = body.get(name) if isinstance(body, Mapping) else None
    if not isinstance(found, list):
        raise unreadable(name)
    return found
