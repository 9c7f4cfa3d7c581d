"""The API of students for sign-in, content and wallet, and of staff for devices and XP.

The students' own account is in `players.account_views`. Each view parses the request,
calls one service and renders its result.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial, wraps
from typing import Any, ClassVar, TypeVar

import orjson
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from core import idempotency
from core.api_operations import Operation, describe
from core.api_response import ApiResponse
from core.api_types import parse, parse_query, to_json
from core.api_views import ApiViewSet
from players import (
    access_api_types,
    answers,
    api_types,
    app_versions,
    audit,
    client_info,
    wallet_sync,
)
from players.api_types import DEVICE_HEADER
from players.authentication import StaffAuthentication, player_of, staff_of
from players.errors import NotEntitledError
from players.models import Device, PlayerProfile, SecurityEventType
from players.permissions import StaffPermission
from players.records import Wanted
from players.services import (
    access,
    content,
    devices,
    sessions,
    staff_requests,
    wallet,
)
from players.services.staff_requests import Answered, Made
from players.tokens import Token

_ADDRESS = client_info.address_of


class AuthViewSet(ApiViewSet):
    """Signing in and out."""

    @describe(
        Operation(
            id="sign_in",
            tag="auth",
            summary=gettext_lazy("Sign in"),
            description=gettext_lazy(
                "Start a session of the student on this device, and end any other one. "
                "The first sign-in of a student authorises its device; staff authorise "
                "every other device, two at most."
            ),
            parameters=(api_types.DEVICE_ID,),
            body=api_types.SignInBody,
            answer=api_types.SignedIn,
            errors=(
                *("INVALID_DEVICE_ID", "INVALID_CREDENTIALS"),
                *("ACCOUNT_INACTIVE", "NOT_A_PLAYER", "DEVICE_NOT_AUTHORIZED"),
            ),
        )
    )
    @action(
        detail=False,
        methods=["post"],
        authentication_classes=[],
        permission_classes=[AllowAny],
    )
    def login(self, request: Request) -> ApiResponse:
        app_versions.require_supported(request)
        device_id = devices.parse_device_id(request.headers.get(DEVICE_HEADER))
        body = parse(api_types.SignInBody, request.data)
        signed_in = sessions.sign_in(
            email=body.email,
            password=body.password,
            device_id=device_id,
            device_name=body.device_name.strip(),
            replace_slot=body.replace_device,
            ip_address=_ADDRESS(request._request),
            now=timezone.now(),
            report=partial(client_info.remember_usage, request._request),
        )
        return ApiResponse(_signed_in(signed_in))

    @describe(
        Operation(
            id="sign_out",
            tag="auth",
            summary=gettext_lazy("Sign out"),
            description=gettext_lazy(
                "End this session. The token is refused from then on."
            ),
            answer=api_types.SignedOut,
        )
    )
    @action(detail=False, methods=["post"])
    def logout(self, request: Request) -> ApiResponse:
        assert isinstance(request.auth, Token)
        sessions.sign_out(token=request.auth, ip_address=_ADDRESS(request._request))
        return ApiResponse(api_types.SignedOut(_("You are signed out.")))

    @describe(
        Operation(
            id="get_session",
            tag="auth",
            summary=gettext_lazy("Check the session"),
            description=gettext_lazy(
                "Answer whether the token is still valid on this device. A session "
                "that has ended is answered with 401 and the reason."
            ),
            answer=api_types.SessionState,
        )
    )
    @action(detail=False, methods=["get"])
    def session(self, request: Request) -> ApiResponse:
        player = player_of(request)
        return ApiResponse(
            api_types.SessionState(
                valid=True, player_id=player.id, device_id=player.device_id
            )
        )


def _signed_in(result: sessions.SignedIn) -> api_types.SignedIn:
    player: PlayerProfile = result.profile
    plan = player.active_plan
    return api_types.SignedIn(
        token=result.token.text,
        player=api_types.Account(player.pk, player.user.full_name, player.user.email),
        is_first_device=result.is_first_device,
        devices_authorized=result.devices_authorized,
        plan=None if plan is None else api_types.Plan(plan.public_id, plan.title),
    )


class DevicesViewSet(ApiViewSet):
    """Whether the device of the request is one of the player's."""

    @describe(
        Operation(
            id="check_device",
            tag="auth",
            summary=gettext_lazy("Check the device"),
            description=gettext_lazy(
                "Answer how many of the student's device slots are used. Another device "
                "than one of the student's is refused."
            ),
            answer=api_types.DeviceState,
        )
    )
    @action(detail=False, methods=["get"])
    def check(self, request: Request) -> ApiResponse:
        # Authentication has already refused any other device.
        count = devices.count(player_of(request).id)
        return ApiResponse(api_types.DeviceState(authorized=True, device_count=count))


