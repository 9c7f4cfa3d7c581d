"""The admin's forms for accounts and players."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib.admin.forms import (
    AdminAuthenticationForm,
    AdminPasswordChangeForm,
)
from django.contrib.auth.forms import (
    BaseUserCreationForm,
    UserChangeForm as DjangoUserChangeForm,
)
from django.contrib.auth.password_validation import (
    password_validators_help_text_html,
    validate_password,
)
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.utils.html import format_html
from django.utils.translation import gettext as _, gettext_lazy

from content.forms import ProductCodeField
from core.admin_mixins import ReadOnlyChoice
from core.fields import validate_visible
from core.parsing import EARLIEST, LATEST
from plans.models import AcademicPlan, Grade
from players.errors import InvalidDeviceIdError
from players.fields import CanonicalEmailFormField
from players.models import (
    Device,
    Enrollment,
    Entitlement,
    PlayerProfile,
    User,
)
from players.services import devices, rates, refusals

MOST_XP = 1000
"""XP that one correction gives or takes at most; the same as in the staff API."""


class UserCreationForm(BaseUserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("email", "full_name")
        field_classes: dict[str, Any] = {}


class UserChangeForm(DjangoUserChangeForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = "__all__"
        field_classes: dict[str, Any] = {}


class StaffSignInForm(AdminAuthenticationForm):
    """The admin's sign-in; the refusal of a non-staff account is audited."""

    def confirm_login_allowed(self, user: Any) -> None:
        """Refuse an account that may not use the admin.

        Raises:
            ValidationError: with the same message as for a wrong password.
        """
        try:
            super().confirm_login_allowed(user)
        except ValidationError:
            refusals.note(
                code="NOT_STAFF", endpoint="login", staff_id=user.pk, player_id=None
            )
            raise


class OwnPasswordForm(AdminPasswordChangeForm):
    """Change the user's own password; attempts to guess the old one are limited."""

    def clean_old_password(self) -> str:
        """Return the old password if it is right.

        Raises:
            ValidationError: it is wrong, or there were too many wrong attempts.
        """
        attempt = rates.take(password_change=f"staff-{self.user.pk}")
        if attempt.usage is not None and not attempt.usage.is_allowed:
            raise ValidationError(
                rates.refusal(attempt.usage).message, code="rate_limited"
            )
        old: str = super().clean_old_password()
        attempt.give_back()
        return old


class NewPlayerForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new player, for `players.services.accounts.create_player`."""

    email = CanonicalEmailFormField(
        label=gettext_lazy("e-mail"), widget=forms.EmailInput(attrs={"dir": "ltr"})
    )
    full_name = forms.CharField(
        label=gettext_lazy("name"), max_length=150, required=False
    )
    password = forms.CharField(
        label=gettext_lazy("password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validators_help_text_html(),
    )
    grade = forms.ModelChoiceField(
        Grade.objects.all(), label=gettext_lazy("grade"), required=False
    )
    plan = forms.ModelChoiceField(
        AcademicPlan.objects.all(),
        label=gettext_lazy("plan"),
        required=False,
        help_text=gettext_lazy(
            "The player is enrolled in this plan, and the app shows it."
        ),
    )

    class Meta:
        model = PlayerProfile
        fields = ("school_number", "phone", "grade")

    def clean_email(self) -> str:
        """Return the canonical address if no account has it."""
        email: str = self.cleaned_data["email"]
        if User.objects.filter(email=email).exists():
            raise ValidationError(_("This e-mail address is already in use."))
        return email

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "password" in cleaned and "email" in cleaned:
            user = User(email=cleaned["email"], full_name=cleaned.get("full_name", ""))
            try:
                validate_password(cleaned["password"], user)
            except ValidationError as error:
                self.add_error("password", error)
        return cleaned


class RemovedDeviceForm(forms.Form):
    """A device of the player, by its id."""

    device_id = forms.UUIDField(label=gettext_lazy("device id"))


class AllowedDeviceForm(forms.Form):
    """A device to authorise, by the id that the app shows to its owner."""

    device_id = forms.CharField(label=gettext_lazy("device id"))
    name = forms.CharField(
        label=gettext_lazy("name"),
        required=False,
        max_length=Device._meta.get_field("name").max_length,
    )
    replaces = forms.UUIDField(label=gettext_lazy("device to replace"), required=False)

    def clean_device_id(self) -> UUID:
        """Return the id as a UUID of version 4."""
        try:
            return devices.parse_device_id(self.cleaned_data["device_id"])
        except InvalidDeviceIdError as refusal:
            raise ValidationError(refusal.message) from refusal


class ReasonForm(forms.Form):
    """Why staff do something; the audit trail shows it."""

    reason = forms.CharField(
        label=gettext_lazy("reason"), max_length=200, validators=[validate_visible]
    )


class XPForm(ReasonForm):
    """XP to give, or (negative) to take away."""

    xp = forms.IntegerField(
        label=gettext_lazy("XP"), min_value=-MOST_XP, max_value=MOST_XP
    )


class FreezesForm(ReasonForm):
    """Streak freezes to give."""

    number = forms.IntegerField(label=gettext_lazy("streak freezes"), min_value=1)


class EntitlementForm(forms.ModelForm):  # type: ignore[type-arg]
    """An entitlement; its end must be a time that exists in every time zone."""

    class Meta:
        model = Entitlement
        fields = ("item", "valid_until")
        widgets: ClassVar[dict[str, Any]] = {"item": forms.TextInput}
        field_classes: ClassVar[dict[str, Any]] = {"item": ProductCodeField}

    def clean_valid_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["valid_until"]
        if until is not None and not EARLIEST <= until <= LATEST:
            said = self.fields["valid_until"].error_messages["invalid"]
            raise ValidationError(said, code="invalid")
        return until


class EnrollmentForm(forms.ModelForm):  # type: ignore[type-arg]
    """A player's plan; the plan of a saved enrolment cannot be changed."""

    class Meta:
        model = Enrollment
        fields = ("plan",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None and "plan" in self.fields:
            plan = format_html("<bdi>{}</bdi>", self.instance.plan.title)
            self.fields["plan"].widget = ReadOnlyChoice(plan)


class EnrollmentFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """A player's plans; the active one must be among them."""

    def clean(self) -> None:
        super().clean()
        active = self.instance.active_plan
        enrolled = {form.instance.plan_id for form in _kept(self)}
        if active is not None and active.pk not in enrolled:
            raise ValidationError(
                _(
                    "“%(plan)s” is the active plan: enrol the player in it, or choose "
                    "another active plan."
                ),
                code="not_enrolled",
                params={"plan": active.title},
            )


def _kept(formset: Any) -> list[Any]:
    """Return the forms that are filled in and not marked for deletion."""
    return [
        form
        for form in formset.forms
        if getattr(form, "cleaned_data", None) and not formset._should_delete_form(form)
    ]
