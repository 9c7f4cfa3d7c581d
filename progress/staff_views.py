"""The staff API for progress: granting and resetting lessons of a student."""

from typing import ClassVar

from django.utils import timezone
from django.utils.translation import gettext_lazy
from rest_framework.decorators import action
from rest_framework.request import Request

from core import idempotency
from core.api_operations import Operation, describe
from core.api_response import ApiResponse
from core.api_types import parse
from players import api_types, client_info
from players.authentication import staff_of
from players.views import StaffViewSet, once
from progress.services import grants
from progress.services.grants import Change
from progress.staff_api_types import (
    CorrectedLessons,
    ProgressGrantBody,
    ProgressResetBody,
)
from progress.xp import MAX_HEARTS

_PARAMETERS = (api_types.PLAYER_KEY, idempotency.IDEMPOTENCY_KEY)
_ERRORS = (
    *("NOT_FOUND", "NOT_ENROLLED", "NOT_PUBLISHED_YET", "INVALID_LESSON"),
    "IDEMPOTENCY_CONFLICT",
)


class StaffProgressViewSet(StaffViewSet):
    """Progress of students."""

    staff_permissions: ClassVar[dict[str, str]] = {
        "grant": "progress.correct_structureprogress",
        "reset": "progress.correct_structureprogress",
    }

    @describe(
        Operation(
            id="staff_grant_progress",
            tag="staff",
            summary=gettext_lazy("Grant a student lessons as passed"),
            description=gettext_lazy(
                "Let a lesson, or all lessons below a node of the student's plan, count "
                "as passed. It gives no XP. Lessons that are passed, and those that need "
                "a product that the student does not have, are left out."
            ),
            parameters=_PARAMETERS,
            body=ProgressGrantBody,
            answer=CorrectedLessons,
            errors=_ERRORS,
        )
    )
    @action(detail=True, methods=["post"])
    @once
    def grant(self, request: Request, pk: str) -> ApiResponse:
        body = parse(ProgressGrantBody, request.data)
        return _apply(request, pk, Change.GRANT, body, hearts=body.hearts)

    @describe(
        Operation(
            id="staff_reset_progress",
            tag="staff",
            summary=gettext_lazy("Reset lessons of a student"),
            description=gettext_lazy(
                "Let a lesson, or all lessons below a node of the student's plan, count "
                "as never passed. The XP stays."
            ),
            parameters=_PARAMETERS,
            body=ProgressResetBody,
            answer=CorrectedLessons,
            errors=_ERRORS,
        )
    )
    @action(detail=True, methods=["post"])
    @once
    def reset(self, request: Request, pk: str) -> ApiResponse:
        return _apply(request, pk, Change.RESET, parse(ProgressResetBody, request.data))


def _apply(
    request: Request,
    pk: str,
    change: Change,
    body: ProgressGrantBody | ProgressResetBody,
    *,
    hearts: int = MAX_HEARTS,
) -> ApiResponse:
    count = grants.apply(
        player_id=int(pk),
        node_id=body.node_id,
        change=change,
        hearts=hearts,
        reason=body.reason,
        actor_id=staff_of(request).pk,
        ip_address=client_info.address_of(request._request),
        now=timezone.now(),
    )
    return ApiResponse(CorrectedLessons(count))
