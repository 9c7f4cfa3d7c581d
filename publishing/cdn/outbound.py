"""HTTP to hosts that somebody typed into the publishing settings.

A connection is made to public addresses only, and by https only. The address is checked
that is connected to, not the name: a name that resolves otherwise a second time gains
nothing, and neither does another spelling of an address or a redirect. Hosts named in
``PRIVATE_HOSTS`` are exempt. Environment proxies are not used: a proxy would resolve the
name itself.

A target that is not permitted, a name that does not exist and a closed port all raise
`urllib3.exceptions.NewConnectionError`, so the caller's message cannot tell them apart.
"""

import ipaddress
import socket
import time
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from publishing import private_hosts

_MOST_ADDRESSES = 4
"""How many addresses of one name are tried: each may take a whole connect timeout."""
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_CHUNK = 64 * 1024


class UnusableAnswerError(HTTPError):
    """The answer is larger than permitted, or takes longer."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet.

    IPv4 addresses inside IPv6 ones count as what they lead to. 6to4 and Teredo, which
    lead anywhere, are not public.
    """
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return _is_public_v4(found.ipv4_mapped)
        if found in _NAT64:
            return _is_public_v4(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF))
        is_tunnel = found.sixtofour is not None or found.teredo is not None
        return found in _GLOBAL_UNICAST and found.is_global and not is_tunnel
    return _is_public_v4(found)


def _is_public_v4(address: ipaddress.IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved


def permitted_addresses(host: str, port: int, *, encrypted: bool) -> list[str]:
    """The addresses of ``host`` that may be connected to, in the resolver's order.

    Raises:
        OSError: the name does not resolve, or something it resolves to is forbidden.
    """
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    if private_hosts.is_named(host, port):
        return addresses[:_MOST_ADDRESSES]
    # One private address among public ones is how a name is rebound: refuse them all.
    if not encrypted or not all(map(is_public, addresses)):
        raise OSError("not a permitted target")
    return addresses[:_MOST_ADDRESSES]


if TYPE_CHECKING:
    _Base = HTTPConnection
else:
    _Base = object


class Guard(_Base):
    """Mixed into a connection class of urllib3: connects to permitted addresses only."""

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
                # The certificate is checked against `host`, which is the name again
                # by then.
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
    """Asks permitted targets, follows no redirect, and reads so much of an answer.

    Safe to use from many threads.
    """

    def __init__(
        self, *, connect: float, read: float, most: int, seconds: float
    ) -> None:
        """Args:
        connect, read: seconds to wait for a connection, and for a next byte.
        most: bytes an answer's body may have.
        seconds: how long reading the body may take.
        """
        self._most, self._seconds = most, seconds
        self._manager = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(connect=connect, read=read)
        )
        self._manager.pool_classes_by_scheme = {"http": _Pool, "https": _EncryptedPool}

    def request(
        self, method: str, url: str, **kwargs: Any
    ) -> tuple[int, bytes, urllib3.HTTPHeaderDict]:
        """Status, body and headers of the answer.

        Raises:
            urllib3.exceptions.HTTPError: nobody answers, the target is forbidden, or the
                answer is too large or too slow.
        """
        response = self._manager.request(
            method, url, redirect=False, preload_content=False, **kwargs
        )
        body = read(response, most=self._most, seconds=self._seconds)
        return response.status, body, response.headers


def read(response: urllib3.BaseHTTPResponse, *, most: int, seconds: float) -> bytes:
    """The body of an answer that was not read yet.

    Raises:
        UnusableAnswerError: it has more than ``most`` bytes, unpacked where it is
            packed, or takes longer than ``seconds``.
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
