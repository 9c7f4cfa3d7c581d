"""IP addresses as they are recorded and counted. Plain rules: no Django here."""

from ipaddress import IPv6Address, ip_address


def parse(text: str) -> str | None:
    """The address that ``text`` spells, in its shortest form; None when it is none.

    An IPv4 address mapped into IPv6 is the IPv4 address; an interface's name
    (``%eth0``) is dropped.
    """
    try:
        found = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or IPv6Address(int(found))
    return str(found)


def network_of(address: str) -> str:
    """What a parsed address is counted as: itself, or the /64 of an IPv6 address.

    A /64 is the smallest network that a subscriber gets; its owner may use any
    address of it.
    """
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        return f"{IPv6Address(int(found) >> 64 << 64)}/64"
    return address
