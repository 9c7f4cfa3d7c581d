"""HTTP client for hosts that staff enter in the publishing settings.

It connects only to public addresses and only by https (`core.outbound`). Proxies from
the environment are not used: a proxy would resolve the name itself.

A forbidden target, an unknown name and a closed port all raise
`urllib3.exceptions.NewConnectionError`, so the caller's message cannot distinguish
them.
"""

import socket
import time
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from core.outbound import permitted_addresses

_CHUNK = 64 * 1024


class UnusableAnswerError(HTTPError):
    """The response is larger than permitted, or takes longer."""


if TYPE_CHECKING:
    _Base = HTTPConnection
else:
    _Base = object


class Guard(_Base):
    """Mixin for urllib3's connection classes: connect to permitted addresses only."""

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        try:
            addresses = permitted_addresses(
                name, self.port or 0, encrypted=isinstance(self, HTTPSConnection)
            )
        except (OSError, UnicodeError, ValueError) as error:
            raise NewConnectionError(self, "Nobody answers.") from error
        failure: HTTPError = NewConnectionError(self, "Nobody answers.")
        try:
            for address in addresses:
                # The certificate is checked later, against `host`; by then `finally`
                # has restored the name.
                self._dns_host = address
                try:
                    return super()._new_conn()
                except (NewConnectionError, ConnectTimeoutError) as error:
                    failure = error
            raise failure
        finally:
            self._dns_host = name


class _Connection(Guard, HTTPConnection):
    pass


class _EncryptedConnection(Guard, HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _EncryptedPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _EncryptedConnection


class Client:
    """HTTP client for permitted targets, without redirects, with limited responses.

    Safe to use from many threads.
    """

    def __init__(
        self, *, connect: float, read: float, most: int, seconds: float
    ) -> None:
        """Args:
        connect, read: timeouts in seconds for connecting and for the next byte.
        most: the largest response body in bytes.
        seconds: the longest time for reading the body.
        """
        self._most, self._seconds = most, seconds
        self._manager = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(connect=connect, read=read)
        )
        self._manager.pool_classes_by_scheme = {"http": _Pool, "https": _EncryptedPool}

    def request(
        self, method: str, url: str, **kwargs: Any
    ) -> tuple[int, bytes, urllib3.HTTPHeaderDict]:
        """Send a request; return status, body and headers of the response.

        Raises:
            urllib3.exceptions.HTTPError: the server does not answer, the target is
                forbidden, or the response is too large or too slow.
        """
        response = self._manager.request(
            method, url, redirect=False, preload_content=False, **kwargs
        )
        body = read(response, most=self._most, seconds=self._seconds)
        return response.status, body, response.headers


def read(response: urllib3.BaseHTTPResponse, *, most: int, seconds: float) -> bytes:
    """Read and return the body of a response.

    Raises:
        UnusableAnswerError: the decoded body has more than ``most`` bytes, or takes
            longer than ``seconds``.
        urllib3.exceptions.HTTPError: the connection broke.
    """
    deadline = time.monotonic() + seconds
    body = bytearray()
    try:
        while part := response.read1(_CHUNK):
            body += part
            if len(body) > most or time.monotonic() > deadline:
                raise UnusableAnswerError("too large or too slow")
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return bytes(body)
