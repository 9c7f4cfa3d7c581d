"""Data about the sender of a request: address, endpoint, rate limit usage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest

from players import addresses

if TYPE_CHECKING:  # rates is a service, and the services import this module
    from players.services.rates import Usage


def address_of(request: HttpRequest) -> str | None:
    """Return the client's IP address, or None if there is none (a Unix socket).

    With n ``MEMORA_TRUSTED_PROXIES`` this is the n-th entry of ``X-Forwarded-For`` from
    the right, which the outermost trusted proxy added. With 0 the header is ignored,
    because the client can send any value.
    """
    proxies: int = settings.TRUSTED_PROXIES
    entry = request.META.get("REMOTE_ADDR", "")
    if proxies:
        chain = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(chain) >= proxies:
            entry = chain[-proxies]
    return addresses.parse(entry)


def network_of(request: HttpRequest) -> str | None:
    """Return the network that the client's address is counted as, or None."""
    address = address_of(request)
    return None if address is None else addresses.network_of(address)


def endpoint_of(request: HttpRequest) -> str:
    """Return the URL name of the request, under which it is counted."""
    match = request.resolver_match
    return (match.url_name if match else None) or "unnamed"


def remember_usage(request: HttpRequest, usage: Usage | None) -> None:
    """Store the caller's rate limit usage for the response headers."""
    request.rate_usage = usage  # type: ignore[attr-defined]


def usage_of(request: HttpRequest) -> Usage | None:
    """Return the usage stored by `remember_usage`."""
    usage: Usage | None = getattr(request, "rate_usage", None)
    return usage


def remember_refused_player(request: HttpRequest, player_id: int) -> None:
    """Store the player whose valid token was refused, for the audit trail."""
    request.refused_player_id = player_id  # type: ignore[attr-defined]


def refused_player_of(request: HttpRequest) -> int | None:
    """Return the player id stored by `remember_refused_player`."""
    player_id: int | None = getattr(request, "refused_player_id", None)
    return player_id
