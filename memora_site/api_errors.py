"""The table from error codes to HTTP statuses, and the API's exception handler.

Every error body is ``{"error_code", "message", "details"?}``.
"""

from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404
from django.utils.translation import gettext as _
from redis import exceptions as redis_errors
from rest_framework import exceptions
from rest_framework.response import Response

from core.db import code_of, is_unavailable
from core.errors import MemoraError

log = structlog.get_logger(__name__)

STATUS_OF_CODE = {
    "INVALID_STRUCTURE": 409,
    "INVALID_CURRICULUM": 400,
    "INVALID_BODY": 400,
    "INVALID_VIDEO": 400,
    "INVALID_DEVICE_ID": 400,
    "INVALID_CREDENTIALS": 401,
    "NOT_AUTHENTICATED": 401,
    "SESSION_UNKNOWN": 401,
    "SESSION_REPLACED": 401,
    "SESSION_SIGNED_OUT": 401,
    "SESSION_EXPIRED": 401,
    "SESSION_ENDED_BY_STAFF": 401,
    "DEVICE_REMOVED": 401,
    "PASSWORD_CHANGED": 401,
    "DEVICE_NOT_AUTHORIZED": 403,
    "DEVICE_MISMATCH": 403,
    "ACCOUNT_INACTIVE": 403,
    "NOT_A_PLAYER": 403,
    "WRONG_PASSWORD": 403,
    "PERMISSION_DENIED": 403,
    "NOT_ENROLLED": 403,
    "NOT_ENTITLED": 403,
    "NOT_UNLOCKED": 403,
    "NO_HEARTS": 400,
    "INVALID_LESSON": 404,
    "INVALID_SUBJECT": 404,
    "NOT_FOUND": 404,
    "NOT_PUBLISHED": 404,
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "ROLLBACK_REFUSED": 409,
    "SECRET_UNREADABLE": 409,
    "CDN_FAILED": 502,
    "DEVICE_LIMIT": 409,
    "DEVICE_EXISTS": 409,
    "STAFF_ACCOUNT": 409,
    "TIME_ZONE_LOCKED": 409,
    "IDEMPOTENCY_CONFLICT": 409,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "RATE_LIMITED": 429,
    "SERVICE_UNAVAILABLE": 503,
}

_CODE_OF_STATUS = {
    400: "INVALID_BODY",
    401: "NOT_AUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "RATE_LIMITED",
}


RETRY_SECONDS = "5"
"""The ``Retry-After`` of a 503 response."""

_REDIS_AWAY = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.ReadOnlyError,
    redis_errors.OutOfMemoryError,
)


def is_away(error: Exception) -> bool:
    """Return whether the database or Redis is away; any other error is a bug."""
    return (
        is_unavailable(error)
        or isinstance(error, _REDIS_AWAY)
        # Redis refuses writes while it cannot save them.
        or (isinstance(error, redis_errors.ResponseError) and "MISCONF" in str(error))
    )


def error_body(
    code: str, message: str, details: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the body of an error response."""
    body: dict[str, Any] = {"error_code": code, "message": message}
    if details:
        body["details"] = details
    return body


def unavailable_body() -> dict[str, Any]:
    """Return the body of a 503 response."""
    return error_body(
        "SERVICE_UNAVAILABLE",
        _("The service is not available at the moment. Please try again shortly."),
    )


def exception_handler(error: Exception, _context: dict[str, Any]) -> Response | None:
    """DRF's ``EXCEPTION_HANDLER``: return the response for ``error``.

    The status is 503 ("try again") only if the database or Redis cannot be reached.
    None for an unknown error, including other database errors (invalid data, a wrong
    query): Django then responds with 500 and logs the traceback.
    """
    headers: dict[str, str] = {}
    match error:
        case MemoraError():
            status = STATUS_OF_CODE[error.code]
            body = error_body(error.code, error.message, error.details)
            headers = {
                name: str(value)
                for name, value in getattr(error, "headers", {}).items()
            }
        case ValidationError():
            status = 400
            body = error_body(
                "INVALID_BODY",
                _("The request is not valid."),
                {"faults": error.messages},
            )
        case Http404() | exceptions.NotFound():
            status, body = 404, error_body("NOT_FOUND", _("Not found."))
        case PermissionDenied():
            status = 403
            body = error_body(
                "PERMISSION_DENIED", _("You do not have permission to do this.")
            )
        case exceptions.APIException():
            status = error.status_code
            body = _from_drf(error)
            if wait := getattr(error, "wait", None):
                headers["Retry-After"] = str(int(wait) or 1)
            if challenge := getattr(error, "auth_header", None):
                headers["WWW-Authenticate"] = challenge
        case _ if is_away(error):
            log.error(
                "api_dependency_unavailable",
                error=type(error).__name__,
                error_code=code_of(error),
            )
            status = 503
            body = unavailable_body()
            headers["Retry-After"] = RETRY_SECONDS
        case _:
            return None
    return Response(body, status=status, headers=headers)


def _from_drf(error: exceptions.APIException) -> dict[str, Any]:
    code = _CODE_OF_STATUS.get(error.status_code, "ERROR")
    if isinstance(error, exceptions.ValidationError):
        return error_body(
            code,
            _("The request is not valid."),
            {"fields": error.detail},
        )
    return error_body(code, str(error.detail))
