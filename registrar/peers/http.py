"""HTTP requests to a peer whose address staff have entered.

- The connection goes to a permitted address only (`core.outbound`), by https, unless the
  host is in ``PRIVATE_HOSTS``. Redirects are not followed, proxies are not used.
- Each request waits for its turn (`registrar.peers.limits`).
- An answer has at most so many bytes, and arrives within so many seconds.
- What goes wrong becomes a `PeerError` that says whether the request may have been
  carried out. Its message has neither address nor token.
"""

import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx
from django.utils.translation import gettext as _

from core import private_hosts
from core.outbound import permitted_addresses
from registrar.peers.errors import (
    PeerAnswerError,
    PeerBusyError,
    PeerError,
    PeerUnavailableError,
    PeerUncertainError,
)
from registrar.peers.limits import Limits

MAX_BYTES = 32 * 1024 * 1024
MAX_SECONDS = 120.0
"""The longest time for reading an answer; `limits.LEASE_SECONDS` is longer."""
_RETRY_SECONDS = 60.0
"""The pause after a 429 that names no time."""
_SocketOptions = Iterable[Any] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The complete answer to a request."""

    status: int
    headers: httpx.Headers
    body: bytes


class PeerClient:
    """Sends requests to one peer. Safe to use from many threads.

    Make one in each process: connections must not be used after a fork.

    Args:
        limits: what the peer permits.
        connect: replaces the timeout for connecting, in seconds (tests).
        read: replaces the time to wait for the next byte, in seconds (tests).
    """

    def __init__(
        self, limits: Limits, *, connect: float = 5.0, read: float = 60.0
    ) -> None:
        self.limits = limits
        timeout = httpx.Timeout(connect=connect, read=read, write=60, pool=5)
        self._client = httpx.Client(
            transport=_GuardedTransport(),
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
            headers={"User-Agent": "Memora-Registrar"},
        )

    def request(
        self, method: str, url: str, *, writes: bool, cost: int = 1, **options: Any
    ) -> Answer:
        """Send one request and return its answer, whatever its status below 429.

        Args:
            method, url: as in httpx.
            writes: whether the request changes something at the peer. If its answer
                is missing, the error is then `PeerUncertainError`.
            cost: the credits that it uses.
            options: ``params``, ``json``, ``data``, ``files`` and ``headers`` of httpx.

        Raises:
            PeerUnavailableError: nothing was done; also for a 5xx of a read.
            PeerBusyError: 429, or our own limits. All processes pause after a 429.
            PeerUncertainError: a write was sent and has no complete answer, or a 5xx.
            PeerAnswerError: the answer is too large.
        """
        with self.stream(method, url, writes=writes, cost=cost, **options) as response:
            body = self._read(response, writes=writes)
            return Answer(response.status_code, response.headers, body)

    @contextmanager
    def stream(
        self, method: str, url: str, *, writes: bool, cost: int = 1, **options: Any
    ) -> Iterator[httpx.Response]:
        """Like `request`, for a body that the caller reads with ``iter_bytes``."""
        with (
            self.limits.turn(cost=cost),
            self._faults(writes=writes),
            self._client.stream(method, url, **options) as response,
        ):
            self._check_status(response, writes=writes)
            yield response

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _check_status(self, response: httpx.Response, *, writes: bool) -> None:
        status = response.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS:
            seconds = retry_after(response.headers)
            self.limits.pause(seconds)
            raise PeerBusyError(
                _("This system has asked us to wait."),
                peer=self.limits.peer,
                reason="HTTP_429",
                retry_after=seconds,
            )
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise self._without_answer(writes=writes, reason=f"HTTP_{status}")
        if response.has_redirect_location:
            raise PeerUnavailableError(
                _("The address leads to another one. Enter the final address."),
                peer=self.limits.peer,
                reason=f"HTTP_{status}",
            )

    @contextmanager
    def _faults(self, *, writes: bool) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise self._without_answer(writes=False, reason="connect") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise self._without_answer(writes=False, reason="url") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            reason = type(error).__name__
            raise self._without_answer(writes=writes, reason=reason) from error

    def _without_answer(self, *, writes: bool, reason: str) -> PeerError:
        peer = self.limits.peer
        if writes:
            return PeerUncertainError(
                _("The request was sent, but its answer did not arrive."),
                peer=peer,
                reason=reason,
            )
        return PeerUnavailableError(
            _("The system does not answer."), peer=peer, reason=reason
        )

    def _read(self, response: httpx.Response, *, writes: bool) -> bytes:
        until = time.monotonic() + MAX_SECONDS
        body = bytearray()
        for part in response.iter_bytes():
            body += part
            if len(body) > MAX_BYTES:
                raise PeerAnswerError(
                    _("The answer is too large."),
                    peer=self.limits.peer,
                    reason="too_large",
                )
            if time.monotonic() > until:
                raise self._without_answer(writes=writes, reason="too_slow")
        return bytes(body)


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that ``Retry-After`` names, at most an hour; else a minute.

    A date instead of seconds counts as no time.
    """
    text = headers.get("Retry-After", "").strip()
    if not text.isascii() or not text.isdigit():
        return _RETRY_SECONDS
    return float(min(int(text[:6]), 3600))


class _GuardedBackend(httpcore.NetworkBackend):
    """Connects to permitted addresses only; `_GuardedTransport` has checked the scheme.

    The certificate is checked against the name, after this.
    """

    def __init__(self) -> None:
        self._real = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _SocketOptions = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = permitted_addresses(host, port, encrypted=True)
        except (OSError, UnicodeError, ValueError) as error:
            raise httpcore.ConnectError("Nobody answers.") from error
        failure: Exception = httpcore.ConnectError("Nobody answers.")
        for address in addresses:
            try:
                return self._real.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _GuardedTransport(httpx.HTTPTransport):
    """httpx's transport with the connections of `_GuardedBackend`."""

    def __init__(self) -> None:
        super().__init__(trust_env=False)
        # httpx has no parameter for the backend; a test checks that this one is used.
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=32,
            max_keepalive_connections=8,
            keepalive_expiry=15.0,
            network_backend=_GuardedBackend(),
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not private_hosts.is_permitted(str(request.url)):
            raise httpx.ConnectError("Nobody answers.", request=request)
        return super().handle_request(request)
