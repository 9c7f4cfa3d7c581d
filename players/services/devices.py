"""A player's devices: at most two; see docs/architecture.md, "Players"."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from core.api_types import is_uuid4
from players import audit, records
from players.errors import (
    DeviceExistsError,
    DeviceLimitError,
    HeldDevices,
    InvalidDeviceIdError,
    PlayerNotFoundError,
)
from players.models import (
    DEVICE_SLOTS,
    Device,
    PlayerProfile,
    SecurityEventType,
    Session,
    SessionEndReason,
    User,
)


def parse_device_id(text: str | None) -> UUID:
    """Parse the device id that a client sent.

    Raises:
        InvalidDeviceIdError: it is missing, or not a hyphenated UUID v4.
    """
    if not text:
        raise InvalidDeviceIdError(
            _("The X-Device-ID header is missing: send this device's UUID (version 4).")
        )
    if not is_uuid4(text):
        raise InvalidDeviceIdError(
            _(
                "The device id must be a UUID (version 4), such as "
                "7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e."
            )
        )
    return UUID(text)


def lock_player(player_id: int) -> PlayerProfile:
    """Lock the player's devices and session until the transaction ends.

    The lock is on the user's row. Switching the account off writes that row first, so
    all writers lock it first and cannot deadlock. Call it inside a transaction.

    Returns:
        The profile; its ``user`` is read under the lock.

    Raises:
        PlayerNotFoundError: there is no such player.
    """
    try:
        profile: PlayerProfile = PlayerProfile.objects.get(pk=player_id, erased_at=None)
        profile.user = User.objects.select_for_update().get(pk=profile.user_id)
    except (PlayerProfile.DoesNotExist, User.DoesNotExist):
        raise PlayerNotFoundError(
            _("There is no player %(id)s.") % {"id": player_id}
        ) from None
    return profile


def claim_slot(player: PlayerProfile, *, device_id: UUID, name: str) -> Device:
    """Authorise a device for a player whose lock the caller holds.

    Raises:
        DeviceExistsError: the player already has it.
        DeviceLimitError: both slots are in use.
    """
    held = list(Device.objects.filter(player=player))
    if any(device.device_id == device_id for device in held):
        raise DeviceExistsError(_("The player has this device already."))
    free = set(DEVICE_SLOTS) - {device.slot for device in held}
    if not free:
        raise DeviceLimitError(
            _("The player has two devices already. Remove one before adding another."),
            details=HeldDevices([device.device_id for device in held]),
        )
    try:
        # A savepoint: the caller's transaction stays usable after the error.
        with transaction.atomic():
            return Device.objects.create(
                player=player, slot=min(free), device_id=device_id, name=name
            )
    except IntegrityError:
        # A writer without the lock added a device; the constraints of the slots held.
        held = list(Device.objects.filter(player=player))
        raise DeviceLimitError(
            _("The player's devices have just been changed. Look again."),
            details=HeldDevices([device.device_id for device in held]),
        ) from None


@transaction.atomic
def add(
    *,
    player_id: int,
    device_id: UUID,
    name: str = "",
    actor_id: int | None = None,
    ip_address: str | None = None,
) -> Device:
    """Authorise a device, on behalf of staff.

    Raises:
        PlayerNotFoundError: there is no such player.
        DeviceExistsError: the player already has it.
        DeviceLimitError: both slots are in use.
    """
    player = lock_player(player_id)
    device = claim_slot(player, device_id=device_id, name=name)
    audit.record(
        SecurityEventType.DEVICE_ADDED,
        user_id=player.user_id,
        actor_id=actor_id,
        device_id=device_id,
        ip_address=ip_address,
    )
    return device


@transaction.atomic
def remove(
    *,
    player_id: int,
    device_id: UUID,
    actor_id: int | None = None,
    ip_address: str | None = None,
) -> None:
    """Remove a player's device and end a session on it, on behalf of staff.

    Raises:
        PlayerNotFoundError: there is no such player, or they do not have this device.
    """
    player = lock_player(player_id)
    device = Device.objects.filter(player=player, device_id=device_id).first()
    if device is None:
        raise PlayerNotFoundError(_("The player does not have this device."))
    ended = Session.objects.filter(player=player, device=device).exists()
    device.delete()  # cascades to its session; `players.receivers` records the reason
    note = partial(
        audit.record,
        user_id=player.user_id,
        actor_id=actor_id,
        device_id=device_id,
        ip_address=ip_address,
    )
    note(SecurityEventType.DEVICE_REMOVED)
    if ended:
        note(SecurityEventType.SESSION_ENDED, reason=SessionEndReason.DEVICE_REMOVED)


def remove_by_pk(
    device_pk: int, *, actor_id: int | None = None, ip_address: str | None = None
) -> None:
    """Remove a device by the primary key of its row.

    Raises:
        PlayerNotFoundError: there is no such device.
    """
    device: Device | None = Device.objects.filter(pk=device_pk).first()
    if device is None:
        raise PlayerNotFoundError(_("There is no device %(id)s.") % {"id": device_pk})
    remove(
        player_id=device.player_id,
        device_id=device.device_id,
        actor_id=actor_id,
        ip_address=ip_address,
    )


@dataclass(frozen=True, slots=True)
class OwnDevice:
    """A device as its player sees it.

    ``last_used_at`` is that of its session, accurate to an hour; None without one.
    """

    id: int
    slot: int
    name: str
    added_at: datetime
    is_current: bool
    last_used_at: datetime | None


def of_player(player_id: int, *, current: UUID) -> list[OwnDevice]:
    """Return the player's devices by slot. Two queries.

    Args:
        current: the device that the player uses now.
    """
    sessions = Session.objects.filter(player_id=player_id)
    last_used = dict(sessions.values_list("device_id", "last_used_at"))
    return [
        OwnDevice(
            id=device.pk,
            slot=device.slot,
            name=device.name,
            added_at=device.added_at,
            is_current=device.device_id == current,
            last_used_at=last_used.get(device.pk),
        )
        for device in Device.objects.filter(player_id=player_id)
    ]


def rename(player_id: int, device_pk: int, *, name: str) -> None:
    """Rename a device of the player; runs of white space become one space.

    Raises:
        PlayerNotFoundError: the player has no such device.
    """
    # Not through the manager: the copy in Redis has no names.
    own = Device._base_manager.filter(pk=device_pk, player_id=player_id)
    if not own.update(name=" ".join(name.split())):
        raise PlayerNotFoundError(_("You have no device %(id)s.") % {"id": device_pk})


def count(player_id: int) -> int:
    """Return the player's number of devices, from Redis, else from the database."""
    try:
        if known := records.count_devices(player_id):
            return known
    except records.StoreUnavailableError:
        pass
    return Device.objects.filter(player_id=player_id).count()
