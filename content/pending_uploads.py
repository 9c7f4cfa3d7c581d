"""Uploads that wait for confirmation, in the cache for an hour.

Each upload is imported once, however often it is confirmed: the first request claims
it, later ones get its result.
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


class UploadExpiredError(MemoraError):
    """The upload has expired, or could not be stored."""

    code = "UPLOAD_GONE"


def store(*, owner: int, name: str, data: bytes) -> str:
    """Store a file for its owner and return its token.

    Raises:
        UploadGoneError: Redis does not answer.
    """
    token = secrets.token_urlsafe(16)
    try:
        compressed = base64.b64encode(zlib.compress(data, 1)).decode()
        cache.set(_key(owner, token), [name, compressed], SECONDS)
    except RedisError as error:
        raise UploadExpiredError(
            _("The file cannot be stored (Redis does not answer). Try again later.")
        ) from error
    return token


def read(*, owner: int, token: str) -> tuple[str, bytes]:
    """Return the name and bytes of a stored file. It stays, for a second click.

    Raises:
        UploadGoneError: it has expired, belongs to another user or does not exist, or
            Redis does not answer.
    """
    try:
        found = cache.get(_key(owner, token))
    except RedisError as error:
        raise _out_of_reach() from error
    if found is None:
        raise UploadExpiredError(
            _("The uploaded file has expired. Upload it again to import it.")
        )
    name, compressed = found
    return name, zlib.decompress(base64.b64decode(compressed))


def claim(*, owner: int, token: str) -> str | None:
    """Claim the import of a stored file.

    Returns:
        None if this request has the claim; it must then call `store_result`. Otherwise the
            result of the first request, "" while that is running.

    Raises:
        UploadGoneError: Redis does not answer.
    """
    key = _answer_key(owner, token)
    try:
        return None if cache.add(key, "", SECONDS) else str(cache.get(key, ""))
    except RedisError as error:
        raise _out_of_reach() from error


def store_result(*, owner: int, token: str, message: str) -> None:
    """Store the result of a claimed import; an empty ``message`` releases the claim.

    Without Redis the claim stays until it expires, so the file is not imported twice.
    """
    key = _answer_key(owner, token)
    try:
        if message:
            cache.set(key, message, SECONDS)
        else:
            cache.delete(key)
    except RedisError:
        log.warning("upload_answer_not_kept", exc_info=True)


def _out_of_reach() -> UploadExpiredError:
    return UploadExpiredError(
        _(
            "The file cannot be read (Redis does not answer). Nothing was imported: "
            "try again later."
        )
    )


def _key(owner: int, token: str) -> str:
    return f"upload:{owner}:{token}"


def _answer_key(owner: int, token: str) -> str:
    return f"upload-answer:{owner}:{token}"
