"""What a player did, newest first: rows of the ledger, sign-ins and sign-outs.

The ledger has no sign-ins: the audit trail stores them. A page reads both.
"""

from dataclasses import dataclass
from datetime import datetime
from heapq import merge

from players.models import SecurityEvent, SecurityEventType
from progress.models import InteractionLog
from progress.services import ledger

PAGE = 15
_VISITS = (SecurityEventType.LOGIN, SecurityEventType.LOGOUT)

Entry = InteractionLog | SecurityEvent


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: before these ids of the ledger and of the audit trail.

    ``ledger`` is a position of the player; None: at the newest.
    """

    ledger: int | None = None
    event: int | None = None


NEWEST = Cursor()


def page(
    *, player_id: int, user_id: int | None, before: Cursor
) -> tuple[list[Entry], Cursor | None]:
    """Return a page of entries, and where the next one begins; None: this is the last.

    Two queries; three with sign-ins. Rows of the ledger, archived or not, are in the
    order of their positions.

    Args:
        user_id: the player's account; None: without sign-ins and sign-outs.
    """
    rows: list[Entry] = list(
        ledger.last_rows(player_id, before=before.ledger, count=PAGE + 1)
    )
    visits = [] if user_id is None else _visits(user_id, before.event)
    entries: list[Entry] = list(merge(rows, visits, key=_received_at, reverse=True))
    shown = entries[:PAGE]
    if len(entries) <= PAGE:
        return shown, None
    older = Cursor(
        min(
            (one.seq for one in shown if isinstance(one, InteractionLog)),
            default=before.ledger,
        ),
        min(
            (one.pk for one in shown if isinstance(one, SecurityEvent)),
            default=before.event,
        ),
    )
    return shown, older


def _visits(user_id: int, before: int | None) -> list[Entry]:
    events = SecurityEvent.objects.filter(user_id=user_id, type__in=_VISITS)
    if before is not None:
        events = events.filter(pk__lt=before)
    return list(events.order_by("-created_at", "-pk")[: PAGE + 1])


def _received_at(entry: Entry) -> datetime:
    if isinstance(entry, InteractionLog):
        return entry.received_at
    return entry.created_at
