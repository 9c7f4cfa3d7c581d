"""The API of a student's own account: profile, photo, password.

Each view parses the request, calls one service and renders its result.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile, UploadedFile
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from players import client_info
from players.account_serializers import (
    MeSerializer,
    PasswordBody,
    PhotoBody,
    ProfileBody,
)
from players.serializers import ErrorSerializer
from players.services import passwords, photos, profile
from players.services.sessions import Player
from players.tokens import Token

_REFUSED = ErrorSerializer


def _player(request: Request) -> Player:
    user: Any = request.user
    assert isinstance(user, Player)
    return user


def _body(serializer: Any) -> dict[str, Any]:
    """Return a request's validated body.

    Raises:
        ValidationError: with the errors of each field.
    """
    serializer.is_valid(raise_exception=True)
    validated: dict[str, Any] = serializer.validated_data
    return validated


@contextmanager
def _faults_of(field: str) -> Iterator[None]:
    """Answer a ValidationError of Django as the faults of this field."""
    try:
        yield
    except ValidationError as error:
        raise serializers.ValidationError({field: error.messages}) from None


def _profile(request: Request) -> Response:
    own = profile.of_player(_player(request).id, now=timezone.now())
    uri = own.photo_uri
    return Response(
        {
            "id": own.id,
            "name": own.name,
            "email": own.email,
            "grade": own.grade,
            "stream": own.stream,
            "season": own.season,
            "photo_url": uri and request.build_absolute_uri(uri),
            "locale": own.locale,
            "time_zone": own.time_zone,
            "plan": own.plan and {"id": own.plan[0], "title": own.plan[1]},
        }
    )


class MeViewSet(ViewSet):
    """The player's own profile."""

    @extend_schema(
        summary="The player's profile", operation_id="me", responses=MeSerializer
    )
    def list(self, request: Request) -> Response:
        return _profile(request)

    @extend_schema(
        summary="Change the player's name, language or time zone",
        operation_id="me_change",
        request=ProfileBody,
        responses={
            200: MeSerializer,
            (400, "application/json"): _REFUSED,
            (409, "application/json"): _REFUSED,
        },
    )
    def partial_update(self, request: Request) -> Response:
        body = _body(ProfileBody(data=request.data))
        profile.change(player_id=_player(request).id, **body, now=timezone.now())
        return _profile(request)


class PictureParser(BaseParser):
    """A body that is a picture. One byte more than the limit is read, not more."""

    media_type = "image/*"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        data = stream.read(settings.PICTURE_MAX_BYTES + 1)
        return {"photo": SimpleUploadedFile("photo", data)}


class PhotoViewSet(ViewSet):
    """The player's own photo."""

    parser_classes = (MultiPartParser, PictureParser)

    @extend_schema(
        summary="Set the player's photo",
        operation_id="me_photo",
        request={
            "multipart/form-data": PhotoBody,
            "image/*": OpenApiTypes.BINARY,
        },
        responses={
            200: MeSerializer,
            (400, "application/json"): _REFUSED,
            (415, "application/json"): _REFUSED,
        },
    )
    def update(self, request: Request) -> Response:
        data: Any = request.data
        photo = data.get("photo")
        if not isinstance(photo, UploadedFile):
            raise serializers.ValidationError(
                {
                    "photo": [
                        _(
                            "Send the picture as the field “photo” of a form, or as the "
                            "body with its content type."
                        )
                    ]
                }
            )
        with _faults_of("photo"):
            photos.replace(player_id=_player(request).id, file=photo)
        return _profile(request)

    @extend_schema(
        summary="Remove the player's photo",
        operation_id="me_photo_remove",
        responses={204: None},
    )
    def destroy(self, request: Request) -> Response:
        photos.remove(player_id=_player(request).id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordViewSet(ViewSet):
    """The player's own password."""

    @extend_schema(
        summary="Change the player's password; the session stays",
        operation_id="me_password",
        request=PasswordBody,
        responses={
            204: None,
            (400, "application/json"): _REFUSED,
            (403, "application/json"): _REFUSED,
            (429, "application/json"): _REFUSED,
        },
    )
    def create(self, request: Request) -> Response:
        assert isinstance(request.auth, Token)
        body = _body(PasswordBody(data=request.data))
        with _faults_of("new_password"):
            passwords.change(
                token=request.auth,
                device_id=_player(request).device_id,
                current=body["current_password"],
                new=body["new_password"],
                ip_address=client_info.address_of(request._request),
            )
        return Response(status=status.HTTP_204_NO_CONTENT)
