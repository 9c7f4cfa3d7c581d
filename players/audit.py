"""The audit trail: who signed in, was refused, gained or lost what (DESIGN 6).

Lines are added, never changed: `SecurityEvent` refuses it. They hold ids, never an
e-mail address, a password or a token.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import structlog
from django.http import HttpRequest

from players import client_info
from players.models import SecurityEvent, SecurityEventType, User

log = structlog.get_logger(__name__)

_request: ContextVar[HttpRequest | None] = ContextVar("audited_request", default=None)


@contextmanager
def during(request: HttpRequest) -> Iterator[None]:
    """Name the request's address and member of staff in every line written inside."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def _actor_id() -> int | None:
    request = _request.get()
    user = getattr(request, "user", None)
    # A player's request has a `Player` here, a visitor's an AnonymousUser.
    return user.pk if isinstance(user, User) else None


def _address() -> str | None:
    request = _request.get()
    return client_info.address_of(request) if request is not None else None


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
        actor_id: the member of staff who did it; without one, whose request it is.
            None for a command or a task.
        ip_address: without one, that of the request.
        details: JSON values; never a token, password or address typed by a guest.
    """
    _line(event, user_id, details, actor_id, device_id, ip_address).save()


def record_each(
    event: SecurityEventType,
    lines: Iterable[tuple[int | None, dict[str, Any]]],
    *,
    actor_id: int | None = None,
    device_id: UUID | None = None,
    ip_address: str | None = None,
) -> None:
    """`record` for many at once: one line for each user id and its details."""
    rows = [
        _line(event, user_id, details, actor_id, device_id, ip_address)
        for user_id, details in lines
    ]
    SecurityEvent.objects.bulk_create(rows, batch_size=500)


def _line(
    event: SecurityEventType,
    user_id: int | None,
    details: dict[str, Any],
    actor_id: int | None,
    device_id: UUID | None,
    ip_address: str | None,
) -> SecurityEvent:
    actor_id = actor_id or _actor_id()
    log.info("security_event", type=event.value, user_id=user_id, actor_id=actor_id)
    return SecurityEvent(
        type=event,
        user_id=user_id,
        actor_id=actor_id,
        device_id=device_id,
        ip_address=ip_address or _address(),
        details=details,
    )
