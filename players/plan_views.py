"""The API of a student's plans and products.

Each view parses the request, calls one service and renders its result.
"""

from django.utils import timezone
from django.utils.translation import gettext_lazy
from rest_framework.request import Request

from core.api_operations import Operation, describe
from core.api_response import ApiResponse
from core.api_types import parse
from core.api_views import ApiViewSet
from players import access_api_types as api_types, answers
from players.authentication import player_of
from players.records import Wanted
from players.services import access, enrolled_plans, entitlements


class PlansViewSet(ApiViewSet):
    """The plans that the player is enrolled in."""

    @describe(
        Operation(
            id="list_plans",
            tag="me",
            summary=gettext_lazy("The student's plans"),
            description=gettext_lazy(
                "Return the plans that the student is enrolled in, and which of them "
                "is active."
            ),
            answer=api_types.EnrolledPlans,
        )
    )
    def list(self, request: Request) -> ApiResponse:
        found = enrolled_plans.of_player(player_of(request).id)
        return ApiResponse(
            api_types.EnrolledPlans([answers.enrolled_plan(one) for one in found])
        )

    @describe(
        Operation(
            id="set_active_plan",
            tag="me",
            summary=gettext_lazy("Change the active plan"),
            description=gettext_lazy(
                "Make one of the student's plans the active one. All other answers are "
                "then about this plan: read its manifest. Send the queued completions "
                "and ratings of the previous plan first."
            ),
            body=api_types.ActivePlanBody,
            answer=api_types.EnrolledPlan,
            errors=("NOT_ENROLLED",),
        )
    )
    def update(self, request: Request) -> ApiResponse:
        player = player_of(request)
        body = parse(api_types.ActivePlanBody, request.data)
        plan = enrolled_plans.activate(
            player_id=player.id, plan_id=body.plan_id, device_id=player.device_id
        )
        return ApiResponse(answers.enrolled_plan(plan))


class EntitlementsViewSet(ApiViewSet):
    """The products of the player."""

    def wanted(self, _request: Request) -> Wanted:
        return Wanted(access=True)

    @describe(
        Operation(
            id="list_entitlements",
            tag="me",
            summary=gettext_lazy("The student's products"),
            description=gettext_lazy(
                "Return the products of the student, until when each is valid, and "
                "what it opens in the active plan."
            ),
            answer=api_types.Entitlements,
        )
    )
    def list(self, request: Request) -> ApiResponse:
        player = player_of(request)
        owned = entitlements.of_access(
            access.of_player(player.id, player.found), timezone.now().timestamp()
        )
        return ApiResponse(
            api_types.Entitlements([answers.entitlement(one) for one in owned])
        )