class WalletViewSet(ApiViewSet):
    """The player's XP and streak."""

    def wanted(self, _request: Request) -> Wanted:
        return Wanted(wallet=True, access=True)

    @describe(
        Operation(
            id="get_wallet",
            tag="me",
            summary=gettext_lazy("The student's XP and streak"),
            description=gettext_lazy(
                "Return the XP and the streak at this moment. Show the end of the "
                "streak by streak_ends_at; do not count days in the app."
            ),
            answer=api_types.Wallet,
        )
    )
    def list(self, request: Request) -> ApiResponse:
        player = player_of(request)
        days = access.of_player(player.id, player.found).days
        held = wallet.current(
            player.id, days=days, now=timezone.now(), found=player.found
        )
        return ApiResponse(answers.wallet(held))


class ContentViewSet(ApiViewSet):
    """URLs of the player's content."""

    def wanted(self, _request: Request) -> Wanted:
        return Wanted(access=True)

    @describe(
        Operation(
            id="get_content",
            tag="content",
            summary=gettext_lazy("The student's plan"),
            description=gettext_lazy(
                "Return where to read the published files of the student's active plan."
            ),
            answer=api_types.PlanContent,
            errors=("NOT_ENROLLED", "NOT_PUBLISHED_YET"),
        )
    )
    def list(self, request: Request) -> ApiResponse:
        player = player_of(request)
        found = content.plan_of(player.id, player.found)
        return ApiResponse(answers.plan_content(found))

    @describe(
        Operation(
            id="get_lesson_link",
            tag="content",
            summary=gettext_lazy("A lesson's URL"),
            description=gettext_lazy(
                "Return new URLs of a lesson's file and of its videos, if the student "
                "may open the lesson. The URL of a gated lesson expires."
            ),
            parameters=(api_types.LESSON_ID,),
            answer=api_types.LessonLink,
            errors=(
                *("NOT_ENROLLED", "NOT_ENTITLED"),
                *("NOT_PUBLISHED_YET", "INVALID_LESSON"),
            ),
        )
    )
    @action(detail=False, methods=["get"], url_path=r"lessons/(?P<lesson_id>[^/]+)")
    def lesson(self, request: Request, lesson_id: str) -> ApiResponse:
        link = content.lesson_of(
            player_of(request).id,
            lesson_id,
            timezone.now().timestamp(),
            player_of(request).found,
        )
        return ApiResponse(answers.lesson_link(link))

    @describe(
        Operation(
            id="list_lesson_links",
            tag="content",
            summary=gettext_lazy("The URLs of all lessons below a node"),
            description=gettext_lazy(
                "Return new URLs of the files and videos of the lessons below a subject, "
                "track, unit or topic, for downloads: up to 200 lessons, in the order "
                "of their bits. Send next as after to get those that follow. Lessons "
                "that the student may not open are listed with the reason."
            ),
            parameters=(access_api_types.NODE_ID,),
            query=access_api_types.LessonsQuery,
            answer=access_api_types.LessonLinks,
            errors=("NOT_ENROLLED", "NOT_PUBLISHED_YET", "INVALID_NODE"),
        )
    )
    @action(
        detail=False,
        methods=["get"],
        url_path=r"nodes/(?P<node_id>[^/]+)/lessons",
        url_name="node-lessons",
    )
    def lessons(self, request: Request, node_id: str) -> ApiResponse:
        query = parse_query(access_api_types.LessonsQuery, request.query_params)
        page = content.lessons_below(
            player_of(request).id,
            node_id,
            after=query.after,
            now=timezone.now().timestamp(),
            found=player_of(request).found,
        )
        return ApiResponse(
            access_api_types.LessonLinks(
                lessons=[answers.lesson_link(link) for link in page.links],
                refused=[
                    access_api_types.RefusedLesson(
                        lesson.id, NotEntitledError.code, lesson.required_item
                    )
                    for lesson in page.not_entitled
                ],
                next=page.next,
                total=page.total,
            )
        )


View = TypeVar("View", bound=Callable[..., ApiResponse])


def once(view: View) -> View:
    """Answer a repeat with the same Idempotency-Key like the first request.

    Without the header the request is executed each time. An answer with a method
    ``without_secrets`` is kept without them.
    """

    @wraps(view)
    def answer(self: Any, request: Request, **kwargs: Any) -> ApiResponse:
        key = idempotency.key_of(request.META)
        if key is None:
            return view(self, request, **kwargs)

        def run() -> Made:
            first = view(self, request, **kwargs)
            data = first.answer
            hide = getattr(data, "without_secrets", lambda: data)
            return Made(
                Answered(first.status_code, data),
                Answered(first.status_code, orjson.loads(to_json(hide()))),
            )

        line = f"{request.method} {request.path}\n".encode()
        body = orjson.dumps(request.data, option=orjson.OPT_SORT_KEYS)
        found = staff_requests.once(
            owner_id=staff_of(request).pk, key=key, request=line + body, run=run
        )
        return ApiResponse(found.answer, found.status)

    return answer  # type: ignore[return-value]


class StaffViewSet(ApiViewSet):
    """Views for staff: the admin's session, and a permission for each action."""

    authentication_classes = (StaffAuthentication,)
    permission_classes = (StaffPermission,)
    lookup_value_regex = "[1-9][0-9]{0,17}"
    staff_permissions: ClassVar[Mapping[str, str | tuple[str, ...]]] = {}


