"""The forms of the students' pages: one for each kind of request."""

import uuid as uuids
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from core.fields import PictureFormField
from core.pictures import FORMATS
from registrar.models import Enrolment, RequestKind, Student
from registrar.student_pages.submitting import MAX_DROPS, Wanted

_ACCEPTED = ",".join(kind.content_type for kind in FORMATS.values())


class SignInForm(forms.Form):
    """E-mail and password of a player."""

    email = forms.CharField(
        label=_("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class RequestForm(forms.Form):
    """What all requests have: an id, by which a repeated form is recognised."""

    kind: RequestKind
    uuid = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["uuid"].initial = uuids.uuid4

    def wanted(self) -> Wanted:
        """Return the request of a valid form."""
        return Wanted(
            kind=self.kind, uuid=self.cleaned_data["uuid"], description=self.described()
        )

    def described(self) -> str:
        """Return the description for the CRM."""
        return _one_line(self.cleaned_data.get("note", ""))


class EnrolForm(RequestForm):
    """Enrolment for the next semester."""

    kind = RequestKind.ENROL
    confirmed = forms.BooleanField(
        label=_("I want to enrol for the next semester."),
    )


class DropForm(RequestForm):
    """One or two of the classes that the student may drop."""

    kind = RequestKind.DROP
    classes = forms.MultipleChoiceField(
        label=_("Classes"),
        help_text=_("One or two of the classes that you joined in the last month."),
        widget=forms.CheckboxSelectMultiple,
    )
    note = forms.CharField(
        label=_("Reason"),
        max_length=1000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, places: list[Enrolment], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["classes"].choices = [  # type: ignore[attr-defined]
            (one.school_class_id, str(one.school_class))
            for one in places
            if one.school_class
        ]

    def clean_classes(self) -> list[str]:
        chosen: list[str] = self.cleaned_data["classes"]
        if len(chosen) > MAX_DROPS:
            raise forms.ValidationError(_("Choose two classes at most."))
        return chosen

    def wanted(self) -> Wanted:
        return Wanted(
            kind=self.kind,
            uuid=self.cleaned_data["uuid"],
            description=self.described(),
            class_ids=self.cleaned_data["classes"],
        )


class LateForm(RequestForm):
    """A unit of the student's classes, and the receipt of the fee."""

    kind = RequestKind.LATE
    unit = forms.ChoiceField(label=_("Unit"))
    receipt = PictureFormField(
        label=_("Picture of the receipt"),
        widget=forms.FileInput(attrs={"accept": _ACCEPTED}),
    )
    note = forms.CharField(
        label=_("Note"),
        max_length=1000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, places: list[Enrolment], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        units = {
            one.school_class.unit_id or one.school_class.zoho_id: (
                one.school_class.unit_name or str(one.school_class)
            )
            for one in places
            if one.school_class
        }
        self.fields["unit"].choices = list(units.items())  # type: ignore[attr-defined]
        self._units = units

    def described(self) -> str:
        unit = self.cleaned_data["unit"]
        lines = [f"Unit: {self._units[unit]} ({unit})", super().described()]
        return "\n".join(line for line in lines if line)

    def wanted(self) -> Wanted:
        return Wanted(
            kind=self.kind,
            uuid=self.cleaned_data["uuid"],
            description=self.described(),
            receipt=self.cleaned_data["receipt"],
        )


class ChangeForm(RequestForm):
    """New values of what the school knows of the student."""

    kind = RequestKind.CHANGE
    phone_number = forms.CharField(
        label=_("Phone number"), max_length=60, required=False
    )
    address = forms.CharField(label=_("Address"), max_length=255, required=False)
    city = forms.CharField(label=_("City"), max_length=100, required=False)
    emergency_contact_name = forms.CharField(
        label=_("Emergency contact"), max_length=100, required=False
    )
    emergency_phone_number = forms.CharField(
        label=_("Emergency phone number"), max_length=60, required=False
    )
    note = forms.CharField(
        label=_("Other changes"),
        help_text=_("For example a correction of your name."),
        max_length=1000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    _API_NAMES = {
        "phone_number": "Phone_Number",
        "address": "Address",
        "city": "City",
        "emergency_contact_name": "Emergency_Contact_Name",
        "emergency_phone_number": "Emergency_Phone_Number",
    }

    def __init__(self, *args: Any, student: Student, **kwargs: Any) -> None:
        held = {name: _one_line(getattr(student, name)) for name in self._API_NAMES}
        super().__init__(*args, initial=held, **kwargs)
        self._held = held

    def clean(self) -> None:
        if not self.errors and not self.described():
            raise forms.ValidationError(_("Change something first."))

    def described(self) -> str:
        given = {name: _one_line(self.cleaned_data[name]) for name in self._API_NAMES}
        lines = [
            f"{api_name}: {given[name]}"
            for name, api_name in self._API_NAMES.items()
            if given[name] != self._held[name]
        ]
        return "\n".join([*lines, *filter(None, [super().described()])])


class CardForm(RequestForm):
    """A student card."""

    kind = RequestKind.CARD


def _one_line(text: str) -> str:
    """Return the text without line breaks: a line of a description is one value."""
    return " ".join(text.split())
