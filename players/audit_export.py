"""Security events as a CSV file, sent in parts while it is made."""

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from core.parsing import time_text
from core.spreadsheets.csv_text import BYTE_ORDER_MARK, csv_text
from players import audit_words
from players.models import SecurityEvent

CHUNK = 1000


def lines(events: QuerySet[Any], *, language: str | None) -> Iterator[str]:
    """Yield the file in parts: a heading, then the events, the newest first.

    Five queries for `CHUNK` events, so that memory stays small for any number. Each
    cell is safe in a spreadsheet program (`guard_formulas`).

    Args:
        language: of the heading and the texts. The response is sent after the
            request's language has been reset.
    """
    yield BYTE_ORDER_MARK + csv_text([_heading(language)])
    keys = events.order_by("-pk").values_list("pk", flat=True)
    part = list(keys[:CHUNK])
    while part:
        # Keys first, as on the page of the list (`audit_admin.NamedEvents`).
        rows = SecurityEvent.objects.filter(pk__in=part).order_by("-pk")
        found = list(rows.select_related("user", "actor"))
        with translation.override(language):
            names = audit_words.names_of(found)
            text = csv_text(_cells(event, names) for event in found)
        yield text
        part = list(keys.filter(pk__lt=part[-1])[:CHUNK])


def _heading(language: str | None) -> list[str]:
    with translation.override(language):
        return [
            _("Time (UTC)"),
            _("What"),
            _("In words"),
            _("Done by"),
            _("Account"),
            _("Account number"),
            _("Reason"),
            _("Details"),
            _("Address"),
            _("Device id"),
        ]


def _cells(event: SecurityEvent, names: audit_words.Names) -> list[str]:
    facts = audit_words.facts(event, names)
    return [
        time_text(event.created_at),
        audit_words.label(event),
        audit_words.sentence(event),
        audit_words.person(event.actor),
        audit_words.person(event.user),
        "" if event.user_id is None else str(event.user_id),
        audit_words.reason(event),
        "; ".join(f"{label}: {value}" for label, value in facts),
        event.ip_address or "",
        "" if event.device_id is None else str(event.device_id),
    ]
