"""Players who replace one of their devices at a sign-in, without staff.

``DEVICE_REPLACEMENTS`` is how often in a season, 0 for never;
``DEVICE_REPLACEMENT_COOLING_HOURS`` is the time between two of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from players import audit
from players.models import (
    Device,
    DeviceReplacement,
    PlayerProfile,
    SecurityEventType,
    Session,
    SessionEndReason,
)
from players.services.devices import claim_slot


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether a player may replace a device now.

    ``possible_at`` is the end of the cooling time, None if it is over or no replacement
    is left in this season.
    """

    may_replace: bool
    possible_at: datetime | None = None


def allowance(
    profile: PlayerProfile, held: Sequence[Device], *, now: datetime
) -> Allowance:
    """Return whether the player may replace one of the devices ``held``. One query."""
    if not settings.DEVICE_REPLACEMENTS or not held:
        return Allowance(may_replace=False)
    done = DeviceReplacement.objects.filter(player=profile)
    rows = list(done.values_list("season_id", "replaced_at"))
    in_season = sum(season_id == profile.season_id for season_id, _at in rows)
    if in_season >= settings.DEVICE_REPLACEMENTS:
        return Allowance(may_replace=False)
    cooling = timedelta(hours=settings.DEVICE_REPLACEMENT_COOLING_HOURS)
    possible_at = max((at + cooling for _season, at in rows), default=now)
    if now < possible_at:
        return Allowance(may_replace=False, possible_at=possible_at)
    return Allowance(may_replace=True)


def replace(
    profile: PlayerProfile,
    held: Sequence[Device],
    *,
    slot: int,
    device_id: UUID,
    name: str,
    ip_address: str | None,
    now: datetime,
) -> Device | None:
    """Put a new device in the place of the one in ``slot``, and end a session on it.

    The caller holds the player's lock, so replacements cannot exceed the allowance.

    Args:
        held: the player's devices, read under the lock.

    Returns:
        The new device; None if the player may not replace this device now.

    Raises:
        StoreAwayError: Redis does not answer; the caller's transaction must roll back.
    """
    old = next((device for device in held if device.slot == slot), None)
    if old is None or not allowance(profile, held, now=now).may_replace:
        return None
    old_id = old.device_id
    if Session.objects.filter(player=profile, device=old).exists():
        audit.record(
            SecurityEventType.SESSION_ENDED,
            user_id=profile.user_id,
            device_id=old_id,
            ip_address=ip_address,
            reason=SessionEndReason.DEVICE_REMOVED,
        )
    old.delete()  # cascades to its session; `players.receivers` records the reason
    device = claim_slot(profile, device_id=device_id, name=name)
    DeviceReplacement.objects.create(
        player=profile,
        season_id=profile.season_id,
        # Whole seconds, as the API writes times.
        replaced_at=now.replace(microsecond=0),
    )
    audit.record(
        SecurityEventType.DEVICE_REPLACED,
        user_id=profile.user_id,
        device_id=device_id,
        ip_address=ip_address,
        replaced=str(old_id),
    )
    return device
