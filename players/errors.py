"""What players are refused for; ``memora_site.api_errors`` gives each its status."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.utils.translation import gettext as _

from core.errors import MemoraError

CHALLENGE = 'Bearer realm="Memora"'


class NotAuthenticatedError(MemoraError):
    """No usable token came with the request."""

    code = "NOT_AUTHENTICATED"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": CHALLENGE}


class SessionUnknownError(NotAuthenticatedError):
    """The token belongs to no session that is kept: never, or long ago."""

    code = "SESSION_UNKNOWN"


class SessionReplacedError(NotAuthenticatedError):
    """The player has signed in again, perhaps elsewhere."""

    code = "SESSION_REPLACED"


class SessionSignedOutError(NotAuthenticatedError):
    """The player has signed out."""

    code = "SESSION_SIGNED_OUT"


class SessionExpiredError(NotAuthenticatedError):
    """The session was not used for too long, or its sign-in is too long ago."""

    code = "SESSION_EXPIRED"


class SessionEndedByStaffError(NotAuthenticatedError):
    """Staff have ended the session; the player may sign in again."""

    code = "SESSION_ENDED_BY_STAFF"


class DeviceRemovedError(NotAuthenticatedError):
    """Staff have removed the session's device; it cannot sign in again."""

    code = "DEVICE_REMOVED"


class PasswordChangedError(NotAuthenticatedError):
    """The password was changed or reset since the sign-in."""

    code = "PASSWORD_CHANGED"


class InvalidCredentialsError(NotAuthenticatedError):
    """E-mail or password is wrong; which one is not told."""

    code = "INVALID_CREDENTIALS"


class AccountInactiveError(MemoraError):
    """The right password or token, for an account that is switched off."""

    code = "ACCOUNT_INACTIVE"


class NotAPlayerError(MemoraError):
    """The right password, for an account that is no student's."""

    code = "NOT_A_PLAYER"


class InvalidDeviceIdError(MemoraError):
    """A device id that is missing or no UUID v4."""

    code = "INVALID_DEVICE_ID"


class DeviceNotAuthorizedError(MemoraError):
    """The right password, on a device that is not one of the player's."""

    code = "DEVICE_NOT_AUTHORIZED"


class DeviceMismatchError(MemoraError):
    """The right token, from another device than the one it was given to."""

    code = "DEVICE_MISMATCH"


class DeviceLimitError(MemoraError):
    """Both of the player's device slots are taken."""

    code = "DEVICE_LIMIT"


class DeviceExistsError(MemoraError):
    """The player has this device already."""

    code = "DEVICE_EXISTS"


class PlayerNotFoundError(MemoraError):
    """There is no such player, or no such thing of the player's."""

    code = "NOT_FOUND"


class StaffAccountError(MemoraError):
    """The account also works in the admin, so it is not erased as a student's."""

    code = "STAFF_ACCOUNT"


class NotEnrolledError(MemoraError):
    """The player has no active plan, or is not enrolled in it."""

    code = "NOT_ENROLLED"


class InvalidLessonError(MemoraError):
    """The lesson is not in the player's plan."""

    code = "INVALID_LESSON"


class NotEntitledError(MemoraError):
    """The lesson is sold, and the player does not have it."""

    code = "NOT_ENTITLED"


class RateLimitedError(MemoraError):
    """Too many requests; ``retry_after`` whole seconds remain."""

    code = "RATE_LIMITED"

    def __init__(self, *, retry_after: int, details: Mapping[str, Any]) -> None:
        super().__init__(
            _("Too many requests. Please try again in %(seconds)d s.")
            % {"seconds": retry_after},
            details=details,
        )
        self.headers = {"Retry-After": str(retry_after)}


class StoreAwayError(MemoraError):
    """Redis does not answer, and without it the change would not be safe."""

    code = "SERVICE_UNAVAILABLE"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}
