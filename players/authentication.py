"""Authentication: players by token and device, staff by the admin's session."""

from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from players import api_types, app_versions, client_info, tokens
from players.api_types import DEVICE_HEADER
from players.errors import CHALLENGE, DeviceMismatchError, NotAuthenticatedError
from players.models import User
from players.records import NOTHING
from players.services import devices, rates, sessions
from players.services.sessions import Player
from players.tokens import Token

__all__ = [
    "Player",
    "PlayerAuthentication",
    "StaffAuthentication",
    "player_of",
    "staff_of",
]

_DEVICE_META = "HTTP_X_DEVICE_ID"


def player_of(request: Request) -> Player:
    """Return the player that `PlayerAuthentication` found."""
    user: Any = request.user
    assert isinstance(user, Player)
    return user


def staff_of(request: Request | HttpRequest) -> User:
    """Return the signed-in member of staff, in the admin or the API."""
    user: Any = request.user
    assert isinstance(user, User)
    return user


class PlayerAuthentication(BaseAuthentication):
    """Read ``Authorization: Bearer {token}`` and ``X-Device-ID``.

    Sets ``request.user`` to a `Player` and ``request.auth`` to its `Token`. The round
    trip to Redis that checks the session also counts the request
    (`players.throttling` compares the count with the limit) and reads the records that
    the view's ``wanted(request)`` names.
    """

    def authenticate(self, request: Request) -> tuple[Player, Token] | None:
        """Return the player and the token, or None if no token was sent.

        Raises:
            AppTooOldError, InvalidBodyError: see `app_versions.require_supported`.
            NotAuthenticatedError: the header is not "Bearer" with a well-formed token.
            InvalidDeviceIdError: the device id is missing or malformed.
            MemoraError: see `sessions.check`.
        """
        app_versions.require_supported(request)
        # META, not `headers`, which Django makes of all headers: this runs every time.
        meta = request._request.META
        header = meta.get("HTTP_AUTHORIZATION", "").strip()
        if not header:
            return None
        scheme, _space, credentials = header.partition(" ")
        token = tokens.parse(credentials.strip())
        if scheme.lower() != "bearer" or token is None:
            raise NotAuthenticatedError(
                _(
                    "The Authorization header must be “Bearer” followed by a sign-in "
                    "token."
                )
            )
        device_id = devices.parse_device_id(meta.get(_DEVICE_META))
        scope = client_info.endpoint_of(request._request)
        wanted = getattr(request.parser_context["view"], "wanted", None)
        try:
            player, usage = sessions.check(
                token=token,
                device_id=device_id,
                endpoint=scope,
                rule=rates.rule_for(scope),
                ip_address=client_info.address_of(request._request),
                now=timezone.now(),
                wanted=wanted(request) if wanted else NOTHING,
            )
        except DeviceMismatchError:
            client_info.remember_refused_player(request._request, token.player_id)
            raise
        structlog.contextvars.bind_contextvars(player_id=player.id)
        client_info.remember_usage(request._request, usage)
        return player, token

    def authenticate_header(self, _request: Request) -> str:
        return CHALLENGE


class StaffAuthentication(SessionAuthentication):
    """The admin's session cookie, with Django's CSRF check."""

    def authenticate_header(self, _request: Request) -> str:
        return "Session"


class PlayerAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Both headers in the OpenAPI schema."""

    target_class = "players.authentication.PlayerAuthentication"
    name = ["token", "device"]

    def get_security_definition(self, _auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "description": gettext_lazy("The token that the sign-in returned."),
            },
            {
                "type": "apiKey",
                "in": "header",
                "name": DEVICE_HEADER,
                "description": api_types.DEVICE_ID.field.description,
            },
        ]


class StaffAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The admin's session cookie, and its CSRF token, in the OpenAPI schema."""

    target_class = "players.authentication.StaffAuthentication"
    name = ["session", "csrf_cookie", "csrf"]

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[Any]]:
        if auto_schema.method == "GET":
            return {"session": []}
        return {"session": [], "csrf_cookie": [], "csrf": []}

    def get_security_definition(self, _auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {
                "type": "apiKey",
                "in": "cookie",
                "name": settings.SESSION_COOKIE_NAME,
                "description": gettext_lazy("The session of the admin."),
            },
            {
                "type": "apiKey",
                "in": "cookie",
                "name": settings.CSRF_COOKIE_NAME,
                "description": gettext_lazy("A cookie of the admin's pages."),
            },
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-CSRFToken",
                "description": gettext_lazy("The value of the cookie csrftoken."),
            },
        ]
