"""Apps that are too old for this installation are refused.

An app names its version in the header ``X-App-Version``: ``1.2.3``, ``ios/1.2.3`` or
``android/1.2.3``. Requests without the header are allowed: browsers, and apps from
before it.
"""

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.request import Request

from core import semver
from core.api_types import InvalidBodyError
from players.api_types import VERSION_HEADER
from players.errors import AppTooOldError, RequiredApp

_VERSION_META = "HTTP_X_APP_VERSION"
_PLATFORMS = ("ios", "android")


def require_supported(request: Request) -> None:
    """Refuse an app older than ``MIN_APP_VERSION``. No query, no Redis.

    The actions in a view's ``queued_actions`` upload what a student has done offline.
    They are never refused: an old app may send what it has kept.

    Raises:
        AppTooOldError: with the version that is needed and where to get it.
        InvalidBodyError: the header is malformed.
    """
    header = request._request.META.get(_VERSION_META)
    view = request.parser_context["view"]
    if header is None or view.action in getattr(view, "queued_actions", ()):
        return
    platform, version = _parsed(header)
    if version is None:
        raise InvalidBodyError(
            {
                VERSION_HEADER: _(
                    "“%(field)s” must be a version such as 1.2.3, ios/1.2.3 or "
                    "android/1.2.3."
                )
                % {"field": VERSION_HEADER}
            }
        )
    minimum = semver.precedence(settings.MIN_APP_VERSION)
    if minimum is not None and version < minimum:
        raise AppTooOldError(
            _("This version of the app is too old. Please update it."),
            details=RequiredApp(
                minimum_version=settings.MIN_APP_VERSION,
                store_url=_store_url(platform),
            ),
        )


def store_url(request: Request) -> str | None:
    """Return where to get the app that sent a request; None without an address."""
    header = request._request.META.get(_VERSION_META, "")
    return _store_url(_parsed(header)[0])


def _parsed(header: str) -> tuple[str, semver.Precedence | None]:
    """Return the platform, "" if unknown, and the version; None if it is malformed."""
    platform, slash, version = header.rpartition("/")
    if slash and platform not in _PLATFORMS:
        return "", None
    return platform, semver.precedence(version)


def _store_url(platform: str) -> str | None:
    urls = settings.APP_STORE_URLS
    return urls[platform] or urls[""] or None
