"""Signed, expiring URLs for gated lessons, videos and players' photos.

Files on this server are signed here: an HMAC-SHA256 with ``SECRET_KEY`` over the
purpose, the path, the expiry and, if given, the player. Changing the key invalidates
all of them at once. Files in the CDN's private bucket are signed by the bucket's own
scheme (`publishing.cdn.backends.s3`).
"""

import os
import re
import time
import unicodedata
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import structlog
from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from core.errors import MemoraError
from publishing.content_urls import local_base_url
from publishing.format import locations
from publishing.models import PublishingSettings, storage_is_the_bucket

if TYPE_CHECKING:
    from publishing.cdn.backends.s3 import Bucket

log = structlog.get_logger(__name__)

LESSON = "lesson"
VIDEO = "video"
VIDEO_URL = "/files/videos/"
PHOTO = "photo"
PHOTO_URL = "/files/photos/"
EXTERNAL_PREFIXES = ("https://", "http://")


_QUERY = re.compile(
    r"expires=(?P<expires>[1-9][0-9]{0,11})(&player=(?P<player>[0-9]{1,18}))?"
    r"&token=[0-9a-f]{64}"
)
"""Matches the query of a signed URL as `_query` writes it."""

# --- Tokens of this server -----------------------------------------------------------


def signature(*, purpose: str, path: str, expires: int, player: str = "") -> str:
    """Return the signature of ``path`` for ``purpose`` until Unix time ``expires``.

    ``player`` is the id of the player it is made for, "" for anyone.
    """
    signer = _keyed(purpose, settings.SECRET_KEY).copy()
    signer.update(f"{path}\n{expires}\n{player}".encode())
    digest: str = signer.hexdigest()
    return digest


@lru_cache(maxsize=16)
def _keyed(purpose: str, secret_key: str) -> Any:
    """Return the HMAC of nothing yet: deriving the key is most of a signature's cost."""
    salt = f"memora.publishing.signing.{purpose}"
    return salted_hmac(salt, "", secret=secret_key, algorithm="sha256")


def seconds_of_query(*, purpose: str, path: str, query: str, now: int) -> int:
    """Return for how many seconds from ``now`` ``query`` still opens ``path``.

    ``now`` is in Unix seconds; 0: the query is not valid. Only the exact query that
    this module writes is accepted: the web server's log takes the player from it, so
    there must be no second ``player=`` beside the signed one.
    """
    match = _QUERY.fullmatch(query)
    if match is None:
        return 0
    expires = int(match["expires"])
    written = _query(purpose, path, expires, match["player"] or "")
    return max(expires - now, 0) if constant_time_compare(query, written) else 0


