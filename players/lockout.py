"""django-axes settings and handlers for the admin's sign-in.

Wrong passwords are counted per account and address together, so an attacker locks the
account only for their own address. The account is counted in its canonical form, an
IPv6 address as its /64. While Redis does not answer, no account is locked, like every
other limit (`players.services.rates`).
"""

from collections.abc import Mapping
from typing import Any

import structlog
from axes.backends import AxesStandaloneBackend
from axes.handlers.cache import AxesCacheHandler
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest

from players import client_info, credentials
from players.models import User
from players.records import StoreUnavailableError
from players.services import rates

log = structlog.get_logger(__name__)

USERNAME_FIELD = "username"


def account_of(request: HttpRequest, given: Mapping[str, Any] | None = None) -> str:
    """Return the hashed account under which failures count.

    The value of ``AXES_USERNAME_CALLABLE``. A hash has a fixed length: axes joins
    account and address without a separator.
    """
    found = (request.POST if given is None else given).get(USERNAME_FIELD) or ""
    return rates.account_key(str(found))


def network_of(request: HttpRequest) -> str | None:
    """Return the network under which failures count: ``AXES_CLIENT_IP_CALLABLE``."""
    return client_info.network_of(request)


class LockoutHandler(AxesCacheHandler):
    """Count failures in Redis, through Django's cache."""

    def get_failures(
        self, request: HttpRequest, credentials: dict[str, Any] | None = None
    ) -> int:
        """Return the failures so far; 0 while Redis does not answer."""
        try:
            return int(super().get_failures(request, credentials))
        except StoreUnavailableError as error:
            log.warning("lockout_not_checked", error=type(error).__name__)
            return 0

    def user_login_failed(
        self,
        sender: Any,
        credentials: dict[str, Any],
        request: HttpRequest | None = None,
        **kwargs: Any,
    ) -> None:
        """Count a failure; do nothing while Redis does not answer."""
        try:
            super().user_login_failed(sender, credentials, request, **kwargs)
        except StoreUnavailableError as error:
            log.warning("lockout_not_counted", error=type(error).__name__)


class LockoutBackend(AxesStandaloneBackend):
    """Refuse a locked account before a password is hashed."""

    def authenticate(
        self,
        request: HttpRequest,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Return None, so that Django's own backend runs next.

        For an unknown account Django's backend hashes the password once; for a known
        one `User.check_password` hashes every form of it. This method hashes the other
        forms for an unknown account, so the response time does not show which
        accounts exist.

        Raises:
            PermissionDenied: the account is locked for this address.
        """
        super().authenticate(request, username=username, password=password, **kwargs)
        _first, *others = credentials.password_forms(password or "")
        if others and not User.objects.filter(email=username or "").exists():
            for form in others:
                make_password(form)
