"""Serializers of requests and responses about a student's own account."""

from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _, gettext_lazy
from rest_framework import serializers

from core.fields import validate_visible
from core.parsing import is_time_zone
from players.credentials import PASSWORD_MAX_LENGTH
from players.serializers import Body, PlanSerializer, PlayerSerializer, TextField

# --- Requests -------------------------------------------------------------------


def _validate_locale(code: str) -> None:
    codes = [known for known, _name in settings.LANGUAGES]
    if code not in codes:
        raise serializers.ValidationError(
            _("Use one of these languages: %(codes)s.") % {"codes": ", ".join(codes)}
        )


def _validate_time_zone(name: str) -> None:
    if not is_time_zone(name):
        raise serializers.ValidationError(
            _("Use a name of the IANA database, such as Asia/Riyadh.")
        )


class ProfileBody(Body):
    """The fields to change; "" selects the language or zone of the installation."""

    name = TextField(max_length=150, required=False, validators=[validate_visible])
    locale = TextField(
        max_length=10, required=False, allow_blank=True, validators=[_validate_locale]
    )
    time_zone = TextField(
        max_length=64,
        required=False,
        allow_blank=True,
        validators=[_validate_time_zone],
    )


class PasswordBody(Body):
    """Both are limited in length, because hashing a long text is expensive."""

    current_password = TextField(max_length=PASSWORD_MAX_LENGTH, trim_whitespace=False)
    new_password = TextField(max_length=PASSWORD_MAX_LENGTH, trim_whitespace=False)


class PhotoBody(serializers.Serializer[Any]):
    """A form with the picture; the picture alone is accepted, too."""

    photo = serializers.FileField()


# --- Responses --------------------------------------------------------------------


class MeSerializer(PlayerSerializer):
    grade = serializers.CharField(source="grade.title", default=None)
    stream = serializers.CharField(source="stream.title", default=None)
    season = serializers.CharField(source="season.title", default=None)
    photo_url = serializers.CharField(
        allow_null=True, help_text=gettext_lazy("Valid for some minutes.")
    )
    locale = serializers.CharField(
        help_text=gettext_lazy("Empty: the language of the installation.")
    )
    time_zone = serializers.CharField(
        help_text=gettext_lazy("An IANA name. Empty: the zone of the installation.")
    )
    plan = PlanSerializer(allow_null=True)
