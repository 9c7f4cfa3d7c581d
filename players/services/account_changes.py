"""Effects of a changed account: audit rows, and the end of its session."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from players import audit
from players.models import (
    PasswordResetCode,
    SecurityEventType,
    Session,
    SessionEndReason,
)
from players.services import bulk_access

_RIGHTS = ("is_staff", "is_superuser")


def follow(
    changes: Mapping[int, Mapping[str, Any]], *, keep_sessions: bool = False
) -> None:
    """Record the changes and end sessions, in the transaction that makes them.

    A changed password ends the player's session and the validity of a reset code.
    Django ends the account's other admin sessions by itself, because they hold a hash
    of the password. A fixed number of queries, however many accounts.

    Args:
        changes: the new values of the changed columns, by user id.
        keep_sessions: a changed password ends no session.

    Raises:
        StoreAwayError: a session must end and Redis does not answer; the caller's
            transaction must roll back.
    """
    events: dict[SecurityEventType, list[tuple[int, dict[str, Any]]]] = defaultdict(
        list
    )
    for user_id, new in changes.items():
        if "is_active" in new:
            event = (
                SecurityEventType.ACCOUNT_ACTIVATED
                if new["is_active"]
                else SecurityEventType.ACCOUNT_DEACTIVATED
            )
            events[event].append((user_id, {}))
        if "password" in new:
            events[SecurityEventType.PASSWORD_CHANGED].append((user_id, {}))
        if "email" in new:
            events[SecurityEventType.EMAIL_CHANGED].append((user_id, {}))
        if rights := {name: new[name] for name in _RIGHTS if name in new}:
            events[SecurityEventType.RIGHTS_CHANGED].append((user_id, rights))
    for event, lines in events.items():
        audit.record_each(event, lines)
    _end(events[SecurityEventType.ACCOUNT_DEACTIVATED], SessionEndReason.DEACTIVATED)
    new_password = events[SecurityEventType.PASSWORD_CHANGED]
    if new_password:
        PasswordResetCode.objects.filter(
            player__user_id__in=[user_id for user_id, _details in new_password]
        ).delete()
    if not keep_sessions:
        _end(new_password, SessionEndReason.PASSWORD_CHANGED)


def _end(lines: list[tuple[int, dict[str, Any]]], reason: SessionEndReason) -> None:
    """End the sessions of accounts that this transaction changed."""
    if not lines:
        return
    players = Session.objects.filter(
        player__user_id__in=[user_id for user_id, _details in lines]
    )
    bulk_access.end_sessions(list(players.values_list("player_id", flat=True)), reason)
