"""IP addresses in the form that is recorded and counted. No Django imports."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address


@lru_cache(maxsize=4096)
def parse(text: str) -> str | None:
    """Return the address in ``text`` in its shortest form, or None if it is invalid.

    An IPv4-mapped IPv6 address becomes the IPv4 address. A zone id (``%eth0``) is
    dropped.
    """
    try:
        found = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or IPv6Address(int(found))
    return str(found)


def network_of(address: str) -> str:
    """Return the network that a parsed address is counted as.

    This is the address itself for IPv4 and its /64 for IPv6: a subscriber gets at
    least a /64 and may use any address in it.
    """
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        return f"{IPv6Address(int(found) >> 64 << 64)}/64"
    return address