def seconds_left(uri: str, *, now: int) -> int:
    """Return for how many seconds the token in ``uri`` is still valid; 0 if it is not.

    Args:
        uri: a path with its query as the client sent it, with its escapes.
        now: Unix time.
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
    owner = f"&player={player}" if player else ""
    return f"expires={expires}{owner}&token={token}"


def lesson_url(
    lesson_id: str,
    *,
    expires: int,
    player_id: int | None = None,
    current: PublishingSettings | None = None,
) -> str:
    """Return a URL on this server that reads a gated lesson until ``expires``.

    ``expires`` is in Unix seconds. With ``player_id`` the web server's log records the
    player to whom the link was given.
    """
    path = locations.lesson(lesson_id)
    player = "" if player_id is None else str(player_id)
    return f"{local_base_url(current)}{path}?{_query(LESSON, path, expires, player)}"


def video_url(
    name: str, *, expires: int, current: PublishingSettings | None = None
) -> str:
    """Return a URL that plays a video on this server until Unix time ``expires``.

    ``name`` is a path below the private video folder.
    """
    current = current or PublishingSettings.get_solo()
    domain = (current.local_domain or settings.SITE_URL).rstrip("/")
    return f"{domain}{VIDEO_URL}{quote(name)}?{_query(VIDEO, name, expires)}"


def photo_uri(name: str, *, expires: int, player_id: int) -> str:
    """Return path and query that read a player's photo until Unix time ``expires``.

    ``name`` is the file's name below the folder of photos.
    """
    query = _query(PHOTO, name, expires, str(player_id))
    return f"{PHOTO_URL}{quote(name)}?{query}"


# --- Videos in any storage ------------------------------------------------------------


class VideoSigner:
    """Makes expiring URLs of videos in any storage.

    Videos on this server are signed here. The others are only in the private bucket
    (`publishing.signing.videos` puts them there) and are signed for it, whether or not
    students read from the CDN now.
    """

    def __init__(self, current: PublishingSettings) -> None:
        self._current = current
        self._is_told = False
        self.lifetime = current.signed_url_hours * 3600
        """Lifetime of a URL, in seconds."""

    def sign(self, source: str, expires: int) -> str:
        """Return a URL that plays ``source`` until Unix time ``expires``; never fail.

        ``source`` is a path below the private video folder. An ``https://`` URL belongs
        to another host and is returned unchanged. While the bucket's settings are
        invalid, its videos cannot be signed: the URL then leads to this server, which
        answers 404.
        """
        try:
            return self.sign_where_it_lies(source, expires)
        except MemoraError as error:
            if not self._is_told:
                log.warning("private_bucket_unusable", code=error.code)
                self._is_told = True
            return video_url(source, expires=expires, current=self._current)

    def sign_where_it_lies(self, source: str, expires: int) -> str:
        """As `sign`, but raise an error instead of returning a URL that fails.

        Raises:
            DistributionError, SecretsError: the bucket's settings are invalid.
        """
        if source.startswith(EXTERNAL_PREFIXES):
            return source
        local_path = name_here(source)
        if local_path is not None or self._bucket is None:
            return video_url(
                local_path or source, expires=expires, current=self._current
            )
        seconds = max(expires - int(time.time()), 1)
        return self._bucket.signed_url(video_key(source), seconds=seconds)

    @cached_property
    def _bucket(self) -> "Bucket | None":
        return named_bucket(self._current)


def video_key(source: str) -> str:
    """Return a video's key in the private bucket."""
    return f"videos/{source}"


def spellings(source: str) -> list[str]:
    """Return a video's name as written, in Unicode NFC and in NFD, without duplicates.

    Files copied from a Mac have names in NFD; editors type NFC.
    """
    forms = [unicodedata.normalize(form, source) for form in ("NFC", "NFD")]
    return list(dict.fromkeys([source, *forms]))


def name_here(source: str) -> str | None:
    """Return the name of a video in this server's private folder.

    Returns:
        One of its `spellings`; None if it is not here, or is also in the bucket.
    """
    for name in spellings(source):
        local_path = os.path.join(settings.VIDEO_ROOT, name)
        if os.path.isfile(local_path) and not copied_marker_path(name).exists():
            return name
    return None


def copied_marker_path(source: str) -> Path:
    """Return the path of the marker of a video that is also in the private bucket."""
    local_path = Path(settings.VIDEO_ROOT, source)
    return local_path.with_name(f".{local_path.name}.moving")


def video_signer(current: PublishingSettings | None = None) -> VideoSigner:
    """Return the signer for these settings, by default the current ones."""
    return VideoSigner(current or PublishingSettings.get_solo())


def private_bucket(current: PublishingSettings) -> "Bucket | None":
    """Return the bucket that requires a signature; None if this server serves.

    Raises:
        DistributionError, SecretsError: the CDN's settings are invalid.
    """
    if not current.cdn_enabled or current.local_fallback_mode:
        return None
    return named_bucket(current)


def named_bucket(current: PublishingSettings) -> "Bucket | None":
    """Return the private bucket named in the settings, whether in use or not."""
    keys = current.cdn_access_key and current.cdn_secret_key
    if not current.cdn_private_bucket or not keys or not storage_is_the_bucket():
        return None
    from publishing.cdn.backends import s3  # boto3 is slow to import, rarely needed

    return s3.private_bucket(current)
