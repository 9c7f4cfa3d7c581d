"""Receivers that end sessions of the students' pages with those of the app."""

from typing import Any

from django.db.models import Q
from django.dispatch import receiver

from players import signals
from registrar.student_pages import access


@receiver(signals.users_changed)
def _accounts_changed(
    changes: dict[int, dict[str, Any]], keep_sessions: bool = False, **_kwargs: Any
) -> None:
    """End the sessions of accounts that are switched off or have a new password.

    In the transaction of the change. A session stays ended when the account is switched
    on again.
    """
    ended = [
        user_id
        for user_id, new in changes.items()
        if new.get("is_active") is False or ("password" in new and not keep_sessions)
    ]
    if ended:
        access.end_all(Q(student__account__player__user_id__in=ended))
