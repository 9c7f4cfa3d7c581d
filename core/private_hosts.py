"""Hosts in the operator's own network that the server may connect to.

Every other host in the settings pages must have a public address and use https
(`core.outbound`).
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings


def is_named(host: str, port: int | None) -> bool:
    """Whether ``PRIVATE_HOSTS`` contains this host, alone or with this port.

    Args:
        host: a name in any case, or an IP address, with or without the brackets of
            IPv6.
    """
    canonical = _canonical(host)
    return any(
        canonical == name and named_port in (None, port)
        for name, named_port in _named()
    )


def is_permitted(url: str) -> bool:
    """Whether the server may connect to ``url``: it uses https, or its host is named.

    Only the text is checked. `core.outbound` checks the resolved address when the client
    connects.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host:
        return False
    default = 80 if parts.scheme == "http" else 443
    return parts.scheme == "https" or (
        parts.scheme == "http" and is_named(host, port or default)
    )


def parse(entry: str) -> tuple[str, int | None]:
    """Parse one entry of ``PRIVATE_HOSTS`` into host and port (None: any port).

    Raises:
        ValueError: the entry is neither ``host`` nor ``host:port``.
    """
    parts = urlsplit(f"//{entry}")
    if not parts.hostname or parts.netloc != entry or "@" in entry or "*" in entry:
        raise ValueError(entry)
    return _canonical(parts.hostname), parts.port


def _named() -> Iterator[tuple[str, int | None]]:
    for entry in settings.PRIVATE_HOSTS:
        try:
            yield parse(entry)
        except ValueError:  # `manage.py check` reports it
            continue


def _canonical(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()
