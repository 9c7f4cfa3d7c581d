"""Purge changed URLs from a CDN's cache; one class per CDN.

``CDN_PURGE_BACKEND`` names the class. `NullPurger` is used where no purge is possible:
for a bucket without a CDN, and for a CDN without a token. Their caches, if any, keep a
file for at most five minutes.
"""

import time
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol, cast

import orjson
import structlog
import urllib3
from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from publishing.cdn import outbound
from publishing.cdn.backends.base import DistributionError
from publishing.models import PublishingSettings

log = structlog.get_logger(__name__)

URLS_PER_REQUEST = 30
"""The most URLs that Cloudflare accepts in one request."""
_ATTEMPTS = 4
_MAX_WAIT = 30.0
_INITIAL_WAIT = 1.0
_MAX_ANSWER_BYTES = 256 * 1024
"""In bytes; a response names at most the thirty requested URLs."""


class Purger(Protocol):
    """Interface of the classes that purge URLs from a CDN's cache."""

    @property
    def batch_size(self) -> int:
        """The most URLs that one request may name."""

    def purge(self, urls: Sequence[str]) -> None:
        """Purge these URLs. Safe to call twice for the same URL.

        Raises:
            DistributionError: some URLs may still be in the cache.
        """


class NullPurger:
    """Does nothing: for a CDN without a cache, or whose cached copies may expire."""

    batch_size = 1000

    def purge(self, urls: Sequence[str]) -> None:
        """Do nothing."""


class CloudflarePurger:
    """Purge by URL through Cloudflare's API, thirty URLs per request.

    On a rate limit it waits as long as ``Retry-After`` requires, up to 30 seconds.
    After a longer limit it raises `DistributionError`, without a request, until the
    limit ends.
    """

    batch_size = URLS_PER_REQUEST

    def __init__(self, *, zone: str, token: str) -> None:
        self._not_before = 0.0
        """Monotonic time until which Cloudflare accepts no purges."""
        self._zone = zone
        self._token = token
        self._client = outbound.Client(
            connect=5, read=15, most=_MAX_ANSWER_BYTES, seconds=15
        )

    @classmethod
    def from_settings(cls, current: PublishingSettings) -> Purger:
        """Return the purger for these settings; a `NullPurger` without zone or token.

        Raises:
            SecretsError: the token cannot be decrypted.
        """
        token = current.secret("cloudflare_token")
        if not current.cloudflare_zone or not token:
            return NullPurger()
        return _cloudflare(settings.CLOUDFLARE_API_URL, current.cloudflare_zone, token)

    def purge(self, urls: Sequence[str]) -> None:
        for start in range(0, len(urls), URLS_PER_REQUEST):
            self._purge_few(urls[start : start + URLS_PER_REQUEST])

    def _purge_few(self, urls: Sequence[str]) -> None:
        if time.monotonic() < self._not_before:
            raise DistributionError(_describe_error(HTTPStatus.TOO_MANY_REQUESTS, b""))
        wait = _INITIAL_WAIT
        for attempt in range(1, _ATTEMPTS + 1):
            status, body, headers = self._ask(urls)
            if status == HTTPStatus.OK and _is_success(body):
                return
            pause = _retry_after(headers) or wait
            is_over = attempt == _ATTEMPTS or pause > _MAX_WAIT
            if is_over or not _is_temporary(status):
                break
            time.sleep(pause)
            wait *= 2
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self._not_before = time.monotonic() + max(pause, _MAX_WAIT)
        log.warning("purge_refused", status=status, urls=len(urls))
        raise DistributionError(_describe_error(status, body))

    def _ask(self, urls: Sequence[str]) -> tuple[int, bytes, urllib3.HTTPHeaderDict]:
        try:
            return self._client.request(
                "POST",
                f"{settings.CLOUDFLARE_API_URL}/zones/{self._zone}/purge_cache",
                body=orjson.dumps({"files": list(urls)}),
                headers={
                    "Authorization": f"Bearer {self._token}",
                    "Content-Type": "application/json",
                },
            )
        except urllib3.exceptions.HTTPError as error:
            raise DistributionError(
                _("Cloudflare's API does not answer (%(kind)s).")
                % {"kind": type(error).__name__}
            ) from None


@lru_cache(maxsize=2)
def _cloudflare(_api_url: str, zone: str, token: str) -> CloudflarePurger:
    """Share one purger per process, because it holds the end of the rate limit."""
    return CloudflarePurger(zone=zone, token=token)


def purger_of(current: PublishingSettings) -> Purger:
    """Return the purger for these settings.

    Raises:
        SecretsError: the token cannot be decrypted.
    """
    return cast(
        Purger, import_string(settings.CDN_PURGE_BACKEND).from_settings(current)
    )


def _is_temporary(status: int) -> bool:
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500


def _retry_after(headers: Any) -> float | None:
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None


def _body(data: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_success(data: bytes) -> bool:
    return _body(data).get("success") is True


def _describe_error(status: int, data: bytes) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return _(
            "Cloudflare refuses the token: it needs the permission “Cache Purge” for "
            "this zone."
        )
    if status == HTTPStatus.NOT_FOUND:
        return _("Cloudflare has no zone with that id.")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _("Cloudflare does not accept more purge requests at the moment.")
    codes = ", ".join(
        str(error.get("code", "?"))
        for error in _body(data).get("errors", ())
        if isinstance(error, dict)
    )
    return _("Cloudflare did not purge: HTTP %(status)d, error codes %(codes)s.") % {
        "status": status,
        "codes": codes or "–",
    }
