"""Where students read lessons' files now: on this server or on the CDN, signed if gated."""

from collections.abc import Collection
from dataclasses import dataclass

import structlog
from django.db.models import OuterRef, Subquery

from core.errors import MemoraError
from publishing import content_urls, destinations
from publishing.format import locations
from publishing.models import (
    PublishedDocument,
    PublishingSettings,
    UploadedDocument,
)
from publishing.signing import links

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LessonUrl:
    """``expires_at`` is Unix time, None for an open lesson."""

    url: str
    expires_at: int | None


def lesson_urls(
    lesson_ids: Collection[str],
    *,
    gated: set[str],
    expires: int,
    now: int,
    player_id: int,
    current: PublishingSettings,
) -> list[LessonUrl]:
    """Return the URL of each lesson's file; that of a gated one lasts until ``expires``.

    The URL leads to the CDN where that has the file: an open lesson in any release, a
    gated one with its current bytes. Otherwise, and while the CDN's settings are
    invalid, it leads to this server, which has every file.

    At most one query: what the CDN has of these lessons, if it is in use and may serve
    one of them.

    Args:
        gated: the lessons that need a token (`open_lessons.gated_among`).
        expires, now: Unix time.
    """
    base_url = content_urls.content_base_url(current)
    local_base_url = content_urls.local_base_url(current)
    on_cdn = _OnCdn(current, gated=gated, opened=set(lesson_ids) - gated)
    found = []
    for lesson_id in lesson_ids:
        if lesson_id not in gated:
            path = locations.lesson(lesson_id)
            base = base_url if path in on_cdn.public else local_base_url
            found.append(LessonUrl(base + path, None))
            continue
        url = on_cdn.signed_url(lesson_id, seconds=expires - now) or links.lesson_url(
            lesson_id, expires=expires, player_id=player_id, current=current
        )
        found.append(LessonUrl(url, expires))
    return found


class _OnCdn:
    """What the CDN has of some lessons.

    ``public`` has the paths of the files in the public place, ``private`` those of the
    current files in the private bucket.
    """

    def __init__(
        self, current: PublishingSettings, *, gated: set[str], opened: set[str]
    ) -> None:
        self.public: set[str] = set()
        self.private: set[str] = set()
        self._bucket = None
        if not current.cdn_enabled or current.local_fallback_mode:
            return
        try:
            self._bucket = links.private_bucket(current) if gated else None
        except MemoraError as error:
            log.warning("private_bucket_unusable", code=error.code)
        lesson_ids = opened if self._bucket is None else opened | gated
        if not lesson_ids:
            return
        public_id = destinations.public_destination_id(current)
        private_id = "" if self._bucket is None else self._bucket.id
        published = PublishedDocument.objects.filter(path=OuterRef("path"))
        uploaded = UploadedDocument.objects.filter(
            target__in=[public_id, private_id],
            path__in=[locations.lesson(lesson_id) for lesson_id in lesson_ids],
            sha256__gt="",
            obsolete_since__isnull=True,
        ).annotate(published_sha256=Subquery(published.values("sha256")))
        for target, path, sha256, current_sha256 in uploaded.values_list(
            "target", "path", "sha256", "published_sha256"
        ):
            if target == public_id:
                self.public.add(path)
            if target == private_id and sha256 == current_sha256:
                self.private.add(path)

    def signed_url(self, lesson_id: str, *, seconds: int) -> str:
        """Return a URL of the private bucket; "" if it has no current file."""
        path = locations.lesson(lesson_id)
        if self._bucket is None or path not in self.private:
            return ""
        try:
            return self._bucket.signed_url(path, seconds=seconds)
        except MemoraError as error:
            log.warning("private_bucket_unusable", code=error.code)
            self._bucket = None
            return ""
