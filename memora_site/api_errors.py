"""The API's exception handler.

Every error body is ``{"error_code", "message", "details"?}``; `memora_site.error_codes`
lists the codes.
"""

import errno
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _
from redis import exceptions as redis_errors
from rest_framework import exceptions
from rest_framework.response import Response

from core.db import code_of, is_unavailable
from core.errors import MemoraError
from memora_site.error_codes import ERROR_CODES

log = structlog.get_logger(__name__)

_CODE_OF_STATUS = {
    400: "INVALID_BODY",
    401: "NOT_AUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


RETRY_SECONDS = "5"
"""The ``Retry-After`` of a 503 response."""

_REDIS_AWAY = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.ReadOnlyError,
    redis_errors.OutOfMemoryError,
)


_DISK_REFUSES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""The disk is full, over its quota, read-only or broken."""


def is_away(error: Exception) -> bool:
    """Return whether the database, Redis or the disk does not work now.

    Any other error is a bug.
    """
    return (
        is_unavailable(error)
        or (isinstance(error, OSError) and error.errno in _DISK_REFUSES)
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

    The status is 503 ("try again") only if the database or Redis cannot be reached, or
    the disk takes no files.
    None for an unknown error, including other database errors (invalid data, a wrong
    query): Django then responds with 500 and logs the traceback.
    """
    headers: dict[str, str] = {}
    match error:
        case MemoraError() if error.code in ERROR_CODES:
            status = ERROR_CODES[error.code].status
            body = error_body(error.code, error.message, error.details)
            headers = {
                name: str(value)
                for name, value in getattr(error, "headers", {}).items()
            }
        case Http404() | exceptions.NotFound():
            status, body = 404, error_body("NOT_FOUND", _("Not found."))
        case PermissionDenied():
            status = 403
            body = error_body(
                "PERMISSION_DENIED", _("You do not have permission to do this.")
            )
        case exceptions.APIException():
            status = error.status_code
            code = _CODE_OF_STATUS.get(status, "INTERNAL_ERROR")
            body = error_body(code, str(error.detail))
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
