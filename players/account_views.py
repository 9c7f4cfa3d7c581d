"""The API of a student's own account: profile, photo, password, devices.

Each view parses the request, calls one service and renders its result.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile, UploadedFile
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy
from rest_framework import status
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from core.api_operations import Operation, describe
from core.api_response import ApiResponse
from core.api_types import InvalidBodyError, parse
from core.api_views import ApiViewSet
from players import answers, api_types, app_versions, client_info, tasks
from players.authentication import player_of
from players.services import devices, password_resets, passwords, photos, profile
from players.tokens import Token


@contextmanager
def _faults_of(field: str) -> Iterator[None]:
    """Answer a ValidationError of Django as the faults of this field."""
    try:
        yield
    except ValidationError as error:
        raise InvalidBodyError({field: error.messages}) from None


def _profile(request: Request) -> ApiResponse:
    own = profile.of_player(player_of(request).id, now=timezone.now())
    return ApiResponse(answers.profile(own, request))


class MeViewSet(ApiViewSet):
    """The player's own profile."""

    @describe(
        Operation(
            id="get_me",
            tag="me",
            summary=gettext_lazy("The student's profile"),
            description=gettext_lazy(
                "Return the name, the school's data and the active plan of the student."
            ),
            answer=api_types.Profile,
        )
    )
    def list(self, request: Request) -> ApiResponse:
        return _profile(request)

    @describe(
        Operation(
            id="change_me",
            tag="me",
            summary=gettext_lazy("Change the student's profile"),
            description=gettext_lazy(
                "Change the name, the language or the time zone; all of it or nothing. "
                "The time zone can be changed once in 24 hours."
            ),
            body=api_types.ProfileBody,
            answer=api_types.Profile,
            errors=("TIME_ZONE_LOCKED",),
        )
    )
    def partial_update(self, request: Request) -> ApiResponse:
        body = parse(api_types.ProfileBody, request.data)
        profile.change(
            player_id=player_of(request).id,
            name=body.name,
            locale=body.locale,
            time_zone=body.time_zone,
            now=timezone.now(),
        )
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


class PhotoViewSet(ApiViewSet):
    """The player's own photo."""

    parser_classes = (MultiPartParser, PictureParser)

    @describe(
        Operation(
            id="set_photo",
            tag="me",
            summary=gettext_lazy("Set the student's photo"),
            description=gettext_lazy(
                "Send the picture (JPEG, PNG, WebP or GIF) as the body with its content "
                "type, or as the field “photo” of a form. It is encoded again without "
                "metadata."
            ),
            files={
                "multipart/form-data": {
                    "type": "object",
                    "properties": {
                        "photo": {
                            "type": "string",
                            "format": "binary",
                            "description": gettext_lazy("The picture."),
                        }
                    },
                    "required": ["photo"],
                },
                "image/*": {"type": "string", "format": "binary"},
            },
            answer=api_types.Profile,
        )
    )
    def update(self, request: Request) -> ApiResponse:
        data: Any = request.data
        photo = data.get("photo")
        if not isinstance(photo, UploadedFile):
            fault = _(
                "Send the picture as the field “photo” of a form, or as the body with "
                "its content type."
            )
            raise InvalidBodyError({"photo": fault})
        with _faults_of("photo"):
            photos.replace(player_id=player_of(request).id, file=photo)
        return _profile(request)

    @describe(
        Operation(
            id="remove_photo",
            tag="me",
            summary=gettext_lazy("Remove the student's photo"),
            description=gettext_lazy("Delete the photo, if there is one."),
            status=status.HTTP_204_NO_CONTENT,
        )
    )
    def destroy(self, request: Request) -> ApiResponse:
        photos.remove(player_id=player_of(request).id)
        return ApiResponse(status=status.HTTP_204_NO_CONTENT)


