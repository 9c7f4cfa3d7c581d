"""Signed, expiring URLs: for gated lessons, for videos and for players' photos.

What lies on this server is signed here: an HMAC-SHA256 under ``SECRET_KEY`` over the
purpose, the path, the expiry and, where there is one, the player it was made for;
changing the key ends all of them at once. What lies in the CDN's private bucket is
signed by the bucket's own scheme (`publishing.cdn.backends.s3`).
"""

import os
import re
import time
import unicodedata
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode

import structlog
from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from core.errors import MemoraError
from publishing.content_urls import local_base_url
from publishing.format import locations
from publishing.models import (
    PublishedDocument,
    PublishingSettings,
    UploadedDocument,
    storage_is_the_bucket,
)

if TYPE_CHECKING:
    from publishing.cdn.backends.s3 import Bucket

log = structlog.get_logger(__name__)

LESSON = "lesson"
VIDEO = "video"
VIDEO_URL = "/files/videos/"
PHOTO = "photo"
PHOTO_URL = "/files/photos/"
FOREIGN = ("https://", "http://")


_QUERY = re.compile(
    r"expires=(?P<expires>[1-9][0-9]{0,11})(&player=(?P<player>[0-9]{1,18}))?"
    r"&token=[0-9a-f]{64}"
)
"""The query of a signed URL, as `_query` writes it."""

# --- Tokens of this server -----------------------------------------------------------


def signature(*, purpose: str, path: str, expires: int, player: str = "") -> str:
    """The signature of ``path`` for ``purpose`` until Unix time ``expires``.

    ``player`` is the id of the player it was made for, "" for anyone.
    """
    return salted_hmac(
        f"memora.publishing.signing.{purpose}",
        f"{path}\n{expires}\n{player}",
        algorithm="sha256",
    ).hexdigest()


def seconds_of_query(*, purpose: str, path: str, query: str, now: int) -> int:
    """How long ``query`` still opens ``path`` after Unix time ``now``; 0: it does not.

    Only the query that this module writes opens anything: the web server's log takes
    the player from it, so no second ``player=`` may stand beside the signed one.
    """
    match = _QUERY.fullmatch(query)
    if match is None:
        return 0
    expires = int(match["expires"])
    written = _query(purpose, path, expires, match["player"] or "")
    return max(expires - now, 0) if constant_time_compare(query, written) else 0


def seconds_left(uri: str, *, now: int) -> int:
    """How long the token in ``uri`` still opens the file it names; 0 when it does not.

    Args:
        uri: a path with its query as a client sent it, escapes and all.
    """
    escaped, _mark, query = uri.partition("?")
    try:
        path = unquote(escaped, errors="strict")
    except UnicodeDecodeError:
        return 0
    for prefix, purpose in (
        (settings.CONTENT_URL, LESSON),
        (VIDEO_URL, VIDEO),
        (PHOTO_URL, PHOTO),
    ):
        if path.startswith(prefix):
            name = path.removeprefix(prefix)
            return seconds_of_query(purpose=purpose, path=name, query=query, now=now)
    return 0


def _query(purpose: str, path: str, expires: int, player: str = "") -> str:
    token = signature(purpose=purpose, path=path, expires=expires, player=player)
    named = {"player": player} if player else {}
    return urlencode({"expires": expires, **named, "token": token})


def lesson_url(
    lesson_id: str,
    *,
    expires: int,
    player_id: int | None = None,
    current: PublishingSettings | None = None,
) -> str:
    """A URL that reads a gated lesson's file here until Unix time ``expires``.

    With ``player_id`` the web server's log tells whose link it is.
    """
    path = locations.lesson(lesson_id)
    player = "" if player_id is None else str(player_id)
    return f"{local_base_url(current)}{path}?{_query(LESSON, path, expires, player)}"


def video_url(
    name: str, *, expires: int, current: PublishingSettings | None = None
) -> str:
    """A URL that plays a video kept here until Unix time ``expires``.

    ``name`` is a path below the private video folder.
    """
    current = current or PublishingSettings.get_solo()
    domain = (current.local_domain or settings.SITE_URL).rstrip("/")
    return f"{domain}{VIDEO_URL}{quote(name)}?{_query(VIDEO, name, expires)}"


def photo_uri(name: str, *, expires: int, player_id: int) -> str:
    """The path and query that read a player's photo until Unix time ``expires``.

    ``name`` is the file's name below the folder of photos.
    """
    query = _query(PHOTO, name, expires, str(player_id))
    return f"{PHOTO_URL}{quote(name)}?{query}"


