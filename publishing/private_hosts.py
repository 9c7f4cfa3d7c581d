"""The hosts of the operator's own network that the server may connect to.

Everything else that somebody types into the publishing settings must be a public
address, reached by https (`publishing.cdn.outbound`).
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings


def is_named(host: str, port: int | None) -> bool:
    """Whether ``PRIVATE_HOSTS`` has this host, or this host with this port.

    Args:
        host: as in an address: a name in any case, an IP address, with or without the
            brackets of IPv6.
    """
    wanted = _canonical(host)
    return any(
        wanted == name and named_port in (None, port) for name, named_port in _named()
    )


def is_permitted(url: str) -> bool:
    """Whether the server may ask ``url``, as far as its text tells: https, or named.

    What a host name leads to is checked when the connection is made.
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
    """The host and port of one entry of ``PRIVATE_HOSTS``; None: any port.

    Raises:
        ValueError: it is neither ``host`` nor ``host:port``.
    """
    parts = urlsplit(f"//{entry}")
    if not parts.hostname or parts.netloc != entry or "@" in entry or "*" in entry:
        raise ValueError(entry)
    return _canonical(parts.hostname), parts.port


def _named() -> Iterator[tuple[str, int | None]]:
    for entry in settings.PRIVATE_HOSTS:
        try:
            yield parse(entry)
        except ValueError:  # `manage.py check` says so
            continue


def _canonical(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()
