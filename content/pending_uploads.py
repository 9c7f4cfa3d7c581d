"""Uploads that wait for their uploader's yes: in the cache, for an hour.

A yes counts once, however often it is clicked: the first click claims the file, the
others are given what came of it.
"""

import base64
import secrets
import zlib

import structlog
from django.core.cache import cache
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from core.errors import MemoraError

log = structlog.get_logger(__name__)

SECONDS = 3600


class UploadGoneError(MemoraError):
    """What was uploaded is not there any more, or could not be kept."""

    code = "UPLOAD_GONE"


def store(*, owner: int, name: str, data: bytes) -> str:
    """Keep a file for its owner; the token that gives it back.

    Raises:
        UploadGoneError: Redis does not answer.
    """
    token = secrets.token_urlsafe(16)
    try:
        packed = base64.b64encode(zlib.compress(data, 1)).decode()
        cache.set(_key(owner, token), [name, packed], SECONDS)
    except RedisError as error:
        raise UploadGoneError(
            _("The file cannot be kept (Redis does not answer). Try again later.")
        ) from error
    return token


def read(*, owner: int, token: str) -> tuple[str, bytes]:
    """The kept file's name and bytes. It stays, so that a second click finds it.

    Raises:
        UploadGoneError: it was kept too long ago, by somebody else, or never; or Redis
            does not answer.
    """
    try:
        found = cache.get(_key(owner, token))
    except RedisError as error:
        raise _out_of_reach() from error
    if found is None:
        raise UploadGoneError(
            _("The file is not kept any more. Upload it again to import it.")
        )
    name, packed = found
    return name, zlib.decompress(base64.b64decode(packed))


def claim(*, owner: int, token: str) -> str | None:
    """Ask to be the one who imports a kept file: None says yes, and `answer` must follow.

    Otherwise somebody was first: what came of it, empty while it is under way.

    Raises:
        UploadGoneError: Redis does not answer.
    """
    key = _answer_key(owner, token)
    try:
        return None if cache.add(key, "", SECONDS) else str(cache.get(key, ""))
    except RedisError as error:
        raise _out_of_reach() from error


def answer(*, owner: int, token: str, said: str) -> None:
    """Say what came of a claim; an empty ``said`` gives the claim back.

    Without Redis it stays under way: the file is never imported twice.
    """
    key = _answer_key(owner, token)
    try:
        if said:
            cache.set(key, said, SECONDS)
        else:
            cache.delete(key)
    except RedisError:
        log.warning("upload_answer_not_kept", exc_info=True)


def _out_of_reach() -> UploadGoneError:
    return UploadGoneError(
        _(
            "The file cannot be fetched (Redis does not answer). Nothing was imported: "
            "try again later."
        )
    )


def _key(owner: int, token: str) -> str:
    return f"upload:{owner}:{token}"


def _answer_key(owner: int, token: str) -> str:
    return f"upload-answer:{owner}:{token}"
