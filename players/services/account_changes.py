"""Effects of a changed account: audit rows, and the end of its session."""

from collections.abc import Mapping
from typing import Any

from players import audit
from players.models import PasswordResetCode, SecurityEventType, SessionEndReason
from players.services import sessions

_RIGHTS = ("is_staff", "is_superuser")


def follow(
    changes: Mapping[int, Mapping[str, Any]], *, keep_sessions: bool = False
) -> None:
    """Record the changes and end sessions, in the transaction that makes them.

    A changed password ends the player's session and the validity of a reset code. Django ends the account's other admin
    sessions by itself, because they hold a hash of the password.

    Args:
        changes: the new values of the changed columns, by user id.
        keep_sessions: a changed password ends no session.

    Raises:
        StoreAwayError: a session must end and Redis does not answer; the caller's
            transaction must roll back.
    """
    switched_off = []
    new_password = []
    for user_id, new in changes.items():
        if "is_active" in new:
            if not new["is_active"]:
                switched_off.append(user_id)
            audit.record(
                SecurityEventType.ACCOUNT_ACTIVATED
                if new["is_active"]
                else SecurityEventType.ACCOUNT_DEACTIVATED,
                user_id=user_id,
            )
        if "password" in new:
            new_password.append(user_id)
            audit.record(SecurityEventType.PASSWORD_CHANGED, user_id=user_id)
        if "email" in new:
            audit.record(SecurityEventType.EMAIL_CHANGED, user_id=user_id)
        if rights := {name: new[name] for name in _RIGHTS if name in new}:
            audit.record(SecurityEventType.RIGHTS_CHANGED, user_id=user_id, **rights)
    if switched_off:
        sessions.end_sessions_of_users(switched_off, SessionEndReason.DEACTIVATED)
    if new_password:
        PasswordResetCode.objects.filter(player__user_id__in=new_password).delete()
    if new_password and not keep_sessions:
        sessions.end_sessions_of_users(new_password, SessionEndReason.PASSWORD_CHANGED)
