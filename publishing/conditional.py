"""Conditional and range requests for files (RFC 9110, sections 13 and 14).

nginx does this for published files; these functions do the same where no web server
stands in front.
"""

import re
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import http_date

RANGE_BYTES = 4 * 1024 * 1024
"""The most one answer to a range holds; the client asks for the rest."""
_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)", re.IGNORECASE)
_MOST_DIGITS = 18


class RangeNotSatisfiableError(Exception):
    """The range begins past the end of the file, or asks for none of its bytes."""


def unchanged(
    request: HttpRequest, *, etag: str, modified: int
) -> HttpResponseBase | None:
    """304, or 412, where the request's conditions say so; None: send the file.

    Args:
        etag: a strong validator, with its quotes.
        modified: the file's Unix time. As in nginx, only this very time in
            ``If-Modified-Since`` means that the client has the file: a rollback brings
            back an older one.
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
    """The first and last byte to send, at most `RANGE_BYTES`; None: the whole file.

    The whole file is the answer, too, to several ranges at once, to a malformed range,
    and where ``If-Range`` names another version of the file.

    Raises:
        RangeNotSatisfiableError: see there.
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
    """The answer to `RangeNotSatisfiableError`: 416 with the file's size."""
    return HttpResponse(
        status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        headers={"Content-Range": f"bytes */{size}"},
    )


def _position(digits: str) -> int:
    """A position of any length: past the end of every file is far enough."""
    return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS
