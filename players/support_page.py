"""What support sees on a student's page: devices, session, wallet, recent events."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from core.badges import Tone
from players import audit_words
from players.errors import DeviceNotAuthorizedError
from players.models import (
    DEVICE_SLOTS,
    Device,
    PlayerProfile,
    SecurityEvent,
    SecurityEventType,
    Session,
)
from players.services import wallet
from players.services.wallet import CurrentWallet

_ATTEMPTS_OF = timedelta(days=30)
_MOST_ATTEMPTS = 5
_REFUSALS_READ = 100
_EVENTS = 10


@dataclass(frozen=True, slots=True)
class Slot:
    """One of the two slots, and its device, if any."""

    number: int
    device: Device | None


@dataclass(frozen=True, slots=True)
class RefusedAttempt:
    """Sign-ins with the right password that were refused on one unknown device.

    ``name`` is the device's, as its app calls it, or "".
    """

    device_id: UUID
    name: str
    last_at: datetime
    ip_address: str | None
    count: int


@dataclass(frozen=True, slots=True)
class EventLine:
    """A security event: a badge, and in words why and what."""

    look: tuple[str, Tone]
    label: str
    parts: list[str]
    when: datetime
    actor: str
    ip_address: str | None


@dataclass(frozen=True, slots=True)
class SupportPage:
    """The parts of the page that players add above and below the form."""

    slots: list[Slot]
    has_free_slot: bool
    session: Session | None
    attempts: list[RefusedAttempt]
    wallet: CurrentWallet
    events: list[EventLine]


def load(player: PlayerProfile, *, now: datetime) -> SupportPage:
    """Read the page. Seven queries, and one more where Redis lacks the wallet."""
    held = list(Device.objects.filter(player=player))
    by_slot = {device.slot: device for device in held}
    names = {device.device_id: str(device) for device in held}
    session = Session.objects.filter(player=player).select_related("device").first()
    return SupportPage(
        slots=[Slot(number, by_slot.get(number)) for number in DEVICE_SLOTS],
        has_free_slot=len(held) < len(DEVICE_SLOTS),
        session=session,
        attempts=_attempts(player, names, now),
        wallet=wallet.current(player.pk, days=player.local_days, now=now),
        events=_events(player, names),
    )


def _attempts(
    player: PlayerProfile, held: Collection[UUID], now: datetime
) -> list[RefusedAttempt]:
    """Return the refused devices that are not the player's now, newest first."""
    refusals = SecurityEvent.objects.filter(
        user_id=player.user_id,
        type=SecurityEventType.REFUSED,
        device_id__isnull=False,
        created_at__gte=now - _ATTEMPTS_OF,
    )
    found: dict[UUID, list[SecurityEvent]] = {}
    for event in refusals.order_by("-created_at", "-pk")[:_REFUSALS_READ]:
        unknown = event.details.get("code") == DeviceNotAuthorizedError.code
        if unknown and event.device_id not in held:
            found.setdefault(event.device_id, []).append(event)
    return [
        RefusedAttempt(
            device_id=device_id,
            name=next(filter(None, (_name(event) for event in events)), ""),
            last_at=events[0].created_at,
            ip_address=events[0].ip_address,
            count=len(events),
        )
        for device_id, events in list(found.items())[:_MOST_ATTEMPTS]
    ]


def _name(event: SecurityEvent) -> str:
    return str(event.details.get("device_name") or "")


def _events(player: PlayerProfile, devices: Mapping[UUID, str]) -> list[EventLine]:
    rows: Any = SecurityEvent.objects.filter(user_id=player.user_id)
    events = list(rows.select_related("actor").order_by("-created_at", "-pk")[:_EVENTS])
    names = audit_words.names_of(events)
    return [
        EventLine(
            audit_words.look(event),
            audit_words.label(event),
            _parts(event, names, devices),
            event.created_at,
            str(event.actor or ""),
            event.ip_address,
        )
        for event in events
    ]


def _parts(
    event: SecurityEvent, names: audit_words.Names, devices: Mapping[UUID, str]
) -> list[str]:
    """Return the reason, the details and the device, as far as the event has them."""
    parts = [audit_words.reason(event)]
    parts += [f"{label}: {value}" for label, value in audit_words.facts(event, names)]
    if event.device_id is not None and "device_name" not in event.details:
        unknown = _("device %(id)s…") % {"id": str(event.device_id)[:8]}
        parts.append(devices.get(event.device_id, unknown))
    return [part for part in parts if part]
