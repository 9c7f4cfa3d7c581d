"""A player's session and devices: the database's rows, and Redis's copy of them.

`players.receivers` calls `changing` for every write of those rows, so the copy follows
services, the admin, cascades and bulk writes alike.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.utils import timezone

from players import records
from players.models import PlayerProfile, SessionEndReason
from players.records import Found, StoreUnavailableError
from players.services import session_ends, versions

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SignInState:
    """A player's session and devices; no session if signed out or switched off.

    A session that has passed an age limit is included, with ``limit_passed``.
    """

    version: int = 0
    token_sha256: str | None = None
    session_device: UUID | None = None
    devices: frozenset[UUID] = frozenset()
    last_used_at: datetime | None = None
    limit_passed: SessionEndReason | None = None


def read(player_id: int) -> SignInState:
    """Return the committed state. One query, so session and devices are consistent."""
    rows = list(
        PlayerProfile.objects.filter(pk=player_id, user__is_active=True).values_list(
            "sign_in_version",
            "session__token_sha256",
            "session__device__device_id",
            "session__created_at",
            "session__last_used_at",
            "devices__device_id",
        )
    )
    if not rows:
        return SignInState()
    version, token_sha256, session_device, created_at, last_used_at, _device = rows[0]
    devices = frozenset(device for *_rest, device in rows if device is not None)
    if token_sha256 is None:
        return SignInState(version, devices=devices)
    passed = session_ends.limit_passed(
        created_at=created_at, last_used_at=last_used_at, now=timezone.now()
    )
    return SignInState(
        version, token_sha256, session_device, devices, last_used_at, passed
    )


def changing(player_ids: Collection[int]) -> None:
    """Announce that the current transaction changes these players' sessions or devices.

    Raises:
        StoreAwayError: see `versions.changing`.
    """
    versions.changing(versions.SIGN_IN, player_ids)


def fill(found: Found, state: SignInState) -> None:
    """Store ``state``, which was read after ``found``, in Redis.

    Does nothing if the state has changed in between, or Redis does not answer.
    """
    signed_in = state.token_sha256 is not None and state.limit_passed is None
    try:
        records.fill_sign_in(
            found,
            version=state.version,
            session=(state.token_sha256 or "", str(state.session_device))
            if signed_in
            else None,
            devices=sorted(str(device) for device in state.devices),
        )
    except StoreUnavailableError as error:
        log.warning("sign_in_state_not_renewed", error=type(error).__name__)