# --- Videos, wherever they lie -------------------------------------------------------


class VideoSigner:
    """Makes URLs that play a video for a while, wherever it lies.

    What is kept here is signed here. The rest lies in the private bucket alone
    (`publishing.signing.videos` puts it there) and is signed there, whether students
    read from the CDN now or not.
    """

    def __init__(self, current: PublishingSettings) -> None:
        self._current = current
        self._is_told = False
        self.lifetime = current.signed_url_hours * 3600
        """Seconds a URL lasts."""

    def sign(self, source: str, expires: int) -> str:
        """A URL that plays ``source`` until Unix time ``expires``; never fails.

        ``source`` is a path below the private video folder; an ``https://`` URL is
        somebody else's to protect and stays as it is. While the bucket's settings make
        no sense nobody can sign what lies there: it gets an address here, where it is
        not found.
        """
        try:
            return self.sign_where_it_lies(source, expires)
        except MemoraError as error:
            if not self._is_told:
                log.warning("private_bucket_unusable", code=error.code)
                self._is_told = True
            return video_url(source, expires=expires, current=self._current)

    def sign_where_it_lies(self, source: str, expires: int) -> str:
        """As `sign`, for who has a URL to lose.

        Raises:
            DistributionError, SecretsError: the bucket's settings make no sense.
        """
        if source.startswith(FOREIGN):
            return source
        here = name_here(source)
        if here is not None or self._bucket is None:
            return video_url(here or source, expires=expires, current=self._current)
        seconds = max(expires - int(time.time()), 1)
        return self._bucket.signed_url(video_key(source), seconds=seconds)

    @cached_property
    def _bucket(self) -> "Bucket | None":
        return _named_bucket(self._current)


def video_key(source: str) -> str:
    """A video's name in the private bucket."""
    return f"videos/{source}"


def spellings(source: str) -> list[str]:
    """A video's name as it is written, and in Unicode NFC and NFD, each once.

    Files that a Mac copied here are named in NFD, and editors type NFC.
    """
    forms = [unicodedata.normalize(form, source) for form in ("NFC", "NFD")]
    return list(dict.fromkeys([source, *forms]))


def name_here(source: str) -> str | None:
    """The name of a video in this server's private folder.

    Returns:
        One of its `spellings`; None where it does not lie here, or not here alone.
    """
    for name in spellings(source):
        here = os.path.join(settings.VIDEO_ROOT, name)
        if os.path.isfile(here) and not mark_of_copy(name).exists():
            return name
    return None


def mark_of_copy(source: str) -> Path:
    """The file that says that the private bucket has a video, too: it is moving."""
    here = Path(settings.VIDEO_ROOT, source)
    return here.with_name(f".{here.name}.moving")


def video_signer(current: PublishingSettings | None = None) -> VideoSigner:
    """The signer for these settings, or for those in force."""
    return VideoSigner(current or PublishingSettings.get_solo())


def private_bucket(current: PublishingSettings) -> "Bucket | None":
    """The bucket nobody reads without a signature; None where this server serves.

    Raises:
        DistributionError, SecretsError: the CDN's settings make no sense.
    """
    if not current.cdn_enabled or current.local_fallback_mode:
        return None
    return _named_bucket(current)


def _named_bucket(current: PublishingSettings) -> "Bucket | None":
    """The private bucket the settings name, in use or not."""
    keys = current.cdn_access_key and current.cdn_secret_key
    if not current.cdn_private_bucket or not keys or not storage_is_the_bucket():
        return None
    from publishing.cdn.backends import s3  # boto3 is slow to import, and seldom needed

    return s3.private_bucket(current)


def private_lesson_url(
    lesson_id: str,
    *,
    expires: int,
    now: int,
    player_id: int,
    current: PublishingSettings,
) -> str:
    """A URL that reads a gated lesson's file until Unix time ``expires``.

    In the private bucket where that has the file as it is now, else here.
    """
    path = locations.lesson(lesson_id)
    try:
        bucket = private_bucket(current)
        if bucket is not None and _is_uploaded(bucket.id, path):
            return bucket.signed_url(path, seconds=expires - now)
    except MemoraError as error:  # this server has the file in any case
        log.warning("private_bucket_unusable", code=error.code)
    return lesson_url(lesson_id, expires=expires, player_id=player_id, current=current)


def _is_uploaded(target: str, path: str) -> bool:
    published = PublishedDocument.objects.filter(path=path).values("sha256")
    return UploadedDocument.objects.filter(
        target=target, path=path, sha256__in=published, leaving_since__isnull=True
    ).exists()
