"""A signed-in player changes their own password."""

from functools import partial
from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.utils.translation import gettext as _

from players import audit
from players.errors import WrongPasswordError
from players.models import SecurityEventType, Session, User
from players.services import rates, session_ends
from players.services.devices import lock_player
from players.tokens import Token


def change(
    *,
    token: Token,
    device_id: UUID,
    current: str,
    new: str,
    ip_address: str | None = None,
) -> None:
    """Change the password; the session of ``token`` stays, and there is no other.

    Each call is counted like a sign-in on this device (`rates.take_login`), before a
    password is hashed. The change is audited (`account_changes`).

    Raises:
        RateLimitedError: too many calls; with the time to wait.
        WrongPasswordError: ``current`` is wrong.
        ValidationError: ``new`` is too weak; with the reasons.
        NotAuthenticatedError: the session has ended during the call; the subclass gives
            the reason. Nothing has changed.
        StoreAwayError: Redis does not answer; nothing has changed.
    """
    user = User.objects.get(player=token.player_id)
    attempt = rates.take_login(
        email=user.email,
        device_id=device_id,
        is_own_device=True,
        ip_address=ip_address,
    )
    rates.require_allowed(
        attempt.usage,
        note=partial(
            audit.record,
            SecurityEventType.RATE_LIMITED,
            user_id=user.pk,
            device_id=device_id,
            ip_address=ip_address,
            endpoint="me-password",
        ),
    )
    if not user.check_password(current):
        raise _wrong()
    validate_password(new, user)
    _set(token, user.password, current, new)


@transaction.atomic
def _set(token: Token, checked: str, current: str, new: str) -> None:
    """Set the password; ``checked`` is the hash that ``current`` matched."""
    profile = lock_player(token.player_id)
    user = profile.user
    # Both may have changed since they were checked.
    if user.password != checked and not user.check_password(current):
        raise _wrong()
    own = Session.objects.filter(player=profile, token_sha256=token.sha256)
    if not own.exists():
        raise session_ends.refusal_of(token)
    user.set_password(new)
    user.save(update_fields=["password"], keep_session=True)


def _wrong() -> WrongPasswordError:
    return WrongPasswordError(_("The current password is wrong."))
