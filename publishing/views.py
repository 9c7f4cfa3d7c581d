"""Serving published files where no web server in front does it (the embedded default).

The rules are those of ``deploy/``'s web server: only finished ``.json`` files, never
hidden names or ``.prev``; a gated lesson only with a content token; videos only with a
signature.
"""

import mimetypes
import re
from http import HTTPStatus
from pathlib import Path

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.http import http_date
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from publishing.format import locations
from publishing.local import gates
from publishing.signed import signing

_SEGMENT = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_-]*+\Z")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")
_RANGE_BYTES = 4 * 1024 * 1024
"""The most one answer to a range holds; the player asks for the rest."""
_OPEN_CACHE = "public, max-age=300"
_GATED_CACHE = "private, no-store"
_GATE_SECONDS = 60
"""How long the web server may keep a yes of `gate`, and use it while it asks again."""


@require_safe
def content_file(request: HttpRequest, path: str) -> HttpResponseBase:
    """A published file, with its caching headers; 404 for any other name."""
    file = _published_file(path)
    if file is None:
        return _refusal(HTTPStatus.NOT_FOUND, "NOT_FOUND", _("There is nothing here."))
    lesson_id = locations.lesson_id_of(path)
    gated = lesson_id is not None and gates.is_gated(lesson_id)
    if gated and not _signed(request, purpose=signing.LESSON, path=path):
        return _refusal(
            HTTPStatus.FORBIDDEN,
            "NOT_ENTITLED",
            _("This lesson needs a link from the app; links last a few minutes."),
        )
    try:
        data, modified = file.read_bytes(), file.stat().st_mtime
    except OSError:
        return _refusal(HTTPStatus.NOT_FOUND, "NOT_FOUND", _("There is nothing here."))
    etag = f'"{int(modified * 1e6):x}-{len(data):x}"'
    response: HttpResponse
    if request.headers.get("If-None-Match") == etag:
        response = HttpResponse(status=HTTPStatus.NOT_MODIFIED)
    else:
        response = HttpResponse(data, content_type="application/json; charset=utf-8")
    response["ETag"] = etag
    response["Last-Modified"] = http_date(modified)
    response["Cache-Control"] = _GATED_CACHE if gated else _OPEN_CACHE
    response["Access-Control-Allow-Origin"] = "*"
    return response


@require_safe
def gate(request: HttpRequest) -> HttpResponse:
    """Whether a token opens what the web server was asked for: 204 or 403; no query.

    nginx asks here before it serves a gated lesson or a video (``deploy/``), with the
    URI it was sent in ``X-Original-URI``, and keeps the answer for seconds.
    """
    left = signing.seconds_left(
        request.headers.get("X-Original-URI", ""), now=int(timezone.now().timestamp())
    )
    if not left:
        return HttpResponse(
            status=HTTPStatus.FORBIDDEN, headers={"Cache-Control": "no-store"}
        )
    fresh = min(left, _GATE_SECONDS)
    # No answer is used, stale ones included, after its token has expired.
    stale = min(left - fresh, _GATE_SECONDS)
    return HttpResponse(
        status=HTTPStatus.NO_CONTENT,
        headers={
            "Cache-Control": f"max-age={fresh}, stale-while-revalidate={stale}",
        },
    )


def _published_file(path: str) -> Path | None:
    """The file a reader means, if readers may name it."""
    if not path.endswith(".json"):
        return None
    if not all(_SEGMENT.match(part) for part in path.removesuffix(".json").split("/")):
        return None
    file = Path(settings.CONTENT_ROOT) / path
    return file if file.is_file() else None


@require_safe
def video_file(request: HttpRequest, path: str) -> HttpResponseBase:
    """A video kept on this server, whole or one byte range, for a signed URL."""
    root = Path(settings.VIDEO_ROOT).resolve()
    file = (root / path).resolve()
    if not _signed(request, purpose=signing.VIDEO, path=path):
        return _refusal(
            HTTPStatus.FORBIDDEN, "NOT_ENTITLED", _("This video's link has expired.")
        )
    if not file.is_relative_to(root) or not file.is_file():
        return _refusal(HTTPStatus.NOT_FOUND, "NOT_FOUND", _("There is nothing here."))
    size = file.stat().st_size
    wanted = _byte_range(request.headers.get("Range", ""), size)
    response: HttpResponseBase
    if wanted is None:
        response = FileResponse(file.open("rb"))
    else:
        first, last = wanted
        with file.open("rb") as handle:
            handle.seek(first)
            part = handle.read(min(last - first + 1, _RANGE_BYTES))
        last = first + len(part) - 1
        kind, _encoding = mimetypes.guess_type(file.name)
        response = HttpResponse(
            part,
            status=HTTPStatus.PARTIAL_CONTENT,
            content_type=kind or "application/octet-stream",
        )
        response["Content-Range"] = f"bytes {first}-{last}/{size}"
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = _GATED_CACHE
    response["Access-Control-Allow-Origin"] = "*"
    return response


def _byte_range(header: str, size: int) -> tuple[int, int] | None:
    """The one range asked for, first and last byte; None asks for the whole."""
    match = _RANGE.match(header)
    if match is None or size == 0:
        return None
    first, last = match.groups()
    if not first:
        return (max(size - int(last), 0), size - 1) if last else None
    start, end = int(first), min(int(last or size - 1), size - 1)
    return (start, end) if start <= end else None


def _signed(request: HttpRequest, *, purpose: str, path: str) -> bool:
    return signing.is_valid(
        purpose=purpose,
        path=path,
        expires=request.GET.get("expires"),
        token=request.GET.get("token"),
        player=request.GET.get("player"),
        now=int(timezone.now().timestamp()),
    )


def _refusal(status: HTTPStatus, code: str, message: str) -> JsonResponse:
    return JsonResponse({"error_code": code, "message": message}, status=status)
