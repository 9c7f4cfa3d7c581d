"""Serve published files when there is no web server in front (the embedded default).

The rules are those of the web server in ``deploy/``: only finished ``.json`` files,
never hidden names or ``.prev``; a gated lesson only with a content token; a video only
with a signature.
"""

import mimetypes
import re
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from pathlib import Path

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.http import http_date
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from publishing import conditional
from publishing.format import encoding, locations
from publishing.signing import links
from publishing.storage import open_lessons

_SEGMENT = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_-]*+\Z")
_OPEN_CACHE = "public, max-age=300"
_GATED_CACHE = "private, no-store"
_EXPOSED = "ETag, Content-Length, Content-Range"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": (
        "If-None-Match, If-Modified-Since, Range, Cache-Control"
    ),
    "Access-Control-Max-Age": "86400",
}
_GATE_SECONDS = 60
"""How long nginx may cache a 204 of `gate`, and then use it while revalidating."""


View = Callable[[HttpRequest, str], HttpResponseBase]


def _open_to_all_origins(view: View) -> View:
    """Allow ``view`` for web apps of every origin, which send OPTIONS first.

    The files need no credentials; a signed URL alone opens one.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, path: str) -> HttpResponseBase:
        if request.method == "OPTIONS":
            answer: HttpResponseBase = HttpResponse(
                status=HTTPStatus.NO_CONTENT, headers=_PREFLIGHT
            )
        else:
            answer = view(request, path)
            answer["Access-Control-Expose-Headers"] = _EXPOSED
        answer["Access-Control-Allow-Origin"] = "*"
        return answer

    return require_http_methods(["GET", "HEAD", "OPTIONS"])(wrapper)


@_open_to_all_origins
def content_file(request: HttpRequest, path: str) -> HttpResponseBase:
    """Serve a published file with its caching headers; 404 for any other path.

    403 for a gated lesson without a valid content token.
    """
    file = _published_file(path)
    if file is None:
        return _refusal(HTTPStatus.NOT_FOUND, "NOT_FOUND", _("Not found."))
    lesson_id = locations.lesson_id_of(path)
    gated = lesson_id is not None and open_lessons.is_gated(lesson_id)
    if gated and not _signed(request, purpose=links.LESSON, path=path):
        return _refusal(
            HTTPStatus.FORBIDDEN,
            "NOT_ENTITLED",
            _(
                "This lesson needs a link from the app. Links expire after a few "
                "minutes."
            ),
        )
    try:
        data, modified = file.read_bytes(), int(file.stat().st_mtime)
    except OSError:
        return _refusal(HTTPStatus.NOT_FOUND, "NOT_FOUND", _("Not found."))
    etag = f'"{encoding.sha256(data)[:32]}"'
    response = conditional.conditional_response(
        request, etag=etag, modified=modified
    ) or HttpResponse(data, content_type="application/json; charset=utf-8")
    response["ETag"] = etag
    response["Last-Modified"] = http_date(modified)
    response["Cache-Control"] = _GATED_CACHE if gated else _OPEN_CACHE
    return response


@require_safe
def gate(request: HttpRequest) -> HttpResponse:
    """Check the token of a request to the web server: 204 or 403; no query.

    nginx sends this subrequest before it serves a gated lesson or a video
    (``deploy/``). ``X-Original-URI`` holds the requested URI. nginx caches the answer
    for seconds.
    """
    left = links.seconds_left(
        request.headers.get("X-Original-URI", ""), now=int(timezone.now().timestamp())
    )
    if not left:
        return HttpResponse(
            status=HTTPStatus.FORBIDDEN, headers={"Cache-Control": "no-store"}
        )
    max_age = min(left, _GATE_SECONDS)
    # No answer, not even a stale one, may be used after its token has expired.
    stale = min(left - max_age, _GATE_SECONDS)
    return HttpResponse(
        status=HTTPStatus.NO_CONTENT,
        headers={
            "Cache-Control": f"max-age={max_age}, stale-while-revalidate={stale}",
        },
    )


def _published_file(path: str) -> Path | None:
    """Return the file at this path, or None if it does not exist or is not public."""
    if not path.endswith(".json"):
        return None
    if not all(_SEGMENT.match(part) for part in path.removesuffix(".json").split("/")):
        return None
    file = Path(settings.CONTENT_ROOT) / path
    return file if file.is_file() else None


@_open_to_all_origins
def video_file(request: HttpRequest, path: str) -> HttpResponseBase:
    """Serve a video on this server, whole or one byte range, for a signed URL.

    403 without a valid signature, 404 if there is no such video.
    """
    root = Path(settings.VIDEO_ROOT).resolve()
    file = (root / path).resolve()
    if not _signed(request, purpose=links.VIDEO, path=path):
        return _refusal(
            HTTPStatus.FORBIDDEN, "NOT_ENTITLED", _("This video's link has expired.")
        )
    if not file.is_relative_to(root) or not file.is_file():
        return _refusal(HTTPStatus.NOT_FOUND, "NOT_FOUND", _("Not found."))
    found = file.stat()
    etag, modified = f'"{found.st_mtime_ns:x}-{found.st_size:x}"', int(found.st_mtime)
    response = conditional.conditional_response(
        request, etag=etag, modified=modified
    ) or _range_response(
        request, file, size=found.st_size, etag=etag, modified=modified
    )
    response["ETag"] = etag
    response["Last-Modified"] = http_date(modified)
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = _GATED_CACHE
    return response


def _range_response(
    request: HttpRequest, file: Path, *, size: int, etag: str, modified: int
) -> HttpResponseBase:
    try:
        byte_range = conditional.wanted_range(
            request, size=size, etag=etag, modified=modified
        )
    except conditional.RangeNotSatisfiableError:
        return conditional.not_satisfiable(size)
    if byte_range is None:
        return FileResponse(file.open("rb"))
    first, last = byte_range
    with file.open("rb") as handle:
        handle.seek(first)
        part = handle.read(last - first + 1)
    kind, _encoding = mimetypes.guess_type(file.name)
    return HttpResponse(
        part,
        status=HTTPStatus.PARTIAL_CONTENT,
        content_type=kind or "application/octet-stream",
        headers={"Content-Range": f"bytes {first}-{last}/{size}"},
    )


def _signed(request: HttpRequest, *, purpose: str, path: str) -> bool:
    left = links.seconds_of_query(
        purpose=purpose,
        path=path,
        query=request.META.get("QUERY_STRING", ""),
        now=int(timezone.now().timestamp()),
    )
    return left > 0


def _refusal(status: HTTPStatus, code: str, message: str) -> JsonResponse:
    return JsonResponse({"error_code": code, "message": message}, status=status)
