"""Uploaded files, and the check before a large upload.

nginx serves the public ones itself, and calls `can_upload` before it accepts a large
body (``deploy/``).
"""

from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
)
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from django.views.static import serve

from publishing.signing import links

OPEN_FOLDER = "images"
"""Public: published content links to it."""
PHOTO_FOLDER = "photos"
"""Players' photos: only for staff who may view players."""


def upload(request: HttpRequest, path: str) -> HttpResponseBase:
    """Serve the uploaded file at ``path``.

    Raises:
        Http404: it does not exist, or the visitor may not read it.
    """
    parts = PurePosixPath(path).parts
    folder = parts[0] if parts and ".." not in parts else ""
    user: Any = request.user
    if folder == OPEN_FOLDER or (
        folder == PHOTO_FOLDER and user.has_perm("players.view_playerprofile")
    ):
        answer = _serve(request, path)
        if folder == PHOTO_FOLDER:
            answer.headers["Cache-Control"] = "private, no-store"
        else:  # web apps draw pictures of lessons on a canvas
            answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer
    raise Http404(_("Not found."))


@require_safe
def photo(request: HttpRequest, name: str) -> HttpResponseBase:
    """Serve a player's photo for a signed URL, which the API's ``me/`` returns.

    Raises:
        Http404: the photo was replaced or deleted.
    """
    if not links.seconds_left(
        request.get_full_path(), now=int(timezone.now().timestamp())
    ):
        return JsonResponse(
            {
                "error_code": "NOT_ENTITLED",
                "message": _("The photo's link has expired."),
            },
            status=HTTPStatus.FORBIDDEN,
        )
    answer = _serve(request, f"{PHOTO_FOLDER}/{name}")
    answer.headers["Cache-Control"] = "private, no-store"
    answer.headers["Access-Control-Allow-Origin"] = "*"
    return answer


def _serve(request: HttpRequest, path: str) -> HttpResponseBase:
    try:
        answer = serve(request, path, document_root=str(settings.MEDIA_ROOT))
    except (OSError, ValueError) as error:  # an invalid file name
        raise Http404(_("Not found.")) from error
    # Opened as a page, an uploaded file must not run scripts on this site.
    answer.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return answer


def can_upload(request: HttpRequest) -> HttpResponse:
    """Tell nginx whether to accept a large body for the admin: 204 for staff, else 401.

    Two queries; none without a session.
    """
    is_staff = getattr(request.user, "is_staff", False)
    return HttpResponse(
        status=HTTPStatus.NO_CONTENT if is_staff else HTTPStatus.UNAUTHORIZED
    )
