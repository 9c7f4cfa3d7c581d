"""The audit trail: who signed in, was refused, gained or lost a device (DESIGN 6).

Lines are added, never changed: `SecurityEvent` refuses it.
"""

from typing import Any
from uuid import UUID

import structlog

from players.models import SecurityEvent, SecurityEventType

log = structlog.get_logger(__name__)


def record(
    event: SecurityEventType,
    *,
    user_id: int | None = None,
    actor_id: int | None = None,
    device_id: UUID | None = None,
    ip_address: str | None = None,
    **details: Any,
) -> None:
    """Add one line, in the caller's transaction.

    Args:
        user_id: whom it is about; None when nobody known.
        actor_id: the member of staff who did it.
        details: JSON values; never a token, password or address typed by a guest.
    """
    SecurityEvent.objects.create(
        type=event,
        user_id=user_id,
        actor_id=actor_id,
        device_id=device_id,
        ip_address=ip_address,
        details=details,
    )
    log.info("security_event", type=event.value, user_id=user_id, actor_id=actor_id)
