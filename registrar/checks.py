"""System checks of the registrar: its mapping, and its settings."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import FieldDoesNotExist

from core import private_hosts
from registrar.mapping import locked_names
from registrar.mapping.modules import MAPPINGS, ModuleMapping

MIN_SECRET, MAX_TOKEN = 24, 50
"""Characters of a secret of the inbox; Zoho repeats tokens of up to 50."""
ROLES = 3
_ADDRESS = re.compile(r"\Ahttps?+://[^/\s]++/?+\Z")


@register("registrar")
def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """Refuse settings with which the registrar could not work. None is needed."""
    return [*_retention_errors(), *_secret_errors(), *_zoho_errors(), *_moodle_errors()]


def _retention_errors() -> Iterator[CheckMessage]:
    least = {
        "MEMORA_REGISTRAR_INBOX_DAYS": (settings.REGISTRAR_INBOX_DAYS, 1),
        "MEMORA_REGISTRAR_OUTBOX_DAYS": (settings.REGISTRAR_OUTBOX_DAYS, 1),
        "MEMORA_REGISTRAR_ERASE_DAYS": (settings.REGISTRAR_ERASE_DAYS, 0),
    }
    for variable, (days, minimum) in least.items():
        if days < minimum:
            yield Error(
                f"{variable} is less than {minimum}.",
                hint="It is a number of days.",
                id="registrar.E010",
            )


def _secret_errors() -> Iterator[CheckMessage]:
    secrets = {
        "MEMORA_REGISTRAR_HMAC_KEYS": settings.REGISTRAR_HMAC_KEYS,
        "MEMORA_REGISTRAR_HEADER_KEYS": settings.REGISTRAR_HEADER_KEYS,
        "MEMORA_REGISTRAR_TOKENS": settings.REGISTRAR_TOKENS,
        "MEMORA_STUDENT_LINK_KEYS": settings.STUDENT_LINK_KEYS,
    }
    for variable, values in secrets.items():
        if any(len(one) < MIN_SECRET for one in values):
            yield Error(
                f"{variable} has a secret of less than {MIN_SECRET} characters.",
                hint="Make one with: python -c 'import secrets; "
                "print(secrets.token_urlsafe(32))'",
                id="registrar.E003",
            )
    if any(len(one) > MAX_TOKEN for one in settings.REGISTRAR_TOKENS):
        yield Error(
            f"MEMORA_REGISTRAR_TOKENS has a token of more than {MAX_TOKEN} characters.",
            hint="Zoho does not accept a longer one for notifications.",
            id="registrar.E004",
        )


def _zoho_errors() -> Iterator[CheckMessage]:
    needed = {
        "MEMORA_ZOHO_CLIENT_ID": settings.ZOHO_CLIENT_ID,
        "MEMORA_ZOHO_CLIENT_SECRET": settings.ZOHO_CLIENT_SECRET,
        "MEMORA_ZOHO_REFRESH_TOKEN": settings.ZOHO_REFRESH_TOKEN,
    }
    missing = [variable for variable, value in needed.items() if not value]
    if missing and len(missing) < len(needed):
        yield Error(
            f"Zoho CRM is configured without {', '.join(missing)}.",
            hint="Set all three, or none to leave Zoho off.",
            id="registrar.E005",
        )
    url = settings.ZOHO_ACCOUNTS_URL
    if not _ADDRESS.match(url) or not private_hosts.is_permitted(url):
        yield Error(
            "MEMORA_ZOHO_ACCOUNTS_URL is not an address such as "
            "https://accounts.zoho.com.",
            id="registrar.E006",
        )


def _moodle_errors() -> Iterator[CheckMessage]:
    url = settings.MOODLE_URL
    if bool(url) != bool(settings.MOODLE_TOKEN):
        yield Error(
            "Only one of MEMORA_MOODLE_URL and MEMORA_MOODLE_TOKEN is set.",
            hint="Set both, or none to leave Moodle off.",
            id="registrar.E007",
        )
    if url and not private_hosts.is_permitted(url):
        yield Error(
            "MEMORA_MOODLE_URL is not an address such as https://moodle.example.org.",
            hint="Without https, its host must be in MEMORA_PRIVATE_HOSTS.",
            id="registrar.E008",
        )
    if len(settings.MOODLE_ROLES) != ROLES:
        yield Error(
            "MEMORA_MOODLE_ROLES needs three ids: of manager, teacher and student.",
            id="registrar.E009",
        )


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
    names = [one.name for one in mapping.fields]
    for name, column in sorted(
        {one.name: one.column for one in mapping.fields}.items()
    ):
        if names.count(name) > 1 or not _has_column(mapping, column):
            yield Error(
                f"The mapping of {mapping.module} writes {name} twice, or the table "
                "has no such column.",
                id="registrar.E002",
            )


def _has_column(mapping: ModuleMapping, column: str) -> bool:
    try:
        return mapping.model._meta.get_field(column) is not None
    except FieldDoesNotExist:
        return any(one.attname == column for one in mapping.model._meta.concrete_fields)
