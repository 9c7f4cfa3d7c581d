"""Uploads that wait for their uploader's yes: in the cache, for an hour."""

import secrets
import zlib

from django.core.cache import cache
from django.utils.translation import gettext as _
from django_redis.exceptions import ConnectionInterrupted

from content.errors import MemoraError

SECONDS = 3600


class UploadGoneError(MemoraError):
    """What was uploaded is not there any more, or could not be kept."""

    code = "UPLOAD_GONE"


def keep(*, owner: int, name: str, data: bytes) -> str:
    """Keep a file for its owner; the token that gives it back.

    Raises:
        UploadGoneError: the cache does not answer.
    """
    token = secrets.token_urlsafe(16)
    try:
        cache.set(_key(owner, token), (name, zlib.compress(data, 1)), SECONDS)
    except ConnectionInterrupted as error:
        raise UploadGoneError(
            _("The file cannot be kept (Redis does not answer). Try again later.")
        ) from error
    return token


def take(*, owner: int, token: str) -> tuple[str, bytes]:
    """The kept file's name and bytes. It stays, so that a second click finds it.

    Raises:
        UploadGoneError: it was kept too long ago, by somebody else, or never.
    """
    try:
        found = cache.get(_key(owner, token))
    except ConnectionInterrupted:
        found = None
    if found is None:
        raise UploadGoneError(
            _("The file is not kept any more. Upload it again to import it.")
        )
    name, data = found
    return name, zlib.decompress(data)


def _key(owner: int, token: str) -> str:
    return f"upload:{owner}:{token}"
