"""The players' domain errors; `memora_site.api_errors` maps each to an HTTP status."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar
from uuid import UUID

from django.utils.translation import gettext as _, gettext_lazy

from core.api_types import Field
from core.errors import MemoraError

CHALLENGE = 'Bearer realm="Memora"'

# --- Details ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceInSlot:
    """A device of a student who signs in from another one."""

    slot: Annotated[
        int,
        Field(gettext_lazy("The number to send as replace_device, 1 or 2."), example=1),
    ]
    name: Annotated[
        str,
        Field(gettext_lazy("The device's name; may be empty."), example="Lina's phone"),
    ]


@dataclass(frozen=True, slots=True)
class RefusedDevice:
    """The details of `DeviceNotAuthorizedError`."""

    device_id: Annotated[
        UUID,
        Field(
            gettext_lazy("The id that the school needs to add this device."),
            example="7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e",
        ),
    ]
    may_replace: Annotated[
        bool,
        Field(
            gettext_lazy("Whether replace_device may name one of the devices now."),
            example=True,
        ),
    ]
    may_replace_at: Annotated[
        str | None,
        Field(
            gettext_lazy(
                "When a device can be replaced again, if the last replacement is too "
                "recent; else null."
            ),
            format="date-time",
        ),
    ]
    devices: Annotated[
        list[DeviceInSlot], Field(gettext_lazy("The student's devices, at most two."))
    ]


@dataclass(frozen=True, slots=True)
class HeldDevices:
    """The details of `DeviceLimitError`."""

    devices: Annotated[
        list[UUID],
        Field(
            gettext_lazy("The ids of the student's devices."),
            example=[
                "7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e",
                "0b5a1c9e-3f6d-4a5e-9c2b-1d2e3f4a5b6c",
            ],
        ),
    ]


@dataclass(frozen=True, slots=True)
class RequiredItem:
    """The details of `NotEntitledError`."""

    required_item: Annotated[
        str,
        Field(
            gettext_lazy(
                "The code of the product that opens the lesson. Empty: nothing opens "
                "it at the moment."
            ),
            example="MATHS-5",
        ),
    ]


@dataclass(frozen=True, slots=True)
class UsedUpLimit:
    """The details of `RateLimitedError`."""

    limit: Annotated[
        int,
        Field(gettext_lazy("The number of requests in a window."), example=100),
    ]
    window_seconds: Annotated[
        int, Field(gettext_lazy("The length of a window in seconds."), example=60)
    ]
    retry_after: Annotated[
        int,
        Field(
            gettext_lazy("The seconds to wait, as in the header Retry-After."),
            example=17,
        ),
    ]


@dataclass(frozen=True, slots=True)
class LockedTimeZone:
    """The details of `TimeZoneLockedError`."""

    unlocked_at: Annotated[
        str,
        Field(
            gettext_lazy("When the time zone can be changed again."),
            example="2026-11-30T17:03:05Z",
            format="date-time",
        ),
    ]


@dataclass(frozen=True, slots=True)
class RequiredApp:
    """The details of `AppTooOldError`."""

    minimum_version: Annotated[
        str,
        Field(
            gettext_lazy("The oldest version of the app that is accepted."),
            example="2.4.0",
        ),
    ]
    store_url: Annotated[
        str | None,
        Field(
            gettext_lazy(
                "Where to get the app, for the platform in X-App-Version; null: the "
                "school tells."
            ),
            example="https://memora.example/app",
        ),
    ]


@dataclass(frozen=True, slots=True)
class ExistingPlayer:
    """The details of `PlayerExistsError`."""

    player_id: Annotated[
        int, Field(gettext_lazy("The number of the student."), example=42)
    ]


# --- Errors -----------------------------------------------------------------


class AppTooOldError(MemoraError):
    """The app is older than ``MIN_APP_VERSION``."""

    code = "APP_TOO_OLD"
    details_type = RequiredApp


class NotAuthenticatedError(MemoraError):
    """The request has no usable token."""

    code = "NOT_AUTHENTICATED"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": CHALLENGE}


class SessionUnknownError(NotAuthenticatedError):
    """The token belongs to no recorded session: it never did, or it ended long ago."""

    code = "SESSION_UNKNOWN"


class SessionReplacedError(NotAuthenticatedError):
    """The session ended because the player signed in again."""

    code = "SESSION_REPLACED"


class SessionSignedOutError(NotAuthenticatedError):
    """The player signed out."""

    code = "SESSION_SIGNED_OUT"


class SessionExpiredError(NotAuthenticatedError):
    """The session was idle for too long, or the sign-in is too long ago."""

    code = "SESSION_EXPIRED"


class SessionEndedByStaffError(NotAuthenticatedError):
    """Staff ended the session; the player may sign in again."""

    code = "SESSION_ENDED_BY_STAFF"


class DeviceRemovedError(NotAuthenticatedError):
    """Staff removed the session's device, or the player replaced it."""

    code = "DEVICE_REMOVED"


