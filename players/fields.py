"""The field of an account's e-mail address."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models
from django.db.models.lookups import IContains, IExact

from core.fields import ExactCharField
from players.credentials import canonical_email, is_plausible_email


def validate_canonical_email(value: str) -> None:
    """Refuse what is no address in its canonical form.

    Raises:
        ValidationError: with Django's message and code of an invalid address.
    """
    validate_email(value)
    if not is_plausible_email(value):
        raise ValidationError(
            validate_email.message, validate_email.code, params={"value": value}
        )


class CanonicalEmailFormField(forms.EmailField):
    """An address as typed, read in its canonical form."""

    default_validators = [validate_canonical_email]

    def to_python(self, value: Any) -> str:
        return canonical_email(super().to_python(value) or "")


class CanonicalEmailField(ExactCharField, models.EmailField):  # type: ignore[type-arg]
    """An address in its canonical form: in every write, and in every look-up.

    The column compares code points on every database, so `canonical_email` alone
    decides which spellings are one address.
    """

    default_validators = [validate_canonical_email]

    def to_python(self, value: Any) -> Any:
        return canonical_email(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        return self.to_python(super().get_prep_value(value))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.to_python(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value

    def formfield(self, *args: Any, **kwargs: Any) -> Any:
        return super().formfield(
            *args, **{"form_class": CanonicalEmailFormField, **kwargs}
        )


# Searches by a part of an address. An exact column compares case, too, on MariaDB.


@CanonicalEmailField.register_lookup
class CanonicalIContains(IContains):
    def get_prep_lookup(self) -> Any:
        return canonical_email(str(super().get_prep_lookup()))


@CanonicalEmailField.register_lookup
class CanonicalIExact(IExact):
    def get_prep_lookup(self) -> Any:
        return canonical_email(str(super().get_prep_lookup()))
