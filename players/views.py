"""The API of students for sign-in, content and wallet, and of staff for devices and XP.

The students' own account is in `players.account_views`. Each view parses the request,
calls one service and renders its result.
"""

from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from core.parsing import time_text
from players import audit, client_info, wallet_sync
from players.authentication import DEVICE_HEADER, Player, StaffAuthentication
from players.models import Device, SecurityEventType, User
from players.permissions import StaffPermission
from players.records import Wanted
from players.serializers import (
    CorrectedSerializer,
    CorrectionBody,
    DeviceBody,
    DeviceCheckSerializer,
    DeviceQuery,
    DeviceSerializer,
    ErrorSerializer,
    LessonLinkSerializer,
    LoginBody,
    MessageSerializer,
    PlanContentSerializer,
    SessionSerializer,
    SignedInSerializer,
    SyncBody,
    SyncedSerializer,
    WalletSerializer,
)
from players.services import content, devices, sessions, wallet
from players.tokens import Token
from publishing.api import iso_instant

_REFUSED = ErrorSerializer
_ADDRESS = client_info.address_of


def _player(request: Request) -> Player:
    user: Any = request.user
    assert isinstance(user, Player)
    return user


def _staff(request: Request) -> User:
    assert isinstance(request.user, User)
    return request.user


def _body(serializer: Any) -> dict[str, Any]:
    """Return a request's validated body.

    Raises:
        ValidationError: with the errors of each field.
    """
    serializer.is_valid(raise_exception=True)
    validated: dict[str, Any] = serializer.validated_data
    return validated


class AuthViewSet(ViewSet):
    """Signing in and out."""

    @extend_schema(
        summary="Sign in on this device, ending any other session",
        request=LoginBody,
        responses={
            200: SignedInSerializer,
            (400, "application/json"): _REFUSED,
            (401, "application/json"): _REFUSED,
            (403, "application/json"): _REFUSED,
            (429, "application/json"): _REFUSED,
        },
        parameters=[
            OpenApiParameter(
                DEVICE_HEADER,
                OpenApiTypes.UUID,
                OpenApiParameter.HEADER,
                required=True,
                description="The device's own UUID, version 4.",
            )
        ],
        auth=[],
    )
    @action(
        detail=False,
        methods=["post"],
        authentication_classes=[],
        permission_classes=[AllowAny],
    )
    def login(self, request: Request) -> Response:
        device_id = devices.parse_device_id(request.headers.get(DEVICE_HEADER))
        body = _body(LoginBody(data=request.data))
        signed_in = sessions.sign_in(
            email=body["email"],
            password=body["password"],
            device_id=device_id,
            device_name=body.get("device_name", ""),
            ip_address=_ADDRESS(request._request),
            now=timezone.now(),
            report=partial(client_info.remember_usage, request._request),
        )
        return Response(SignedInSerializer(signed_in).data)

    @extend_schema(
        summary="End this session", request=None, responses=MessageSerializer
    )
    @action(detail=False, methods=["post"])
    def logout(self, request: Request) -> Response:
        assert isinstance(request.auth, Token)
        sessions.sign_out(token=request.auth, ip_address=_ADDRESS(request._request))
        return Response({"message": _("You are signed out.")})

    @extend_schema(summary="Whether this session is good", responses=SessionSerializer)
    @action(detail=False, methods=["get"])
    def session(self, request: Request) -> Response:
        player = _player(request)
        return Response(
            {
                "valid": True,
                "player_id": player.id,
                "device_id": str(player.device_id),
            }
        )


class DevicesViewSet(ViewSet):
    """The player's own devices; only staff change them."""

    @extend_schema(
        summary="Whether this device is one of the player's",
        responses=DeviceCheckSerializer,
    )
    @action(detail=False, methods=["get"])
    def check(self, request: Request) -> Response:
        # Authentication has already refused any other device.
        return Response(
            {"authorized": True, "device_count": devices.count(_player(request).id)}
        )


class WalletViewSet(ViewSet):
    """The player's XP and streak."""

    def wanted(self, _request: Request) -> Wanted:
        return Wanted(wallet=True)

    @extend_schema(
        summary="The player's XP and streak",
        operation_id="wallet",
        responses=WalletSerializer,
    )
    def list(self, request: Request) -> Response:
        player = _player(request)
        held = wallet.current(player.id, now=timezone.now(), found=player.found)
        return Response(
            {
                "total_xp": held.total_xp,
                "current_streak": held.current_streak,
                "streak_ends_at": held.streak_ends_at
                and time_text(held.streak_ends_at),
                "streak_time_zone": settings.STREAK_TIME_ZONE,
                "last_success_date": held.last_success_date,
                "last_played_at": held.last_played_at
                and time_text(held.last_played_at),
            }
        )


