"""A player's session and devices: the database's rows, and Redis's copy of them.

`players.receivers` calls `changing` for every write of those rows, so the copy follows
services, the admin, cascades and bulk writes alike.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.db import connection
from django.utils import timezone

from core.db import utc_time
from players import records
from players.models import SessionEndReason
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


# One row for each device. Constant text: Django compiles such a query anew in more time
# than it takes.
_STATE = """
SELECT player.sign_in_version, session.token_sha256, own.device_id,
  CAST(session.created_at AS CHAR), CAST(session.last_used_at AS CHAR), device.device_id
FROM players_playerprofile AS player
JOIN players_user AS account ON account.id = player.user_id
LEFT JOIN players_session AS session ON session.player_id = player.id
LEFT JOIN players_device AS own ON own.id = session.device_id
LEFT JOIN players_device AS device ON device.player_id = player.id
WHERE player.id = %s AND account.is_active
"""


def read(player_id: int) -> SignInState:
    """Return the committed state. One query, so session and devices are consistent."""
    with connection.cursor() as cursor:
        cursor.execute(_STATE, [player_id])
        rows = cursor.fetchall()
    if not rows:
        return SignInState()
    version, token_sha256, session_device, created_at, last_used_at, _device = rows[0]
    devices = frozenset(UUID(device) for *_rest, device in rows if device is not None)
    if token_sha256 is None:
        return SignInState(version, devices=devices)
    created, used = utc_time(created_at), utc_time(last_used_at)
    passed = session_ends.limit_passed(
        created_at=created, last_used_at=used, now=timezone.now()
    )
    return SignInState(
        version, token_sha256, UUID(session_device), devices, used, passed
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
