"""Serializers of requests and responses.

Request serializers report unknown fields and values of a wrong JSON type by the name of
the field.
"""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _, gettext_lazy
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from core.parsing import MAX_KEY, whole_number
from players.credentials import PASSWORD_MAX_LENGTH
from players.models import Device

# --- Requests -------------------------------------------------------------------


class TextField(serializers.CharField):
    """A JSON string; DRF's field would also accept a number."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class WholeNumberField(serializers.IntegerField):
    """A JSON integer; DRF's field would also accept ``"7"``, ``7.0`` and ``true``."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class FlagField(serializers.BooleanField):
    """``true`` or ``false``; DRF's field would also accept ``"yes"`` and 1."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Body(serializers.Serializer[Any]):
    """A request body; unknown fields are errors."""

    def to_internal_value(self, data: Any) -> Any:
        unknown: list[str] = []
        if isinstance(data, Mapping):
            unknown = sorted(
                str(name)[:100] for name in data.keys() - self.fields.keys()
            )
        faults: dict[str, Any] = {
            name: [ErrorDetail(_("Unknown field."), code="unknown")]
            for name in unknown[:20]
        }
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if isinstance(error.detail, dict):
                faults |= error.detail
        if faults:
            raise serializers.ValidationError(faults)
        return value


class LoginBody(Body):
    """``password`` is limited in length, because hashing a long text is expensive."""

    email = TextField(max_length=254)
    password = TextField(max_length=PASSWORD_MAX_LENGTH, trim_whitespace=False)
    device_name = TextField(max_length=100, required=False, allow_blank=True)


class DeviceBody(Body):
    player_id = WholeNumberField(min_value=1, max_value=MAX_KEY)
    device_id = TextField(max_length=100)
    device_name = TextField(max_length=100, required=False, allow_blank=True)


class CorrectionBody(Body):
    """1–1000 XP in one correction, and its reason."""

    xp = WholeNumberField(min_value=1, max_value=1000)
    reason = TextField(max_length=200)


class SyncBody(Body):
    force = FlagField(required=False, default=False)


class QueryNumberField(serializers.IntegerField):
    """An integer of ASCII digits in a query; DRF's field would accept ``" ٣.0"``."""

    def to_internal_value(self, data: Any) -> int:
        number = whole_number(data) if isinstance(data, str) else None
        if number is None:
            self.fail("invalid")
        return number


class DeviceQuery(serializers.Serializer[Any]):
    player_id = QueryNumberField(min_value=1)


# --- Responses --------------------------------------------------------------------


class PlanSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    title = serializers.CharField()


class PlayerSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="pk")
    name = serializers.CharField(source="user.full_name")
    email = serializers.EmailField(source="user.email")


class SignedInSerializer(serializers.Serializer[Any]):
    """``token`` appears only in this response."""

    token = serializers.CharField(source="token.text")
    player = PlayerSerializer(source="profile")
    is_first_device = serializers.BooleanField()
    devices_authorized = serializers.IntegerField()
    plan = PlanSerializer(source="profile.active_plan", allow_null=True)


class MessageSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()


class SessionSerializer(serializers.Serializer[Any]):
    valid = serializers.BooleanField()
    player_id = serializers.IntegerField()
    device_id = serializers.UUIDField()


class DeviceCheckSerializer(serializers.Serializer[Any]):
    authorized = serializers.BooleanField()
    device_count = serializers.IntegerField()


class WalletSerializer(serializers.Serializer[Any]):
    total_xp = serializers.IntegerField()
    current_streak = serializers.IntegerField()
    streak_ends_at = serializers.DateTimeField(
        allow_null=True,
        help_text=gettext_lazy(
            "The streak becomes 0 at this time unless a lesson is completed before."
        ),
    )
    streak_time_zone = serializers.CharField(
        help_text=gettext_lazy("The time zone whose midnight ends a streak day.")
    )
    last_success_date = serializers.DateField(allow_null=True)
    last_played_at = serializers.DateTimeField(allow_null=True)


class PlanContentSerializer(serializers.Serializer[Any]):
    plan_id = serializers.CharField()
    title = serializers.CharField()
    manifest_url = serializers.CharField()
    manifest_path = serializers.CharField()
    base_url = serializers.CharField()
    local_base_url = serializers.CharField()


class VideoLinkSerializer(serializers.Serializer[Any]):
    signed_url = serializers.CharField()
    expires_at = serializers.CharField(help_text=gettext_lazy("ISO 8601."))


class LessonLinkSerializer(serializers.Serializer[Any]):
    lesson_id = serializers.CharField()
    url = serializers.CharField()
    expires_at = serializers.CharField(
        allow_null=True, help_text=gettext_lazy("ISO 8601; empty: no end date.")
    )
    videos = serializers.DictField(
        child=VideoLinkSerializer(),
        help_text=gettext_lazy(
            "Newly signed URLs of the lesson's videos, by stage id."
        ),
    )


class DeviceSerializer(serializers.ModelSerializer[Device]):
    class Meta:
        model = Device
        fields = ("id", "player_id", "slot", "device_id", "name", "added_at")


class CorrectedSerializer(serializers.Serializer[Any]):
    xp_awarded = serializers.IntegerField()
    new_total_xp = serializers.IntegerField()


class SyncedSerializer(serializers.Serializer[Any]):
    synced = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]
    duration = serializers.FloatField()


class ErrorSerializer(serializers.Serializer[Any]):
    """The body of every error response; the code determines the HTTP status."""

    error_code = serializers.CharField()
    message = serializers.CharField()
    details = serializers.DictField(required=False)
