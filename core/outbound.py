"""Which addresses the server may connect to for a host that staff have entered.

The clients check the resolved address of the connection, not the name. So a name that
resolves to another address later, another spelling of an address and a redirect do not
get around the check. Hosts named in ``PRIVATE_HOSTS`` are exempt
(`core.private_hosts`).
"""

import ipaddress
import socket

from core import private_hosts

_MAX_ADDRESSES = 4
"""How many addresses of one name are tried; each may take a full connect timeout."""
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public Internet.

    An IPv4 address embedded in an IPv6 address is checked as IPv4. 6to4 and Teredo
    addresses can lead anywhere and are not public.
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
    """Return the permitted addresses of ``host``, in the resolver's order.

    Raises:
        OSError: the name does not resolve, or one of its addresses is forbidden.
    """
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    if private_hosts.is_named(host, port):
        return addresses[:_MAX_ADDRESSES]
    # A private address among public ones indicates DNS rebinding: refuse them all.
    if not encrypted or not all(map(is_public, addresses)):
        raise OSError("not a permitted target")
    return addresses[:_MAX_ADDRESSES]
