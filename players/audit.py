"""The audit trail: sign-ins, refusals, and changes of rights and access.

Rows are added and never changed; `SecurityEvent` refuses changes. They hold ids, never
an e-mail address, a password or a token.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import structlog
from django.http import HttpRequest

from players import client_info
from players.models import SecurityEvent, SecurityEventType as Type, User

log = structlog.get_logger(__name__)

_RIGHTS = (
    "is_staff",
    "is_superuser",
    "groups",
    "permissions",
    "group",
    "deleted",
    "classes",
)
_PRODUCT = ("item", "until")
_PROGRESS = ("node", "lessons", "reason")

DETAILS: dict[Type, tuple[str, ...]] = {
    **dict.fromkeys(Type, ()),
    Type.REFUSED: ("code", "endpoint", "device_name"),
    Type.SESSION_ENDED: ("reason",),
    Type.DEVICE_ADDED: ("first",),
    Type.DEVICE_REPLACED: ("replaced",),
    Type.RATE_LIMITED: ("endpoint",),
    Type.PASSWORD_RESET: ("by",),
    Type.RIGHTS_CHANGED: _RIGHTS,
    Type.ENROLLMENT_ADDED: ("plan",),
    Type.ENROLLMENT_CHANGED: ("plan",),
    Type.ENROLLMENT_REMOVED: ("plan", "plan_id", "players"),
    Type.ENTITLEMENT_ADDED: _PRODUCT,
    Type.ENTITLEMENT_CHANGED: _PRODUCT,
    Type.ENTITLEMENT_REMOVED: _PRODUCT,
    Type.PLAN_ACTIVATED: ("plan", "previous"),
    Type.WALLET_CORRECTED: ("xp", "reason"),
    Type.FREEZES_GIVEN: ("freezes", "reason"),
    Type.PROGRESS_GRANTED: _PROGRESS,
    Type.PROGRESS_RESET: _PROGRESS,
    Type.WALLETS_SYNCED: ("force", "synced"),
    Type.PLAYER_CREATED: ("columns",),
    Type.PLAYER_CHANGED: ("columns",),
    Type.PLAYER_ERASED: ("player",),
    Type.EVENTS_EXPORTED: ("events", "filters"),
}
"""The details that each type may have; `players.audit_words` has words for each.

Every event may also have ``note``, the reason that staff wrote.
"""

_request: ContextVar[HttpRequest | None] = ContextVar("audited_request", default=None)
_actor: ContextVar[int | None] = ContextVar("audited_actor", default=None)
_note: ContextVar[str] = ContextVar("audit_note", default="")


@contextmanager
def during(request: HttpRequest) -> Iterator[None]:
    """Use the request's address and member of staff for every row recorded inside."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


@contextmanager
def acting_as(actor_id: int | None) -> Iterator[None]:
    """Use this member of staff for every row recorded inside, where no request is."""
    token = _actor.set(actor_id)
    try:
        yield
    finally:
        _actor.reset(token)


@contextmanager
def because(note: str) -> Iterator[None]:
    """Add the reason that staff wrote, as ``note``, to every row recorded inside."""
    token = _note.set(note)
    try:
        yield
    finally:
        _note.reset(token)


def _actor_id() -> int | None:
    request = _request.get()
    if request is None:
        return _actor.get()
    user = getattr(request, "user", None)
    # For a player's request ``user`` is a `Player`, for a visitor's an AnonymousUser.
    return user.pk if isinstance(user, User) else None


def _address() -> str | None:
    request = _request.get()
    return client_info.address_of(request) if request is not None else None


def _device_id() -> UUID | None:
    """Return the device of the student whose request this is."""
    user = getattr(_request.get(), "user", None)
    found: UUID | None = getattr(user, "device_id", None)
    return found


def record(
    event: Type,
    *,
    user_id: int | None = None,
    actor_id: int | None = None,
    device_id: UUID | None = None,
    ip_address: str | None = None,
    **details: Any,
) -> None:
    """Add one row, in the caller's transaction.

    Args:
        user_id: the account that the event is about; None if it is unknown.
        actor_id: the member of staff who acted. The default is the current request's
            user; None for a command or a task.
        device_id: the default is the device of the student whose request this is.
        ip_address: the default is the address of the current request.
        details: JSON values; never a token, a password or an address typed by a guest.

    Raises:
        ValueError: `DETAILS` does not list a detail for this type.
    """
    _line(event, user_id, details, actor_id, device_id, ip_address).save()


def record_each(
    event: Type,
    lines: Iterable[tuple[int | None, dict[str, Any]]],
    *,
    device_ids: Sequence[UUID | None] | None = None,
) -> None:
    """Add one row, as `record` does, for each pair of user id and details.

    Args:
        device_ids: the device of each pair; None: no row has one.

    Raises:
        ValueError: there are more pairs than devices, or fewer.
    """
    pairs = list(lines)
    devices = [None] * len(pairs) if device_ids is None else device_ids
    rows = [
        _line(event, user_id, details, None, device_id, None)
        for (user_id, details), device_id in zip(pairs, devices, strict=True)
    ]
    SecurityEvent.objects.bulk_create(rows, batch_size=500)


def _line(
    event: Type,
    user_id: int | None,
    details: dict[str, Any],
    actor_id: int | None,
    device_id: UUID | None,
    ip_address: str | None,
) -> SecurityEvent:
    if unknown := details.keys() - set(DETAILS[event]):
        raise ValueError(f"DETAILS lacks {sorted(unknown)} for {event.value}")
    actor_id = actor_id or _actor_id()
    if note := _note.get():
        details = {**details, "note": note}
    log.info("security_event", type=event.value, user_id=user_id, actor_id=actor_id)
    return SecurityEvent(
        type=event,
        user_id=user_id,
        actor_id=actor_id,
        device_id=device_id or _device_id(),
        ip_address=ip_address or _address(),
        details=details,
    )
