"""Rate limits of the API; `players.services.rates` counts the requests."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from players import audit, client_info
from players.models import PlayerProfile, SecurityEventType, User
from players.services import rates
from players.services.sessions import Player


class CallerThrottle(BaseThrottle):
    """Limit the requests per caller and endpoint (``RATE_LIMITS``).

    The session check has already counted a player's request; a member of staff's is
    counted here. Other callers are counted by the sign-in view or refused.
    """

    def allow_request(self, request: Request, _view: Any) -> bool:
        """Return True.

        Raises:
            RateLimitedError: too many requests; with the time to wait.
        """
        usage = client_info.usage_of(request._request)
        if isinstance(request.user, User):
            usage = rates.spend(
                who=f"staff-{request.user.pk}",
                scope=client_info.endpoint_of(request._request),
            )
            client_info.remember_usage(request._request, usage)
        rates.require_allowed(usage, note=partial(_record, request))
        return True


def _record(request: Request) -> None:
    user: Any = request.user
    user_id, device_id = None, None
    if isinstance(user, Player):
        players = PlayerProfile.objects.filter(pk=user.id)
        user_id, device_id = (
            players.values_list("user_id", flat=True).first(),
            user.device_id,
        )
    else:
        user_id = user.pk
    audit.record(
        SecurityEventType.RATE_LIMITED,
        user_id=user_id,
        device_id=device_id,
        ip_address=client_info.address_of(request._request),
        endpoint=client_info.endpoint_of(request._request),
    )


class RateLimitHeadersMiddleware:
    """Add ``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset`` to responses.

    ``-Reset`` is the Unix time at which the window ends.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        usage = client_info.usage_of(request)
        if usage is not None:
            # Past `ResponseHeaders.__setitem__`, which checks and encodes each value.
            headers: dict[str, tuple[str, str]] = response.headers._store
            for name, value in (
                ("X-RateLimit-Limit", usage.rule.requests),
                ("X-RateLimit-Remaining", usage.remaining),
                ("X-RateLimit-Reset", int(time.time()) + usage.reset_seconds),
            ):
                headers[name.lower()] = name, str(value)
        return response