class StaffDevicesViewSet(StaffViewSet):
    """Players' devices; at most two each."""

    staff_permissions: ClassVar[dict[str, str]] = {
        "list": "players.view_device",
        "create": "players.add_device",
        "destroy": "players.delete_device",
    }

    @describe(
        Operation(
            id="staff_list_devices",
            tag="staff",
            summary=gettext_lazy("A student's devices"),
            description=gettext_lazy(
                "Return the devices from which a student may sign in. The list of an "
                "unknown student is empty."
            ),
            query=api_types.DevicesQuery,
            answer=api_types.Devices,
        )
    )
    def list(self, request: Request) -> ApiResponse:
        query = parse_query(api_types.DevicesQuery, request.query_params)
        held = Device.objects.filter(player_id=query.player_id)
        return ApiResponse(api_types.Devices([_device(device) for device in held]))

    @describe(
        Operation(
            id="staff_add_device",
            tag="staff",
            summary=gettext_lazy("Authorise a device"),
            description=gettext_lazy(
                "Allow a student to sign in from another device, two at most."
            ),
            parameters=(idempotency.IDEMPOTENCY_KEY,),
            body=api_types.NewDeviceBody,
            answer=api_types.Device,
            status=status.HTTP_201_CREATED,
            errors=(
                *("NOT_FOUND", "DEVICE_EXISTS", "DEVICE_LIMIT"),
                "IDEMPOTENCY_CONFLICT",
            ),
        )
    )
    @once
    def create(self, request: Request) -> ApiResponse:
        body = parse(api_types.NewDeviceBody, request.data)
        device = devices.add(
            player_id=body.player_id,
            device_id=body.device_id,
            name=body.device_name.strip(),
            actor_id=staff_of(request).pk,
            ip_address=_ADDRESS(request._request),
        )
        return ApiResponse(_device(device), status.HTTP_201_CREATED)

    @describe(
        Operation(
            id="staff_remove_device",
            tag="staff",
            summary=gettext_lazy("Remove a device"),
            description=gettext_lazy(
                "Take a device from its student. A session on it ends at once."
            ),
            parameters=(api_types.DEVICE_KEY,),
            status=status.HTTP_204_NO_CONTENT,
            errors=("NOT_FOUND",),
        )
    )
    def destroy(self, request: Request, pk: str) -> ApiResponse:
        devices.remove_by_pk(
            int(pk),
            actor_id=staff_of(request).pk,
            ip_address=_ADDRESS(request._request),
        )
        return ApiResponse(status=status.HTTP_204_NO_CONTENT)


def _device(device: Device) -> api_types.Device:
    return api_types.Device(
        id=device.pk,
        player_id=device.player_id,
        slot=device.slot,
        device_id=device.device_id,
        name=device.name,
        added_at=device.added_at,
    )


class StaffWalletsViewSet(StaffViewSet):
    """Players' wallets."""

    staff_permissions: ClassVar[dict[str, str]] = {
        "sync": "players.change_playerwallet",
        "xp": "players.correct_playerwallet",
    }

    @describe(
        Operation(
            id="staff_sync_wallets",
            tag="staff",
            summary=gettext_lazy("Write wallets to the database"),
            description=gettext_lazy(
                "Write the wallets that have changed to the database now. It also "
                "happens every 15 minutes without a request."
            ),
            body=api_types.SyncBody,
            answer=api_types.WalletSync,
        )
    )
    @action(detail=False, methods=["post"])
    def sync(self, request: Request) -> ApiResponse:
        force = parse(api_types.SyncBody, request.data).force
        result = wallet_sync.sync_pending_wallets(force=force)
        audit.record(
            SecurityEventType.WALLETS_SYNCED,
            actor_id=staff_of(request).pk,
            ip_address=_ADDRESS(request._request),
            force=force,
            synced=result.synced,
        )
        return ApiResponse(api_types.WalletSync(**asdict(result)))

    @describe(
        Operation(
            id="staff_give_xp",
            tag="staff",
            summary=gettext_lazy("Give a student XP"),
            description=gettext_lazy(
                "Add XP to a student's wallet, with a reason for the audit trail."
            ),
            parameters=(api_types.PLAYER_KEY, idempotency.IDEMPOTENCY_KEY),
            body=api_types.CorrectionBody,
            answer=api_types.Correction,
            errors=("NOT_FOUND", "IDEMPOTENCY_CONFLICT"),
        )
    )
    @action(detail=True, methods=["post"])
    @once
    def xp(self, request: Request, pk: str) -> ApiResponse:
        body = parse(api_types.CorrectionBody, request.data)
        state = wallet.correct(
            player_id=int(pk),
            xp=body.xp,
            reason=body.reason.strip(),
            actor_id=staff_of(request).pk,
            ip_address=_ADDRESS(request._request),
            now=timezone.now(),
        )
        return ApiResponse(api_types.Correction(body.xp, state.total_xp))
