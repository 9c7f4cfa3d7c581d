"""Signed, expiring URLs: for gated lessons and for videos.

What lies on this server is signed here: an HMAC-SHA256 under ``SECRET_KEY`` over the
purpose, the path, the expiry and, where there is one, the player it was made for;
changing the key ends all of them at once. What lies in the CDN's private bucket is
signed by the bucket's own scheme (`publishing.cdn`).
"""

from typing import Protocol
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from publishing import locations
from publishing.content_urls import local_base_url
from publishing.models import PublishingSettings

LESSON = "lesson"
VIDEO = "video"
VIDEO_URL = "/files/videos/"
FOREIGN = ("https://", "http://")


class VideoSigner(Protocol):
    """Makes URLs that play a video for a while."""

    @property
    def lifetime(self) -> int:
        """Seconds a URL lasts."""

    def sign(self, source: str, expires: int) -> str:
        """A URL that plays ``source`` until Unix time ``expires``.

        ``source`` is a path below the private video folder; an ``https://`` URL is
        somebody else's to protect and stays as it is.
        """


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


def is_valid(
    *,
    purpose: str,
    path: str,
    expires: str | None,
    token: str | None,
    now: int,
    player: str | None = None,
) -> bool:
    """Whether ``token`` opens ``path`` at Unix time ``now``; never raises."""
    if not expires or not token or not expires.isascii() or not expires.isdigit():
        return False
    if len(expires) > 12 or int(expires) <= now:
        return False
    expected = signature(
        purpose=purpose, path=path, expires=int(expires), player=player or ""
    )
    return constant_time_compare(token, expected)


def seconds_left(uri: str, *, now: int) -> int:
    """How long the token in ``uri`` still opens the file it names; 0 when it does not.

    Args:
        uri: a path with its query as a client sent it, escapes and all.
    """
    try:
        parts = urlsplit(uri)
        path = unquote(parts.path, errors="strict")
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    except ValueError:
        return 0
    for prefix, purpose in ((settings.CONTENT_URL, LESSON), (VIDEO_URL, VIDEO)):
        if path.startswith(prefix):
            opens = is_valid(
                purpose=purpose,
                path=path.removeprefix(prefix),
                expires=query.get("expires"),
                token=query.get("token"),
                player=query.get("player"),
                now=now,
            )
            return int(query["expires"]) - now if opens else 0
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


# --- Videos, wherever they lie -------------------------------------------------------


class LocalVideoSigner:
    """Signs videos kept on this server."""

    def __init__(self, current: PublishingSettings) -> None:
        self._current = current
        self.lifetime = current.signed_url_hours * 3600

    def sign(self, source: str, expires: int) -> str:
        """See `VideoSigner`."""
        if source.startswith(FOREIGN):
            return source
        return video_url(source, expires=expires, current=self._current)


def video_signer(current: PublishingSettings | None = None) -> VideoSigner:
    """The signer that the settings choose."""
    return LocalVideoSigner(current or PublishingSettings.get_solo())
