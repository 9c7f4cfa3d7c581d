"""Access tokens: one for all processes, fetched with the refresh token.

Zoho gives at most ten access tokens for a refresh token in ten minutes, and each is
valid for an hour. So a token is kept in Redis, encrypted, until a minute before it
expires; one process at a time fetches the next one.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.utils.translation import gettext as _

from core import secrets
from registrar.peers.errors import (
    PeerAnswerError,
    PeerBusyError,
    PeerCredentialsError,
    PeerUnavailableError,
)
from registrar.peers.http import PeerClient, retry_after
from registrar.peers.shared_tokens import SharedToken
from registrar.zoho.account import ZohoAccount

PEER = "zoho"
WAIT_SECONDS = 20.0
"""How long a process waits for the token that another one fetches."""
_LOCK_SECONDS = 60.0
_MARGIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token, and the address of the API that accepts it, without a slash at the end."""

    value: str = field(repr=False)
    api_domain: str
    stored: str = field(default="", repr=False)
    """The encrypted form in Redis."""


class AccessTokens:
    """The access tokens of one account. Safe to use from many threads."""

    def __init__(self, account: ZohoAccount, http: PeerClient) -> None:
        self._account, self._http = account, http
        self._shared = SharedToken(peer=PEER, account=account.key)

    def current(self) -> AccessToken:
        """Return a valid token; fetch one if there is none.

        Raises:
            PeerCredentialsError: Zoho does not accept the account.
            PeerBusyError: tokens were fetched too often.
            PeerUnavailableError: Zoho or Redis does not answer, or another process
                has not finished fetching one.
        """
        until = time.monotonic() + WAIT_SECONDS
        while True:
            if token := self._stored():
                return token
            lock, wait = self._shared.try_to_fetch(seconds=_LOCK_SECONDS)
            if lock:
                try:
                    return self._fetch()
                finally:
                    self._shared.release(lock)
            if time.monotonic() + wait > until:
                raise PeerUnavailableError(
                    _("Another process has not finished fetching an access token."),
                    peer=PEER,
                    reason="token",
                )
            time.sleep(wait)

    def forget(self, token: AccessToken) -> None:
        """Zoho has refused ``token``: let nobody use it again.

        Raises:
            PeerUnavailableError: Redis does not answer.
        """
        self._shared.forget(token.stored)

    def _stored(self) -> AccessToken | None:
        stored = self._shared.stored()
        if not stored:
            return None
        try:
            found = orjson.loads(secrets.decrypt(stored))
            return AccessToken(found["value"], found["api_domain"], stored)
        except secrets.SecretsError:
            # The keys have changed since: fetch a new one.
            self._shared.forget(stored)
            return None

    def _fetch(self) -> AccessToken:
        answer = self._http.request(
            "POST",
            f"{self._account.accounts_url.rstrip('/')}/oauth/v2/token",
            # Another token does no harm, so this counts as a read.
            writes=False,
            cost=0,
            data={
                "grant_type": "refresh_token",
                "client_id": self._account.client_id,
                "client_secret": self._account.client_secret,
                "refresh_token": self._account.refresh_token,
            },
        )
        try:
            found = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise _unreadable(answer.status)
        if "access_token" not in found:
            raise _refusal(found, retry_after(answer.headers))
        return self._store(found)

    def _store(self, found: dict[str, Any]) -> AccessToken:
        try:
            value = str(found["access_token"])
            api_domain = str(found["api_domain"]).rstrip("/")
            seconds = int(found.get("expires_in", 3600)) - _MARGIN_SECONDS
        except (KeyError, TypeError, ValueError):
            raise _unreadable(200) from None
        plain = orjson.dumps({"value": value, "api_domain": api_domain}).decode()
        stored = secrets.encrypt(plain)
        self._shared.store(stored, seconds=max(seconds, 1))
        return AccessToken(value, api_domain, stored)


def _unreadable(status: int) -> PeerAnswerError:
    return PeerAnswerError(
        _("Zoho's answer to the request for an access token cannot be read."),
        peer=PEER,
        reason=f"HTTP_{status}",
    )


def _refusal(found: dict[str, Any], seconds: float) -> Exception:
    """Zoho's refusal of a token: HTTP 200 or 400 with ``{"error": code}``."""
    reason = str(found.get("error", ""))[:60]
    text = str(found.get("error_description", ""))
    if reason == "Access Denied" and "too many" in text.lower():
        return PeerBusyError(
            _("Zoho has refused an access token: too many were fetched."),
            peer=PEER,
            reason="token_limit",
            retry_after=max(seconds, 60.0),
        )
    return PeerCredentialsError(
        _(
            "Zoho does not accept the account (%(code)s). Check the client, its secret, "
            "the refresh token and the region in the settings."
        )
        % {"code": reason},
        peer=PEER,
        reason=reason,
    )
