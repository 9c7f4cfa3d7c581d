"""Checking a player's password for pages outside the app; no session of the app starts."""

from functools import partial
from uuid import UUID

from core.errors import MemoraError
from players import audit
from players.errors import InvalidCredentialsError
from players.models import SecurityEventType, User
from players.services import rates
from players.services.sessions import require_player

_NO_DEVICE = UUID(int=0)


def check(*, email: str, password: str, ip_address: str | None) -> int:
    """Return the player's id if the password is right.

    Attempts count with the app's sign-ins (`rates.take_login`), before a password is
    hashed. A refusal adds an audit row.

    Raises:
        RateLimitedError: too many refused sign-ins; with the time to wait.
        InvalidCredentialsError: e-mail or password is wrong.
        AccountInactiveError: the account is switched off.
        NotAPlayerError: the account is not a student's.
    """
    user = User.objects.filter(email=email).first()
    note = partial(
        audit.record, user_id=user.pk if user else None, ip_address=ip_address
    )
    attempt = rates.take_login(
        email=email, device_id=_NO_DEVICE, is_own_device=False, ip_address=ip_address
    )
    rates.require_allowed(
        attempt.usage,
        note=partial(note, SecurityEventType.RATE_LIMITED, endpoint="student-sign-in"),
    )
    try:
        player_id, _password = require_player(user, password)
    except MemoraError as refusal:
        note(SecurityEventType.REFUSED, code=refusal.code)
        if not isinstance(refusal, InvalidCredentialsError):
            # The right password is not a guess.
            attempt.give_back("login_ip")
        raise
    attempt.give_back("login_ip", "login_account")
    return player_id
