"""A player's session and devices: the database's rows, and Redis's copy of them.

`players.receivers` calls `changing` for every write of those rows, so the copy follows
services, the admin, cascades and bulk writes alike.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from players import store
from players.errors import StoreAwayError
from players.models import PlayerProfile, SessionEndReason
from players.services import session_ends

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SignInState:
    """A player's session and devices; no session if signed out or switched off.

    A session that has passed an age limit is included, with ``limit_passed``.
    """

    token_sha256: str | None = None
    session_device: UUID | None = None
    devices: frozenset[UUID] = frozenset()
    last_used_at: datetime | None = None
    limit_passed: SessionEndReason | None = None


def read(player_id: int) -> SignInState:
    """Return the committed state. One query, so session and devices are consistent."""
    rows = list(
        PlayerProfile.objects.filter(pk=player_id, user__is_active=True).values_list(
            "session__token_sha256",
            "session__device__device_id",
            "session__created_at",
            "session__last_used_at",
            "devices__device_id",
        )
    )
    if not rows:
        return SignInState()
    token_sha256, session_device, created_at, last_used_at, _device = rows[0]
    devices = frozenset(device for *_rest, device in rows if device is not None)
    if token_sha256 is None:
        return SignInState(devices=devices)
    passed = session_ends.limit_passed(
        created_at=created_at, last_used_at=last_used_at, now=timezone.now()
    )
    return SignInState(token_sha256, session_device, devices, last_used_at, passed)


def changing(player_id: int) -> None:
    """Announce that the current transaction changes the player's session or devices.

    From now on readers ignore Redis's copy; after the commit it is written again.

    Raises:
        StoreAwayError: Redis does not answer. The caller's transaction must roll back,
            because Redis would return the old state once it answers again.
    """
    try:
        block = store.block_sign_in_state(player_id)
    except store.StoreUnavailableError as error:
        log.error("sign_in_state_not_blocked", error=type(error).__name__)
        raise StoreAwayError(
            _("Sessions and devices cannot be changed right now. Please try again.")
        ) from error
    transaction.on_commit(partial(_settle, player_id, block))


def _settle(player_id: int, block: str) -> None:
    try:
        if lease := store.unblock_sign_in_state(player_id, block):
            put(player_id, lease=lease, state=read(player_id))
    except store.StoreUnavailableError as error:
        # The block stays: readers use the database until it expires.
        log.warning("sign_in_state_not_renewed", error=type(error).__name__)


def put(player_id: int, *, lease: str, state: SignInState) -> None:
    """Store ``state`` in Redis, unless it changed since the lease was taken.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    signed_in = state.token_sha256 is not None and state.limit_passed is None
    store.put_sign_in_state(
        player_id,
        lease=lease,
        session=(state.token_sha256 or "", str(state.session_device))
        if signed_in
        else None,
        devices=sorted(str(device) for device in state.devices),
    )
