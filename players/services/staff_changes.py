"""Audit rows of staff: their sign-ins, their groups and permissions."""

import hashlib
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Group

from players import audit
from players.models import SecurityEventType, User
from players.services import rates


def record_sign_in_failed(*, username: str, ip_address: str | None) -> None:
    """Record a failed sign-in to the admin: the account, but never the typed text.

    At most ``RATE_LIMITS["staff_login_failed"]`` are recorded per network; none while
    Redis does not answer.
    """
    # Hashed, as axes does, so that Redis holds no addresses of sign-ins to the admin.
    network = rates.network_key(ip_address) if ip_address else ""
    who = hashlib.sha256(network.encode()).hexdigest()
    usage = rates.spend(who=who[:32], scope="staff_login_failed")
    if usage is None or not usage.is_allowed:
        return
    users = User.objects.filter(email=username)
    user_id = users.values_list("pk", flat=True).first()
    audit.record(SecurityEventType.STAFF_LOGIN_FAILED, user_id=user_id)


def record_rights(user_ids: Iterable[int], **details: Any) -> None:
    """Record that these accounts' rights changed; ``details`` hold ids."""
    audit.record_each(
        SecurityEventType.RIGHTS_CHANGED, [(pk, details) for pk in sorted(user_ids)]
    )


def record_group(group: Group, **details: Any) -> None:
    """Record that a group's permissions changed, or that it is deleted."""
    audit.record(SecurityEventType.RIGHTS_CHANGED, group=group.pk, **details)
