"""Uploaded files, and who may send them.

nginx serves the open ones itself, and asks before it takes large ones (``deploy/``).
"""

from http import HTTPStatus
from pathlib import PurePosixPath

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.static import serve

OPEN_FOLDERS = frozenset({"images"})
"""What published content links to; the rest (players' photos) is for staff."""


def upload(request: HttpRequest, path: str) -> HttpResponseBase:
    """The uploaded file at ``path``.

    Raises:
        Http404: there is none, or it is not for this visitor.
    """
    parts = PurePosixPath(path).parts
    is_open = bool(parts) and parts[0] in OPEN_FOLDERS and ".." not in parts
    if not (is_open or getattr(request.user, "is_staff", False)):
        raise Http404(_("There is nothing here."))
    try:
        answer = serve(request, path, document_root=str(settings.MEDIA_ROOT))
    except (OSError, ValueError) as error:  # a name no file system takes
        raise Http404(_("There is nothing here.")) from error
    # An upload opened as a page of this site runs nothing.
    answer.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return answer


def may_send(request: HttpRequest) -> HttpResponse:
    """Whether nginx may take a large body for the admin: 204 for staff, else 401.

    It costs two queries, and none without a session.
    """
    is_staff = getattr(request.user, "is_staff", False)
    return HttpResponse(
        status=HTTPStatus.NO_CONTENT if is_staff else HTTPStatus.UNAUTHORIZED
    )
