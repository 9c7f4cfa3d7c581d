"""What the API knows of a caller before asking who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest

from players import addresses

if TYPE_CHECKING:  # a service, and services record what callers do
    from players.services.rates import Usage


def address_of(request: HttpRequest) -> str | None:
    """The client's IP address, or None when there is none (a Unix socket).

    Only what trusted proxies wrote counts: of ``X-Forwarded-For`` the entry that
    the outermost of our ``MEMORA_TRUSTED_PROXIES`` proxies added. With 0 of them the
    header is the client's own claim and is not looked at.
    """
    proxies: int = settings.TRUSTED_PROXIES
    entry = request.META.get("REMOTE_ADDR", "")
    if proxies:
        chain = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(chain) >= proxies:
            entry = chain[-proxies]
    return addresses.parse(entry)


def network_of(request: HttpRequest) -> str | None:
    """What the client's address is counted as, or None when there is none."""
    address = address_of(request)
    return None if address is None else addresses.network_of(address)


def endpoint_of(request: HttpRequest) -> str:
    """The endpoint a request is counted for: its URL's name."""
    match = request.resolver_match
    return (match.url_name if match else None) or "unnamed"


def remember_usage(request: HttpRequest, usage: Usage | None) -> None:
    """Keep what is left of the caller's limit, for the answer's headers."""
    request.rate_usage = usage  # type: ignore[attr-defined]


def usage_of(request: HttpRequest) -> Usage | None:
    """What `remember_usage` kept."""
    usage: Usage | None = getattr(request, "rate_usage", None)
    return usage


def remember_refused_player(request: HttpRequest, player_id: int) -> None:
    """Keep whose token was good but refused all the same, for the audit trail."""
    request.refused_player_id = player_id  # type: ignore[attr-defined]


def refused_player_of(request: HttpRequest) -> int | None:
    """What `remember_refused_player` kept."""
    player_id: int | None = getattr(request, "refused_player_id", None)
    return player_id
