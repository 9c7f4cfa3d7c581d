"""Middleware for the audit trail."""

from collections.abc import Callable
from http import HTTPStatus

import structlog
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from players import audit, client_info
from players.models import User
from players.services import refusals
from players.services.sessions import Player

log = structlog.get_logger(__name__)


class AuditMiddleware:
    """Attach the request to its audit rows, and record refusals (403).

    It must follow the middleware that sets ``request.user``.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with audit.during(request):
            response = self.get_response(request)
            if response.status_code == HTTPStatus.FORBIDDEN:
                _record_refusal(request, response)
        return response


def _record_refusal(request: HttpRequest, response: HttpResponse) -> None:
    body = getattr(response, "data", None)
    code = body.get("error_code") if isinstance(body, dict) else None
    user = getattr(request, "user", None)
    try:
        refusals.note(
            code=code or "PERMISSION_DENIED",
            endpoint=client_info.endpoint_of(request),
            staff_id=user.pk if isinstance(user, User) else None,
            player_id=user.id
            if isinstance(user, Player)
            else client_info.refused_player_of(request),
            device_id=user.device_id if isinstance(user, Player) else None,
        )
    except DatabaseError as error:
        # The response stays a refusal; only its audit row is missing.
        log.error("refusal_not_recorded", error=type(error).__name__)
