"""Requests to Zoho CRM with a valid access token."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

import httpx
import orjson

from registrar.peers.errors import PeerCredentialsError
from registrar.peers.http import Answer, PeerClient
from registrar.peers.limits import Limits
from registrar.zoho import answers
from registrar.zoho.account import ZohoAccount
from registrar.zoho.tokens import AccessToken, AccessTokens
from registrar.zoho.values import timestamp

VERSION = "v8"
DEFAULT_LIMITS = Limits(peer="zoho", concurrency=5)
"""The concurrency of Zoho's smallest edition. Up to 10 also keeps the limit for calls
that Zoho counts apart (COQL, searches, writes of more than ten records)."""
_NOTHING = {httpx.codes.NO_CONTENT, httpx.codes.NOT_MODIFIED}


class ZohoClient:
    """Calls Zoho CRM's API with one account. Safe to use from many threads.

    Every call raises the errors of `PeerClient.request` and `AccessTokens.current`, and
    `PeerRefusedError` or `PeerCredentialsError` for an answer of 400 to 499.
    """

    def __init__(
        self,
        account: ZohoAccount,
        *,
        limits: Limits = DEFAULT_LIMITS,
        http: PeerClient | None = None,
    ) -> None:
        self._http = http or PeerClient(limits)
        self._tokens = AccessTokens(account, self._http)

    def get(self, path: str, *, cost: int = 1, **options: Any) -> Any:
        """Return the JSON of a GET; None when there is nothing (204, 304).

        Args:
            path: below ``/crm/v8/``.
            cost: the credits that the call uses.
            options: ``params``, and ``since``: only what was modified since then.
        """
        return self._call("GET", path, writes=False, cost=cost, **options)

    def query(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON of a POST that reads (COQL); None when there is nothing."""
        return self._call("POST", path, writes=False, json=body)

    def write(self, method: str, path: str, *, cost: int = 1, **options: Any) -> Any:
        """Return the JSON of a call that changes something.

        An answer with rows is returned whatever its status: each row has its own.

        Args:
            options: ``json``, ``params`` or ``files`` of httpx. Files are read from
                their start.
        """
        return self._call(method, path, writes=True, cost=cost, **options)

    @contextmanager
    def download(
        self, path: str, *, params: Mapping[str, str] | None = None
    ) -> Iterator[Iterator[bytes]]:
        """Read a file in parts; nothing is kept in memory.

        Raises:
            PeerRefusedError: there is no such file.
        """
        with ExitStack() as stack:
            for attempt in (1, 2):
                token = self._tokens.current()
                response = stack.enter_context(
                    self._http.stream(
                        "GET",
                        self._url(token, path),
                        writes=False,
                        params=params,
                        headers=_headers(token),
                    )
                )
                if response.status_code == httpx.codes.OK:
                    yield response.iter_bytes()
                    return
                body = response.read()
                answer = Answer(response.status_code, response.headers, body)
                if attempt == 2 or not _is_token_refused(answer):
                    raise _error(_json(body), status=answer.status)
                self._tokens.forget(token)
                stack.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _call(
        self,
        method: str,
        path: str,
        *,
        writes: bool,
        cost: int = 1,
        since: datetime | None = None,
        **options: Any,
    ) -> Any:
        extra = {"If-Modified-Since": timestamp(since)} if since else {}
        for attempt in (1, 2):
            token = self._tokens.current()
            for _name, file, *_rest in options.get("files", {}).values():
                file.seek(0)
            answer = self._http.request(
                method,
                self._url(token, path),
                writes=writes,
                cost=cost,
                headers=_headers(token) | extra,
                **options,
            )
            if attempt == 1 and _is_token_refused(answer):
                # A 401 means that nothing was done.
                self._tokens.forget(token)
                continue
            return _body(answer)
        raise AssertionError("unreachable")

    def _url(self, token: AccessToken, path: str) -> str:
        return f"{token.api_domain}/crm/{VERSION}/{path}"


def _headers(token: AccessToken) -> dict[str, str]:
    return {"Authorization": f"Zoho-oauthtoken {token.value}"}


def _is_token_refused(answer: Answer) -> bool:
    if answer.status != httpx.codes.UNAUTHORIZED:
        return False
    return _code(_json(answer.body)) in answers.INVALID_TOKENS


def _body(answer: Answer) -> Any:
    """Return the JSON of a success or of an answer with rows; raise other errors."""
    if answer.status in _NOTHING:
        return None
    body = _json(answer.body)
    if answer.status < httpx.codes.BAD_REQUEST:
        if body is None:
            raise answers.unreadable("json")
        return body
    if isinstance(body, dict) and isinstance(body.get("data"), list):
        return body
    if answer.status == httpx.codes.UNAUTHORIZED and not _code(body):
        raise PeerCredentialsError(
            answers.error_of("INVALID_TOKEN").message,
            peer=answers.PEER,
            reason="HTTP_401",
        )
    raise _error(body, status=answer.status)


def _error(body: Any, *, status: int) -> Exception:
    details = body.get("details") if isinstance(body, dict) else None
    return answers.error_of(
        _code(body) or f"HTTP_{status}", details if isinstance(details, dict) else None
    )


def _code(body: Any) -> str:
    return str(body.get("code", "")) if isinstance(body, dict) else ""


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
