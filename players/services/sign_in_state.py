"""A player's session and devices: the database's rows, and Redis's copy of them.

`changing` is called by whatever writes those rows (``players.receivers``), so the
copy follows services, the admin, cascades and bulk writes alike.
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
    """Who may act as a player: no session when signed out or switched off.

    A session that has passed a limit of age is there, with ``limit_passed``.
    """

    token_sha256: str | None = None
    session_device: UUID | None = None
    devices: frozenset[UUID] = frozenset()
    last_used_at: datetime | None = None
    limit_passed: SessionEndReason | None = None


def read(player_id: int) -> SignInState:
    """The state as committed. One query, so session and devices fit together."""
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
    """The player's session or devices change in the current transaction.

    From here on nobody believes Redis's copy; after the commit it is made anew.

    Raises:
        StoreAwayError: Redis does not answer; the change must not happen, for a
            Redis that comes back would still tell the old state.
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
        # The block stands: readers ask the database until it ends by itself.
        log.warning("sign_in_state_not_renewed", error=type(error).__name__)


def put(player_id: int, *, lease: str, state: SignInState) -> None:
    """Keep ``state`` in Redis, unless it changed since the lease was taken.

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
