"""Uploads of pictures and videos from the stage editor.

Pictures are stored in the public uploads folder, because published content links to
them. Videos are stored in the private folder, which only signed URLs can read.
"""

from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from content.media import files, library
from content.models import MediaFile, MediaKind
from core.errors import MemoraError
from core.searching import has_words
from publishing.models import PublishingSettings
from publishing.signing import links

MAX_RECENT = 60


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the URL patterns of the uploads, below the admin's own URL."""
    return [
        path("upload/image/", site.admin_view(upload_image), name="upload_image"),
        path("upload/recent/", site.admin_view(recent_media), name="recent_media"),
        path("upload/video/", site.admin_view(upload_video), name="upload_video"),
        path("upload/watch/", site.admin_view(watch_video), name="watch_video"),
    ]


def _require_author(request: HttpRequest) -> None:
    if not request.user.has_perm("content.change_node"):
        raise PermissionDenied


@require_POST
def upload_image(request: HttpRequest) -> HttpResponse:
    """Store the picture ``file``; return ``{"url"}``, or 400 with ``{"message"}``.

    Raises:
        PermissionDenied: the user may not edit content.
    """
    _require_author(request)
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile):
        return _refusal(ValidationError(_("Choose a file.")))
    return _stored(file, MediaKind.PICTURE)


def _stored(file: "UploadedFile[Any]", kind: MediaKind) -> JsonResponse:
    try:
        media = library.add(file, kind=kind)
    except MemoraError as refusal:
        return _refusal(ValidationError(refusal.message))
    if kind is MediaKind.VIDEO:
        return JsonResponse({"source": media.path})
    return JsonResponse({"url": default_storage.url(media.path)})


@require_safe
def recent_media(request: HttpRequest) -> HttpResponse:
    """Return the latest files of ``?kind=``, newest first, that match ``?q=``.

    ``{"files": [{"address", "name", "alt", "captions"}]}``; an address is a URL, or the
    ``source`` of a video. Unknown kinds have no files.

    Raises:
        PermissionDenied: the user may not edit content.
    """
    _require_author(request)
    rows = MediaFile.objects.filter(kind=request.GET.get("kind", ""))
    words = request.GET.get("q", "")[:200]
    rows = rows.filter(has_words(words, folded="name_folded", exact=["alt"]))
    found = [
        {
            "address": files.address(row),
            "name": row.name,
            "alt": row.alt,
            "captions": row.captions,
        }
        for row in rows[:MAX_RECENT]
    ]
    return JsonResponse({"files": found})


@require_POST
def upload_video(request: HttpRequest) -> HttpResponse:
    """Store the video ``file``; return ``{"source"}``, or 400 with ``{"message"}``.

    Raises:
        PermissionDenied: the user may not edit content.
    """
    _require_author(request)
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile):
        return _refusal(ValidationError(_("Choose a file.")))
    return _stored(file, MediaKind.VIDEO)


def _refusal(error: ValidationError) -> JsonResponse:
    message = " ".join(error.messages)
    return JsonResponse({"error": message}, status=HTTPStatus.BAD_REQUEST)


@require_safe
def watch_video(request: HttpRequest) -> HttpResponse:
    """Redirect to a signed URL of ``?source=``, for the editor's video player.

    Raises:
        PermissionDenied: the user may not view content, or the source is a foreign URL
            or leaves the video folder.
    """
    if not request.user.has_perm("content.view_node"):
        raise PermissionDenied
    source = request.GET.get("source", "")
    if (
        source.startswith(links.EXTERNAL_PREFIXES)
        or ".." in PurePosixPath(source).parts
    ):
        raise PermissionDenied
    signer = links.video_signer(PublishingSettings.get_solo())
    expires = int(timezone.now().timestamp()) + signer.lifetime
    return HttpResponseRedirect(signer.sign(source, expires))
