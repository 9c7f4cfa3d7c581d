"""Conditional and range requests for files (RFC 9110, sections 13 and 14).

nginx does this for published files. These functions do the same when there is no web
server in front.
"""

import re
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import http_date

RANGE_BYTES = 4 * 1024 * 1024
"""The most one answer to a range holds; the client asks for the rest."""
_RANGE = re.compile(r"\Abytes=([0-9]*+)-([0-9]*+)", re.IGNORECASE)
_MAX_DIGITS = 18


class RangeNotSatisfiableError(Exception):
    """The range begins past the end of the file, or covers none of its bytes."""


def conditional_response(
    request: HttpRequest, *, etag: str, modified: int
) -> HttpResponseBase | None:
    """Return 304 or 412 if the request's conditions require it; None: send the file.

    Args:
        etag: a strong validator, with its quotes.
        modified: the file's modification time in Unix seconds. As in nginx, only this
            exact time in ``If-Modified-Since`` gives 304: a rollback brings back an
            older file.
    """
    since = request.headers.get("If-Modified-Since")
    is_other = since is not None and since != http_date(modified)
    answer: HttpResponseBase | None = get_conditional_response(
        request, etag, None if is_other else modified
    )
    return answer


def wanted_range(
    request: HttpRequest, *, size: int, etag: str, modified: int
) -> tuple[int, int] | None:
    """Return the first and last byte to send, at most `RANGE_BYTES`; None: all.

    The whole file is also sent for several ranges, for a malformed range, and when
    ``If-Range`` names another version of the file.

    Raises:
        RangeNotSatisfiableError: the range has no byte of the file.
    """
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or request.method != "GET":
        return None
    if request.headers.get("If-Range", etag) not in (etag, http_date(modified)):
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if first:
        start, end = _position(first), _position(last) if last else size - 1
        if last and end < start:
            return None
    else:
        start, end = max(size - _position(last), 0), size - 1
    if start >= size:
        raise RangeNotSatisfiableError
    return start, min(end, size - 1, start + RANGE_BYTES - 1)


def not_satisfiable(size: int) -> HttpResponse:
    """Return the response to `RangeNotSatisfiableError`: 416 with the file's size."""
    return HttpResponse(
        status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        headers={"Content-Range": f"bytes */{size}"},
    )


def _position(digits: str) -> int:
    """Parse a position of any length; cap it at a value past the end of every file."""
    return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS
