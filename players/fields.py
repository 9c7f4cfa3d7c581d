"""Form and model fields for an account's e-mail address and a student's numbers."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator, validate_email
from django.db import models
from django.db.models.lookups import IContains, IExact
from django.utils.translation import gettext_lazy

from core.fields import ExactCharField
from players.credentials import (
    canonical_email,
    canonical_number,
    canonical_phone,
    is_plausible_email,
)


def validate_canonical_email(value: str) -> None:
    """Refuse an address that is invalid in its canonical form.

    Raises:
        ValidationError: with the message and code of Django's e-mail validator.
    """
    validate_email(value)
    if not is_plausible_email(value):
        raise ValidationError(
            validate_email.message, validate_email.code, params={"value": value}
        )


class CanonicalEmailFormField(forms.EmailField):
    """An e-mail form field that converts its input to the canonical form."""

    default_validators = [validate_canonical_email]

    def to_python(self, value: Any) -> str:
        return canonical_email(super().to_python(value) or "")


class CanonicalEmailField(ExactCharField, models.EmailField):  # type: ignore[type-arg]
    """An e-mail field that stores and looks up the canonical form.

    The column compares code points on every database, so only `canonical_email`
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


validate_phone = RegexValidator(
    r"^\+?[0-9]{3,15}\Z",
    gettext_lazy(
        "Enter a phone number: 3 to 15 digits, with or without a + before them."
    ),
)


class PhoneField(ExactCharField):
    """A phone number, stored in its canonical form (`players.credentials`); may be "".

    Migrations record it as ``ExactCharField``.
    """

    default_validators = [validate_phone]

    def to_python(self, value: Any) -> Any:
        return canonical_phone(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        return self.to_python(super().get_prep_value(value))

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "core.fields.ExactCharField", args, kwargs

    def formfield(self, *args: Any, **kwargs: Any) -> Any:
        return super().formfield(*args, **{"form_class": _PhoneFormField, **kwargs})


class SchoolNumberField(ExactCharField):
    """The number by which a school knows a student, in its canonical form, or NULL.

    Migrations record it as ``ExactCharField``.
    """

    def to_python(self, value: Any) -> Any:
        return canonical_number(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        return self.to_python(super().get_prep_value(value)) or None

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "core.fields.ExactCharField", args, kwargs


class _PhoneFormField(forms.CharField):
    """The widget's maximum length does not count the characters that are removed."""

    def to_python(self, value: Any) -> Any:
        return canonical_phone(super().to_python(value) or "")

    def widget_attrs(self, widget: Any) -> dict[str, Any]:
        attrs = super().widget_attrs(widget)
        attrs.pop("maxlength", None)
        return {**attrs, "dir": "ltr", "inputmode": "tel"}


# Search by a part of an address. On MariaDB an exact column also compares case.


@CanonicalEmailField.register_lookup
class CanonicalIContains(IContains):
    def get_prep_lookup(self) -> Any:
        return canonical_email(str(super().get_prep_lookup()))


@CanonicalEmailField.register_lookup
class CanonicalIExact(IExact):
    def get_prep_lookup(self) -> Any:
        return canonical_email(str(super().get_prep_lookup()))