class ContentViewSet(ViewSet):
    """URLs of the player's content."""

    def wanted(self, _request: Request) -> Wanted:
        return Wanted(access=True)

    @extend_schema(
        summary="The player's plan: its manifest and base URLs",
        operation_id="content",
        responses={
            200: PlanContentSerializer,
            (403, "application/json"): _REFUSED,
            (404, "application/json"): _REFUSED,
        },
    )
    def list(self, request: Request) -> Response:
        player = _player(request)
        return Response(asdict(content.plan_of(player.id, player.found)))

    @extend_schema(
        summary="A lesson's URL, if the player may open it",
        operation_id="content_lesson",
        parameters=[OpenApiParameter("lesson_id", str, OpenApiParameter.PATH)],
        responses={
            200: LessonLinkSerializer,
            (403, "application/json"): _REFUSED,
            (404, "application/json"): _REFUSED,
        },
    )
    @action(detail=False, methods=["get"], url_path=r"lessons/(?P<lesson_id>[^/]+)")
    def lesson(self, request: Request, lesson_id: str) -> Response:
        link = content.lesson_of(
            _player(request).id,
            lesson_id,
            timezone.now().timestamp(),
            _player(request).found,
        )
        return Response(
            {
                "lesson_id": link.lesson_id,
                "url": link.url,
                "expires_at": iso_instant(link.expires_at) if link.expires_at else None,
                "videos": {
                    stage_id: {
                        "signed_url": url,
                        "expires_at": iso_instant(link.videos_expire_at),
                    }
                    for stage_id, url in link.video_urls.items()
                },
            }
        )


class StaffViewSet(ViewSet):
    """Views for staff: the admin's session, and a permission for each action."""

    authentication_classes = (StaffAuthentication,)
    permission_classes = (StaffPermission,)
    lookup_value_regex = "[1-9][0-9]{0,17}"
    staff_permissions: ClassVar[dict[str, str]] = {}


class StaffDevicesViewSet(StaffViewSet):
    """Players' devices; at most two each."""

    staff_permissions: ClassVar[dict[str, str]] = {
        "list": "players.view_device",
        "create": "players.add_device",
        "destroy": "players.delete_device",
    }

    @extend_schema(
        summary="A player's devices",
        parameters=[DeviceQuery],
        responses=DeviceSerializer(many=True),
    )
    def list(self, request: Request) -> Response:
        player_id = _body(DeviceQuery(data=request.query_params))["player_id"]
        held: QuerySet[Device] = Device.objects.filter(player_id=player_id)
        return Response({"devices": DeviceSerializer(held, many=True).data})

    @extend_schema(
        summary="Authorise a device for a player",
        request=DeviceBody,
        responses={
            201: DeviceSerializer,
            (404, "application/json"): _REFUSED,
            (409, "application/json"): _REFUSED,
        },
    )
    def create(self, request: Request) -> Response:
        body = _body(DeviceBody(data=request.data))
        device = devices.add(
            player_id=body["player_id"],
            device_id=devices.parse_device_id(body["device_id"]),
            name=body.get("device_name", ""),
            actor_id=_staff(request).pk,
            ip_address=_ADDRESS(request._request),
        )
        return Response(DeviceSerializer(device).data, status.HTTP_201_CREATED)

    @extend_schema(
        summary="Take a device from its player, ending a session on it",
        parameters=[OpenApiParameter("id", int, OpenApiParameter.PATH)],
        responses={204: None, (404, "application/json"): _REFUSED},
    )
    def destroy(self, request: Request, pk: str) -> Response:
        devices.remove_by_pk(
            int(pk),
            actor_id=_staff(request).pk,
            ip_address=_ADDRESS(request._request),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class StaffWalletsViewSet(StaffViewSet):
    """Players' wallets."""

    staff_permissions: ClassVar[dict[str, str]] = {
        "sync": "players.change_playerwallet",
        "xp": "players.change_playerwallet",
    }

    @extend_schema(
        summary="Write wallets back to the database now",
        request=SyncBody,
        responses=SyncedSerializer,
    )
    @action(detail=False, methods=["post"])
    def sync(self, request: Request) -> Response:
        force: bool = _body(SyncBody(data=request.data))["force"]
        result = wallet_sync.sync_pending_wallets(force=force)
        audit.record(
            SecurityEventType.WALLETS_SYNCED,
            actor_id=_staff(request).pk,
            ip_address=_ADDRESS(request._request),
            force=force,
            synced=result.synced,
        )
        return Response(SyncedSerializer(result).data)

    @extend_schema(
        summary="Give a player XP by hand",
        request=CorrectionBody,
        parameters=[OpenApiParameter("id", int, OpenApiParameter.PATH)],
        responses={200: CorrectedSerializer, (404, "application/json"): _REFUSED},
    )
    @action(detail=True, methods=["post"])
    def xp(self, request: Request, pk: str) -> Response:
        body = _body(CorrectionBody(data=request.data))
        state = wallet.correct(
            player_id=int(pk),
            xp=body["xp"],
            reason=body["reason"],
            actor_id=_staff(request).pk,
            ip_address=_ADDRESS(request._request),
            now=timezone.now(),
        )
        return Response({"xp_awarded": body["xp"], "new_total_xp": state.total_xp})
