"""Security events in words, for the page of a student."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import localize
from django.utils.translation import gettext as _, gettext_lazy

from core.badges import Tone
from players import errors
from players.models import SecurityEvent, SecurityEventType, SessionEndReason

_LOOKS: dict[str, tuple[str, Tone]] = {
    SecurityEventType.LOGIN: ("●", "done"),
    SecurityEventType.LOGOUT: ("○", "quiet"),
    SecurityEventType.REFUSED: ("!", "failed"),
    SecurityEventType.SESSION_ENDED: ("○", "quiet"),
    SecurityEventType.DEVICE_ADDED: ("+", "action"),
    SecurityEventType.DEVICE_REMOVED: ("−", "action"),
    SecurityEventType.DEVICE_REPLACED: ("±", "action"),
    SecurityEventType.RATE_LIMITED: ("!", "waiting"),
    SecurityEventType.STAFF_LOGIN: ("●", "done"),
    SecurityEventType.STAFF_LOGIN_FAILED: ("!", "failed"),
    SecurityEventType.STAFF_LOGOUT: ("○", "quiet"),
    SecurityEventType.ACCOUNT_ACTIVATED: ("+", "action"),
    SecurityEventType.ACCOUNT_DEACTIVATED: ("−", "action"),
    SecurityEventType.PASSWORD_CHANGED: ("±", "action"),
    SecurityEventType.RESET_REQUESTED: ("→", "action"),
    SecurityEventType.RESET_CODE_ISSUED: ("→", "action"),
    SecurityEventType.PASSWORD_RESET: ("±", "action"),
    SecurityEventType.EMAIL_CHANGED: ("±", "action"),
    SecurityEventType.RIGHTS_CHANGED: ("±", "action"),
    SecurityEventType.ENROLLMENT_ADDED: ("+", "action"),
    SecurityEventType.ENROLLMENT_CHANGED: ("±", "action"),
    SecurityEventType.ENROLLMENT_REMOVED: ("−", "action"),
    SecurityEventType.ENTITLEMENT_ADDED: ("+", "action"),
    SecurityEventType.ENTITLEMENT_CHANGED: ("±", "action"),
    SecurityEventType.ENTITLEMENT_REMOVED: ("−", "action"),
    SecurityEventType.PLAN_ACTIVATED: ("±", "action"),
    SecurityEventType.WALLET_CORRECTED: ("±", "action"),
    SecurityEventType.PLAYER_ERASED: ("−", "action"),
    SecurityEventType.PLAYER_EXPORTED: ("→", "action"),
    SecurityEventType.PHOTO_CHANGED: ("±", "action"),
    SecurityEventType.PHOTO_REMOVED: ("−", "action"),
    SecurityEventType.EVENTS_EXPORTED: ("→", "action"),
}

_REFUSALS = {
    errors.InvalidCredentialsError.code: gettext_lazy("wrong password"),
    errors.DeviceNotAuthorizedError.code: gettext_lazy("unknown device"),
    errors.AccountInactiveError.code: gettext_lazy("the account is switched off"),
    errors.InvalidResetCodeError.code: gettext_lazy("wrong or expired code"),
    errors.NotEntitledError.code: gettext_lazy("a lesson that needs a product"),
    errors.NotEnrolledError.code: gettext_lazy("no plan"),
    errors.DeviceMismatchError.code: gettext_lazy("session of another device"),
}


@dataclass(frozen=True, slots=True)
class EventLine:
    """A security event: a badge, and its parts in words."""

    shape: str
    tone: Tone
    label: str
    parts: list[str]
    when: datetime
    actor: str
    ip_address: str | None


def look(event: SecurityEvent) -> tuple[str, Tone]:
    """Return the shape and the tone of the event's badge."""
    return _LOOKS.get(event.type, ("·", "quiet"))


def plan_ids(events: Collection[SecurityEvent]) -> set[int]:
    """Return the plans that these events name, for the titles of `line`."""
    named = (event.details.get(key) for event in events for key in _PLANS)
    return {pk for pk in named if isinstance(pk, int)}


def line(
    event: SecurityEvent,
    *,
    plans: Mapping[int, str],
    devices: Mapping[UUID, str],
) -> EventLine:
    """Describe an event; its ``actor`` must be loaded. No query.

    Args:
        plans: titles of plans by primary key; a deleted plan is shown by its number.
        devices: names of the student's devices.
    """
    shape, tone = look(event)
    parts = _words(event, event.details, plans)
    if event.device_id is not None:
        parts.append(devices.get(event.device_id) or _short(event.device_id))
    return EventLine(
        shape,
        tone,
        event.get_type_display(),
        parts,
        event.created_at,
        str(event.actor) if event.actor is not None else "",
        event.ip_address,
    )


_PLANS = ("previous", "plan")


def _words(
    event: SecurityEvent, details: Mapping[str, Any], plans: Mapping[int, str]
) -> list[str]:
    words: list[str] = []
    if code := details.get("code"):
        words.append(str(_REFUSALS.get(code, code)))
    if (xp := details.get("xp")) is not None:
        words.append(_("%(xp)s XP") % {"xp": f"\u2066{xp:+d}\u2069"})
    if reason := details.get("reason"):
        ends = event.type == SecurityEventType.SESSION_ENDED
        known = ends and reason in SessionEndReason.values
        words.append(str(SessionEndReason(reason).label) if known else str(reason))
    words += [
        plans.get(details[key], f"#{details[key]}")
        for key in _PLANS
        if details.get(key) is not None
    ]
    if item := details.get("item"):
        words.append(str(item))
        if until := parse_datetime(details.get("until") or ""):
            when = localize(timezone.localtime(until))
            words.append(_("until %(when)s") % {"when": when})
    if name := details.get("device_name"):
        words.append(str(name))
    if note := details.get("note"):
        words.append(_("reason: %(reason)s") % {"reason": note})
    return words


def _short(device_id: UUID) -> str:
    return _("device %(id)s…") % {"id": str(device_id)[:8]}
