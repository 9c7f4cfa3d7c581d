"""Why sessions ended, so that a later request with the token gets the reason."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy as _

from core.errors import MemoraError
from players.errors import (
    AccountInactiveError,
    DeviceRemovedError,
    PasswordChangedError,
    SessionEndedByStaffError,
    SessionExpiredError,
    SessionReplacedError,
    SessionSignedOutError,
    SessionUnknownError,
)
from players.models import EndedSession, Session, SessionEndReason
from players.tokens import Token

_Refusal = tuple[Callable[[str], MemoraError], Promise]

_EXPIRED: _Refusal = (
    SessionExpiredError,
    _("You have not signed in for a long time. Please sign in again."),
)
_REFUSALS: dict[str, _Refusal] = {
    SessionEndReason.REPLACED: (
        SessionReplacedError,
        _("You have signed in again since. Please sign in here to go on."),
    ),
    SessionEndReason.SIGNED_OUT: (
        SessionSignedOutError,
        _("You are signed out. Please sign in again."),
    ),
    SessionEndReason.IDLE: _EXPIRED,
    SessionEndReason.TOO_OLD: _EXPIRED,
    SessionEndReason.DEVICE_REMOVED: (
        DeviceRemovedError,
        _("This device has been removed from your account. Please ask your school."),
    ),
    SessionEndReason.PASSWORD_CHANGED: (
        PasswordChangedError,
        _("Your password has been changed. Please sign in with the new one."),
    ),
    SessionEndReason.ENDED_BY_STAFF: (
        SessionEndedByStaffError,
        _("Your school has ended your session. Please sign in again."),
    ),
}


def inactive() -> AccountInactiveError:
    """Return the error for an account that is switched off."""
    return AccountInactiveError(
        gettext("This account is switched off. Please ask your school.")
    )


def keep(session: Session, reason: str) -> None:
    """Record why the session's token is no longer valid, in the same transaction."""
    EndedSession.objects.create(
        token_sha256=session.token_sha256, player_id=session.player_id, reason=reason
    )


def refusal_of(token: Token) -> MemoraError:
    """Return the error for a token that is not the one of its player's session.

    One query.
    """
    found = (
        EndedSession.objects.filter(
            token_sha256=token.sha256, player_id=token.player_id
        )
        .values_list("reason", "player__user__is_active")
        .first()
    )
    if found is None:
        return SessionUnknownError(
            gettext("This session is not known. Please sign in again.")
        )
    reason, is_active = found
    if reason == SessionEndReason.DEACTIVATED:
        if not is_active:
            return inactive()
        reason = SessionEndReason.ENDED_BY_STAFF  # the account is active again
    return refusal_for(reason)


def refusal_for(reason: str) -> MemoraError:
    """Return the error for a token whose session ended for this reason."""
    error, message = _REFUSALS[reason]
    return error(str(message))


# --- Limits of age ------------------------------------------------------------


def limit_passed(
    *, created_at: datetime, last_used_at: datetime, now: datetime
) -> SessionEndReason | None:
    """Return the limit that is passed: ``SESSION_MAX_DAYS``, ``SESSION_IDLE_DAYS``."""
    if now - created_at >= timedelta(days=settings.SESSION_MAX_DAYS):
        return SessionEndReason.TOO_OLD
    if now - last_used_at >= timedelta(days=settings.SESSION_IDLE_DAYS):
        return SessionEndReason.IDLE
    return None


def forget_old(now: datetime) -> int:
    """Delete ended sessions whose tokens are too old to be used; return how many."""
    before = now - timedelta(days=settings.SESSION_MAX_DAYS)
    deleted, _per_model = EndedSession.objects.filter(ended_at__lt=before).delete()
    return deleted
