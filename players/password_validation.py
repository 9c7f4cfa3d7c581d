"""Django's password validators, on the form of a password that is hashed."""

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
    """Django's `validate`, given the canonical form."""

    def validate(self, password: str, user: Any = None) -> None:
        """Refuse a weak password.

        Raises:
            ValidationError: says what is wrong with it.
        """
        django_s: Any = super()
        django_s.validate(canonical_password(password), user)


class UserAttributeSimilarityValidator(
    _Canonical, password_validation.UserAttributeSimilarityValidator
):
    """Not like the account's address."""


class CommonPasswordValidator(_Canonical, password_validation.CommonPasswordValidator):
    """None that everybody uses."""


class NumericPasswordValidator(
    _Canonical, password_validation.NumericPasswordValidator
):
    """Not digits alone."""


class LengthValidator(password_validation.MinimumLengthValidator):
    """Neither too short nor too long, of characters that Unicode knows."""

    def validate(self, password: str, user: Any = None) -> None:
        """Refuse a password that cannot be hashed safely.

        Raises:
            ValidationError: says what is wrong with it.
        """
        if len(password) > PASSWORD_MAX_LENGTH:
            raise ValidationError(
                _("This password is too long: use at most %(limit)d characters."),
                code="password_too_long",
                params={"limit": PASSWORD_MAX_LENGTH},
            )
        if not has_only_assigned_characters(password):
            raise ValidationError(
                _("This password has a character that not every device can write."),
                code="password_unassigned",
            )
        # One ligature may become eighteen letters, and two letters one.
        super().validate(min(password, canonical_password(password), key=len), user)
