"""Signed, expiring URLs: for gated lessons and for videos kept on this server.

A signature is an HMAC-SHA256 under ``SECRET_KEY`` over the purpose, the path and
the expiry; changing the key ends all of them at once.
"""

from urllib.parse import quote, urlencode

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from publishing import locations
from publishing.content_urls import content_base_url
from publishing.models import PublishingSettings

LESSON = "lesson"
VIDEO = "video"
VIDEO_URL = "/files/videos/"


def signature(*, purpose: str, path: str, expires: int) -> str:
    """The signature of ``path`` for ``purpose`` until Unix time ``expires``."""
    return salted_hmac(
        f"memora.publishing.signing.{purpose}", f"{path}\n{expires}", algorithm="sha256"
    ).hexdigest()


def is_valid(
    *, purpose: str, path: str, expires: str | None, token: str | None, now: int
) -> bool:
    """Whether ``token`` opens ``path`` at Unix time ``now``; never raises."""
    if not expires or not token or not expires.isascii() or not expires.isdigit():
        return False
    if len(expires) > 12 or int(expires) <= now:
        return False
    expected = signature(purpose=purpose, path=path, expires=int(expires))
    return constant_time_compare(token, expected)


def _query(purpose: str, path: str, expires: int) -> str:
    token = signature(purpose=purpose, path=path, expires=expires)
    return urlencode({"expires": expires, "token": token})


def lesson_url(
    lesson_id: str, *, expires: int, current: PublishingSettings | None = None
) -> str:
    """A URL that reads a gated lesson's file until Unix time ``expires``."""
    path = locations.lesson(lesson_id)
    return f"{content_base_url(current)}{path}?{_query(LESSON, path, expires)}"


def video_url(
    name: str, *, expires: int, current: PublishingSettings | None = None
) -> str:
    """A URL that plays a video until Unix time ``expires``.

    ``name`` is a path below the private video folder; an ``https://`` URL is
    somebody else's to protect and stays as it is.
    """
    if name.startswith(("https://", "http://")):
        return name
    current = current or PublishingSettings.get_solo()
    domain = (current.local_domain or settings.SITE_URL).rstrip("/")
    return f"{domain}{VIDEO_URL}{quote(name)}?{_query(VIDEO, name, expires)}"
