"""All error codes of the API: status, meaning, and what an app does.

The exception handler, the OpenAPI schema and docs/errors.md read this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from core.api_types import FieldFaults
from players.errors import (
    ExistingPlayer,
    HeldDevices,
    LockedTimeZone,
    RefusedDevice,
    RequiredApp,
    RequiredItem,
    UsedUpLimit,
)
from progress.errors import NextLesson, UnmetItem

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


class Queued(StrEnum):
    """What an app does with a request that it would send again, such as a completion."""

    RETRY = "retry"
    """Send the same request again, later."""
    KEEP = "keep"
    """Keep it until the student has done something, such as signing in."""
    DROP = "drop"
    """Remove it: it is refused again, whenever it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCode:
    """``details`` is the dataclass of the answer's details, if it has any."""

    status: int
    meaning: StrPromise
    advice: StrPromise
    queued: Queued
    details: type | None = None
    details_are_optional: bool = False


_SIGN_IN = _("Drop the token and ask for the sign-in.")

ERROR_CODES = {
    "INVALID_BODY": ErrorCode(
        status=400,
        meaning=_("The body, a header or a query parameter is not valid."),
        advice=_("An error in the app: details.fields names what is wrong."),
        queued=Queued.DROP,
        details=FieldFaults,
        details_are_optional=True,
    ),
    "INVALID_DEVICE_ID": ErrorCode(
        status=400,
        meaning=_("X-Device-ID is missing or no UUID version 4."),
        advice=_("An error in the app: send the device's id."),
        queued=Queued.KEEP,
    ),
    "INVALID_RESET_CODE": ErrorCode(
        status=400,
        meaning=_(
            "The code for a new password is wrong, was used or has expired, or there is "
            "no such account."
        ),
        advice=_(
            "Tell the student. After five attempts they need a new code from the school."
        ),
        queued=Queued.DROP,
    ),
    "NO_HEARTS": ErrorCode(
        status=400,
        meaning=_("The lesson ended without hearts. The failure is recorded."),
        advice=_("Let the student try the lesson again."),
        queued=Queued.DROP,
    ),
    "NOT_AUTHENTICATED": ErrorCode(
        status=401,
        meaning=_("The request has no token, or the token is malformed."),
        advice=_("Ask for the sign-in."),
        queued=Queued.KEEP,
    ),
    "INVALID_CREDENTIALS": ErrorCode(
        status=401,
        meaning=_("The e-mail or the password is wrong."),
        advice=_("Tell the student; the API does not reveal which one is wrong."),
        queued=Queued.KEEP,
    ),
    "SESSION_REPLACED": ErrorCode(
        status=401,
        meaning=_("The student has signed in again, here or on the other device."),
        advice=_(
            "Drop the token, tell the student and ask for the sign-in. Never sign in "
            "again automatically: two devices would replace each other's sessions."
        ),
        queued=Queued.KEEP,
    ),
    "SESSION_SIGNED_OUT": ErrorCode(
        status=401,
        meaning=_("The student has signed out."),
        advice=_SIGN_IN,
        queued=Queued.KEEP,
    ),
    "SESSION_EXPIRED": ErrorCode(
        status=401,
        meaning=_(
            "The session was not used for too long, or its sign-in is too long ago."
        ),
        advice=_SIGN_IN,
        queued=Queued.KEEP,
    ),
    "SESSION_ENDED_BY_STAFF": ErrorCode(
        status=401,
        meaning=_(
            "Staff have ended the session, or have deactivated and activated the "
            "account."
        ),
        advice=_SIGN_IN,
        queued=Queued.KEEP,
    ),
    "SESSION_UNKNOWN": ErrorCode(
        status=401,
        meaning=_(
            "There is no session with this token: it never existed, it ended very long "
            "ago, or the account was deleted."
        ),
        advice=_SIGN_IN,
        queued=Queued.KEEP,
    ),
    "PASSWORD_CHANGED": ErrorCode(
        status=401,
        meaning=_("The password was reset, or staff changed it."),
        advice=_(
            "Drop the token and a stored password, and ask for the sign-in with the "
            "new one."
        ),
        queued=Queued.KEEP,
    ),
    "DEVICE_REMOVED": ErrorCode(
        status=401,
        meaning=_("Staff have removed this device, or the student has replaced it."),
        advice=_(
            "Drop the token and show the device's id. A sign-in answers "
            "DEVICE_NOT_AUTHORIZED until the device is authorised again."
        ),
        queued=Queued.KEEP,
    ),
    "DEVICE_NOT_AUTHORIZED": ErrorCode(
        status=403,
        meaning=_(
            "The password is correct, but the device is not one of the student's."
        ),
        advice=_(
            "Show details.device_id and ask the student to give it to the school. With "
            "details.may_replace offer to replace one of details.devices."
        ),
        queued=Queued.KEEP,
        details=RefusedDevice,
    ),
    "DEVICE_MISMATCH": ErrorCode(
        status=403,
        meaning=_(
            "The token was issued for another device, for example when a backup was "
            "restored on a new phone."
        ),
        advice=_("Drop the token and ask for the sign-in on this device."),
        queued=Queued.KEEP,
    ),
    "ACCOUNT_INACTIVE": ErrorCode(
        status=403,
        meaning=_("The account is deactivated."),
        advice=_(
            "Drop the token and tell the student. A sign-in works when the school "
            "activates the account again."
        ),
        queued=Queued.KEEP,
    ),
    "NOT_A_PLAYER": ErrorCode(
        status=403,
        meaning=_("The account belongs to staff."),
        advice=_("Tell the user: staff sign in to the admin."),
        queued=Queued.KEEP,
    ),
    "WRONG_PASSWORD": ErrorCode(
        status=403,
        meaning=_("The current password is wrong, so it is not changed."),
        advice=_("Tell the student; the session stays."),
        queued=Queued.DROP,
    ),
    "PERMISSION_DENIED": ErrorCode(
        status=403,
        meaning=_("The member of staff may not do this."),
        advice=_("Ask a System Manager for the permission."),
        queued=Queued.DROP,
    ),
    "NOT_ENROLLED": ErrorCode(
        status=403,
        meaning=_(
            "The student is not enrolled in a plan, or not in the requested one."
        ),
        advice=_("Tell the student to ask the school."),
        queued=Queued.KEEP,
    ),
    "NOT_ENTITLED": ErrorCode(
        status=403,
        meaning=_("The lesson is sold, and the student does not own its product."),
        advice=_("Show how to get the product in details.required_item."),
        queued=Queued.KEEP,
        details=RequiredItem,
    ),
    "NOT_UNLOCKED": ErrorCode(
        status=403,
        meaning=_("Earlier lessons are to be passed first."),
        advice=_(
            "Show details.next_lesson_id. Send queued completions in the order in "
            "which they happened."
        ),
        queued=Queued.KEEP,
        details=NextLesson,
    ),
    "INVALID_LESSON": ErrorCode(
        status=404,
        meaning=_("The lesson is not, or no longer, in the student's plan."),
        advice=_("Read the plan's manifest again."),
        queued=Queued.DROP,
    ),
    "INVALID_NODE": ErrorCode(
        status=404,
        meaning=_(
            "The subject, track, unit or topic is not, or no longer, in the student's "
            "plan."
        ),
        advice=_("Read the plan's manifest again."),
        queued=Queued.DROP,
    ),
    "INVALID_SUBJECT": ErrorCode(
        status=404,
        meaning=_("The subject is not, or no longer, in the student's plan."),
        advice=_("Read the plan's manifest again."),
        queued=Queued.DROP,
    ),
    "NOT_FOUND": ErrorCode(
        status=404,
        meaning=_("There is nothing at this address, or no such student or device."),
        advice=_("Check the address and the ids."),
        queued=Queued.DROP,
    ),
    "NO_SCHOOL_RECORD": ErrorCode(
        status=404,
        meaning=_("The account is not connected with a record of the school."),
        advice=_("Tell the student to ask the school, which connects it."),
        queued=Queued.DROP,
    ),
    "METHOD_NOT_ALLOWED": ErrorCode(
        status=405,
        meaning=_("The address does not accept this method."),
        advice=_("An error in the app: the header Allow lists the methods."),
        queued=Queued.DROP,
    ),
    "NOT_ACCEPTABLE": ErrorCode(
        status=406,
        meaning=_("The schema is not available in the requested format."),
        advice=_("Ask for JSON or YAML."),
        queued=Queued.DROP,
    ),
    "DEVICE_EXISTS": ErrorCode(
        status=409,
        meaning=_("The student has this device already."),
        advice=_("Nothing is to be done."),
        queued=Queued.DROP,
    ),
    "DEVICE_LIMIT": ErrorCode(
        status=409,
        meaning=_("Both device slots of the student are used."),
        advice=_("Remove one of details.devices first."),
        queued=Queued.DROP,
        details=HeldDevices,
    ),
    "IDEMPOTENCY_CONFLICT": ErrorCode(
        status=409,
        meaning=_("The Idempotency-Key was used for another request."),
        advice=_("An error in the app: give each request a key of its own."),
        queued=Queued.DROP,
    ),
    "PLAYER_EXISTS": ErrorCode(
        status=409,
        meaning=_(
            "There is a student with this school number or e-mail address. Nothing has "
            "changed."
        ),
        advice=_(
            "Change details.player_id instead, or send the student in a bulk request, "
            "which creates or changes."
        ),
        queued=Queued.DROP,
        details=ExistingPlayer,
    ),
    "ITEM_NOT_MET": ErrorCode(
        status=409,
        meaning=_(
            "The student has not completed a lesson with this item. Nothing of the "
            "batch is recorded."
        ),
        advice=_(
            "Send the completion of the lesson first. If there is none, remove the "
            "answer at details.index and send the rest with a new Idempotency-Key."
        ),
        queued=Queued.KEEP,
        details=UnmetItem,
    ),
    "TIME_ZONE_LOCKED": ErrorCode(
        status=409,
        meaning=_("The time zone was changed less than a day ago."),
        advice=_("Show when it can be changed again: details.unlocked_at."),
        queued=Queued.DROP,
        details=LockedTimeZone,
    ),
    "UNSUPPORTED_MEDIA_TYPE": ErrorCode(
        status=415,
        meaning=_("The body has another content type than the operation accepts."),
        advice=_("An error in the app: send JSON, or a picture for a photo."),
        queued=Queued.DROP,
    ),
    "APP_TOO_OLD": ErrorCode(
        status=426,
        meaning=_("This version of the app is no longer accepted."),
        advice=_(
            "Ask the student to update the app at details.store_url. Completions and "
            "ratings that are queued can still be sent; keep those that cannot."
        ),
        queued=Queued.KEEP,
        details=RequiredApp,
    ),
    "RATE_LIMITED": ErrorCode(
        status=429,
        meaning=_("There were too many requests."),
        advice=_(
            "Wait for the seconds in Retry-After, then send the same request again."
        ),
        queued=Queued.RETRY,
        details=UsedUpLimit,
    ),
    "INTERNAL_ERROR": ErrorCode(
        status=500,
        meaning=_("An unexpected error of the server. It has been logged."),
        advice=_(
            "Send the same request again after a minute, a few times, with the same "
            "Idempotency-Key."
        ),
        queued=Queued.RETRY,
    ),
    "NOT_PUBLISHED_YET": ErrorCode(
        status=503,
        meaning=_("The student's plan has no release yet."),
        advice=_(
            "Tell the student that the content is not ready. Send the same request again "
            "after the seconds in Retry-After."
        ),
        queued=Queued.RETRY,
    ),
    "SERVICE_UNAVAILABLE": ErrorCode(
        status=503,
        meaning=_("A part of the server does not answer."),
        advice=_(
            "Keep the token. Send the same request again after the seconds in "
            "Retry-After, with the same Idempotency-Key."
        ),
        queued=Queued.RETRY,
    ),
}
