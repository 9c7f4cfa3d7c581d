"""Emptying a CDN's cache of what changed: one small class for each CDN.

``CDN_PURGE_BACKEND`` names the class. What a bucket serves directly, or a CDN nobody gave a
token for, has no cache to empty before its five minutes are over: `NullPurger`.
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

URLS_AT_ONCE = 30
"""What Cloudflare accepts in one request."""
_ATTEMPTS = 4
_LONGEST_WAIT = 30.0
_FIRST_WAIT = 1.0
_LARGEST_ANSWER = 256 * 1024
"""Bytes: an answer names at most the thirty addresses asked for."""


class Purger(Protocol):
    """Makes a CDN forget what it has of some addresses."""

    @property
    def at_once(self) -> int:
        """How many addresses one request may name."""

    def purge(self, urls: Sequence[str]) -> None:
        """Forget these. May be asked twice for the same.

        Raises:
            DistributionError: some may still be in the cache.
        """


class NullPurger:
    """For a CDN without a cache of its own, or whose cache may live its time."""

    at_once = 1000

    def purge(self, urls: Sequence[str]) -> None:
        """Nothing to do."""


class CloudflarePurger:
    """Cloudflare's purge by URL, thirty at a time, patient with its rate limit.

    It waits as long as Cloudflare says, up to half a minute; beyond that it refuses, and
    asks no sooner.
    """

    at_once = URLS_AT_ONCE

    def __init__(self, *, zone: str, token: str) -> None:
        self._not_before = 0.0
        """On the monotonic clock: until then it accepts nothing."""
        self._zone = zone
        self._token = token
        self._client = outbound.Client(
            connect=5, read=15, most=_LARGEST_ANSWER, seconds=15
        )

    @classmethod
    def from_settings(cls, current: PublishingSettings) -> Purger:
        """The purger of these settings; a `NullPurger` without zone and token.

        Raises:
            SecretsError: the token cannot be read.
        """
        token = current.secret("cloudflare_token")
        if not current.cloudflare_zone or not token:
            return NullPurger()
        return _cloudflare(settings.CLOUDFLARE_API_URL, current.cloudflare_zone, token)

    def purge(self, urls: Sequence[str]) -> None:
        for start in range(0, len(urls), URLS_AT_ONCE):
            self._purge_few(urls[start : start + URLS_AT_ONCE])

    def _purge_few(self, urls: Sequence[str]) -> None:
        if time.monotonic() < self._not_before:
            raise DistributionError(_describe_error(HTTPStatus.TOO_MANY_REQUESTS, b""))
        wait = _FIRST_WAIT
        for attempt in range(1, _ATTEMPTS + 1):
            status, body, headers = self._ask(urls)
            if status == HTTPStatus.OK and _says_success(body):
                return
            pause = _retry_after(headers) or wait
            is_over = attempt == _ATTEMPTS or pause > _LONGEST_WAIT
            if is_over or not _is_temporary(status):
                break
            time.sleep(pause)
            wait *= 2
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self._not_before = time.monotonic() + max(pause, _LONGEST_WAIT)
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
    """One for all runs of this process: it knows until when nothing is accepted."""
    return CloudflarePurger(zone=zone, token=token)


def purger_of(current: PublishingSettings) -> Purger:
    """What empties the cache of these settings' CDN.

    Raises:
        SecretsError: its token cannot be read.
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


def _says_success(data: bytes) -> bool:
    return _body(data).get("success") is True


def _describe_error(status: int, data: bytes) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return _(
            "Cloudflare refuses the token: it needs the permission “Cache Purge” for "
            "this zone."
        )
    if status == HTTPStatus.NOT_FOUND:
        return _("Cloudflare knows no zone of that id.")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _("Cloudflare accepts no more purges for the moment.")
    codes = ", ".join(
        str(error.get("code", "?"))
        for error in _body(data).get("errors", ())
        if isinstance(error, dict)
    )
    return _("Cloudflare did not purge: HTTP %(status)d, error codes %(codes)s.") % {
        "status": status,
        "codes": codes or "–",
    }