class PasswordViewSet(ApiViewSet):
    """The player's own password."""

    @describe(
        Operation(
            id="change_password",
            tag="me",
            summary=gettext_lazy("Change the student's password"),
            description=gettext_lazy(
                "Change the password; the session stays. Each request counts like a "
                "sign-in on this device. details.fields.new_password says what is wrong "
                "with the new one, in sentences for the student."
            ),
            body=api_types.PasswordBody,
            status=status.HTTP_204_NO_CONTENT,
            errors=("WRONG_PASSWORD",),
        )
    )
    def create(self, request: Request) -> ApiResponse:
        assert isinstance(request.auth, Token)
        body = parse(api_types.PasswordBody, request.data)
        with _faults_of("new_password"):
            passwords.change(
                token=request.auth,
                device_id=player_of(request).device_id,
                current=body.current_password,
                new=body.new_password,
                ip_address=client_info.address_of(request._request),
            )
        return ApiResponse(status=status.HTTP_204_NO_CONTENT)


class OwnDevicesViewSet(ApiViewSet):
    """The player's own devices: their names, and when they were used."""

    lookup_value_regex = "[1-9][0-9]{0,17}"

    @describe(
        Operation(
            id="list_devices",
            tag="me",
            summary=gettext_lazy("The student's devices"),
            description=gettext_lazy(
                "Return the devices from which the student may sign in."
            ),
            answer=api_types.OwnDevices,
        )
    )
    def list(self, request: Request) -> ApiResponse:
        return _devices(request)

    @describe(
        Operation(
            id="rename_device",
            tag="me",
            summary=gettext_lazy("Rename a device"),
            description=gettext_lazy("Change a device's name, and return all devices."),
            parameters=(api_types.DEVICE_KEY,),
            body=api_types.DeviceNameBody,
            answer=api_types.OwnDevices,
            errors=("NOT_FOUND",),
        )
    )
    def partial_update(self, request: Request, pk: str) -> ApiResponse:
        body = parse(api_types.DeviceNameBody, request.data)
        devices.rename(player_of(request).id, int(pk), name=body.name)
        return _devices(request)


def _devices(request: Request) -> ApiResponse:
    player = player_of(request)
    own = devices.of_player(player.id, current=player.device_id)
    return ApiResponse(
        api_types.OwnDevices([api_types.OwnDevice(**asdict(one)) for one in own])
    )


class PasswordResetViewSet(ApiViewSet):
    """A new password for a student who has forgotten theirs."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @describe(
        Operation(
            id="request_password_reset",
            tag="auth",
            summary=gettext_lazy("Ask for a link to set a new password"),
            description=gettext_lazy(
                "Send an e-mail with a link to a page for a new password, if there is a "
                "student's account with this address. The answer is the same in any case."
            ),
            body=api_types.ResetLinkBody,
            answer=api_types.ResetRequested,
            status=status.HTTP_202_ACCEPTED,
        )
    )
    def create(self, request: Request) -> ApiResponse:
        app_versions.require_supported(request)
        body = parse(api_types.ResetLinkBody, request.data)
        user_id = password_resets.request_link(
            email=body.email, ip_address=client_info.address_of(request._request)
        )
        # For an unknown account, too: the time does not show which exist.
        tasks.enqueue_reset_link(user_id)
        message = _(
            "If there is a student's account with this address, we have sent it a link "
            "to set a new password."
        )
        return ApiResponse(api_types.ResetRequested(message), status.HTTP_202_ACCEPTED)

    @describe(
        Operation(
            id="reset_password",
            tag="auth",
            summary=gettext_lazy("Set a new password with a code from the school"),
            description=gettext_lazy(
                "Set a new password with the code that the school told the student, and "
                "end the student's session. A code has five attempts in an hour; a weak "
                "password takes none."
            ),
            body=api_types.ResetCodeBody,
            status=status.HTTP_204_NO_CONTENT,
            errors=("INVALID_RESET_CODE",),
        )
    )
    def confirm(self, request: Request) -> ApiResponse:
        app_versions.require_supported(request)
        body = parse(api_types.ResetCodeBody, request.data)
        with _faults_of("new_password"):
            password_resets.use_code(
                email=body.email,
                code=body.code,
                new=body.new_password,
                ip_address=client_info.address_of(request._request),
                now=timezone.now(),
            )
        return ApiResponse(status=status.HTTP_204_NO_CONTENT)
