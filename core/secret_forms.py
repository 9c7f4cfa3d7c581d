"""Forms for secrets: they can be entered, kept or removed, and are never shown."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _, gettext_lazy

from core import secrets
from core.secrets import SecretsError


class SecretField(forms.CharField):
    """A secret that can be entered but not read; left empty, it is kept."""

    def __init__(self, *, label: Any, help_text: Any = "") -> None:
        super().__init__(
            label=label,
            help_text=help_text,
            required=False,
            widget=forms.PasswordInput(
                attrs={"autocomplete": "new-password", "dir": "ltr"},
                render_value=False,
            ),
        )

    def has_changed(self, _initial: Any, data: Any) -> bool:
        """Whether a value was entered; the field is always shown empty."""
        return bool(data)


class SecretsForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form of a model with encrypted columns; each is a `SecretField` of the form."""

    SECRETS: ClassVar[tuple[str, ...]] = ()
    """The names of the encrypted columns."""

    forget_secrets = forms.BooleanField(
        label=gettext_lazy("Delete the stored secrets that are not entered again"),
        required=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.SECRETS:
            self.initial.pop(name, None)  # not even encrypted
            if name in self.fields and getattr(self.instance, name):
                self.fields[name].widget.attrs["placeholder"] = _(
                    "stored; leave empty to keep it"
                )

    def clean(self) -> dict[str, Any]:
        """Validate, and replace each secret by its encrypted form for the model."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        forgets = cleaned.get("forget_secrets")
        for name in self.SECRETS:
            entered = cleaned.get(name) or ""
            try:
                stored = secrets.encrypt(entered)
            except SecretsError as error:
                self.add_error(name, ValidationError(error.message))
                stored = ""
            kept = "" if forgets else getattr(self.instance, name)
            cleaned[name] = stored or kept
        return cleaned
