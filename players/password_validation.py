"""Django's password validators, applied to the canonical form that is hashed."""

from typing import Any

from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from players.credentials import (
    PASSWORD_MAX_LENGTH,
    canonical_password,
    has_only_assigned_characters,
)


class _Canonical:
    """Pass the canonical form of the password to Django's ``validate``."""

    def validate(self, password: str, user: Any = None) -> None:
        """Refuse a weak password.

        Raises:
            ValidationError: with the reason.
        """
        django_s: Any = super()
        django_s.validate(canonical_password(password), user)


class UserAttributeSimilarityValidator(
    _Canonical, password_validation.UserAttributeSimilarityValidator
):
    """Refuse a password that is similar to the account's attributes."""


class CommonPasswordValidator(_Canonical, password_validation.CommonPasswordValidator):
    """Refuse a common password."""


class NumericPasswordValidator(
    _Canonical, password_validation.NumericPasswordValidator
):
    """Refuse a password of digits only."""


class LengthValidator(password_validation.MinimumLengthValidator):
    """Refuse passwords that are too short, too long or have unassigned characters."""

    def validate(self, password: str, user: Any = None) -> None:
        """Refuse a password that cannot be hashed safely.

        Raises:
            ValidationError: with the reason.
        """
        if len(password) > PASSWORD_MAX_LENGTH:
            raise ValidationError(
                _("This password is too long: use at most %(limit)d characters."),
                code="password_too_long",
                params={"limit": PASSWORD_MAX_LENGTH},
            )
        if not has_only_assigned_characters(password):
            raise ValidationError(
                _(
                    "This password contains a character that cannot be typed on every "
                    "device."
                ),
                code="password_unassigned",
            )
        # NFKC can turn one ligature into 18 letters, and two letters into one.
        super().validate(min(password, canonical_password(password), key=len), user)