class PasswordChangedError(NotAuthenticatedError):
    """The password was changed or reset after the sign-in."""

    code = "PASSWORD_CHANGED"


class InvalidCredentialsError(NotAuthenticatedError):
    """E-mail or password is wrong; the response does not tell which."""

    code = "INVALID_CREDENTIALS"


class WrongPasswordError(MemoraError):
    """The current password that a signed-in player typed is wrong."""

    code = "WRONG_PASSWORD"


class InvalidResetCodeError(MemoraError):
    """The code for a new password is wrong, used up or expired, or there is none."""

    code = "INVALID_RESET_CODE"


class AccountInactiveError(MemoraError):
    """The password or token is right, but the account is switched off."""

    code = "ACCOUNT_INACTIVE"


class NotAPlayerError(MemoraError):
    """The password is right, but the account is not a student's."""

    code = "NOT_A_PLAYER"


class InvalidDeviceIdError(MemoraError):
    """The device id is missing or not a UUID v4."""

    code = "INVALID_DEVICE_ID"


class DeviceNotAuthorizedError(MemoraError):
    """The password is right, but the device is not one of the player's."""

    code = "DEVICE_NOT_AUTHORIZED"
    details_type = RefusedDevice


class DeviceMismatchError(MemoraError):
    """The token is right, but it was issued to another device."""

    code = "DEVICE_MISMATCH"


class DeviceLimitError(MemoraError):
    """Both of the player's device slots are in use."""

    code = "DEVICE_LIMIT"
    details_type = HeldDevices


class DeviceExistsError(MemoraError):
    """The player already has this device."""

    code = "DEVICE_EXISTS"


class PlayerNotFoundError(MemoraError):
    """The player, or an object of the player, does not exist."""

    code = "NOT_FOUND"


class PlayerExistsError(MemoraError):
    """There is a player with this school number or e-mail address."""

    code = "PLAYER_EXISTS"
    details_type = ExistingPlayer

    def __init__(self, player_id: int) -> None:
        super().__init__(
            _("There is a student with this school number or e-mail address."),
            details=ExistingPlayer(player_id),
        )


class StaffAccountError(MemoraError):
    """The account also has admin rights, so it cannot be erased as a student's."""

    code = "STAFF_ACCOUNT"


class TimeZoneLockedError(MemoraError):
    """The player has changed their time zone less than a day ago."""

    code = "TIME_ZONE_LOCKED"
    details_type = LockedTimeZone


class NotEnrolledError(MemoraError):
    """The player has no active plan, or is not enrolled in it."""

    code = "NOT_ENROLLED"


class InvalidLessonError(MemoraError):
    """The lesson is not in the player's plan."""

    code = "INVALID_LESSON"


class InvalidNodeError(MemoraError):
    """The subject, track, unit or topic is not in the player's plan."""

    code = "INVALID_NODE"


class NotEntitledError(MemoraError):
    """The lesson is paid, and the player has no entitlement to its product."""

    code = "NOT_ENTITLED"
    details_type = RequiredItem


class RateLimitedError(MemoraError):
    """Too many requests."""

    code = "RATE_LIMITED"
    details_type = UsedUpLimit

    def __init__(self, limit: UsedUpLimit) -> None:
        super().__init__(
            _("Too many requests. Please try again in %(seconds)d s.")
            % {"seconds": limit.retry_after},
            details=limit,
        )
        self.headers = {"Retry-After": str(limit.retry_after)}


class StoreAwayError(MemoraError):
    """Redis does not answer, and the change would be unsafe without it."""

    code = "SERVICE_UNAVAILABLE"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}
