"""Forms of groups: who belongs to them, and what changes for all members."""

import re
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _, gettext_lazy

from content.forms import ProductCodeField
from plans.models import AcademicPlan
from players.models import GroupMember, PlayerProfile, StudyGroup, User
from players.services import selection
from players.services.ends import end_of_day

_SEPARATORS = re.compile(r"[\n,;\t]")
_MAX_LISTED = 5_000
_MAX_NAMED = 10


class StudyGroupForm(forms.ModelForm):  # type: ignore[type-arg]
    """A group; members are added and removed by search, or added from a list."""

    teachers = forms.ModelMultipleChoiceField(
        User.objects.filter(is_staff=True),
        label=gettext_lazy("teachers"),
        required=False,
        # Not the model's: it would explain keys that this widget does not need.
        help_text=gettext_lazy(
            "With the role “Teachers” they see this class and its students' progress."
        ),
    )
    added = forms.ModelMultipleChoiceField(
        PlayerProfile.objects.filter(erased_at=None),
        label=gettext_lazy("add members"),
        required=False,
        help_text=gettext_lazy("Search by name, e-mail, phone or school number"),
    )
    listed = forms.CharField(
        label=gettext_lazy("add a list"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "dir": "ltr"}),
        help_text=gettext_lazy(
            "School numbers or e-mail addresses, one on each line, such as a column "
            "copied from a spreadsheet."
        ),
    )
    removed = forms.ModelMultipleChoiceField(
        PlayerProfile.objects.filter(erased_at=None),
        label=gettext_lazy("remove members"),
        required=False,
        help_text=gettext_lazy("Their plans and products stay."),
    )

    class Meta:
        model = StudyGroup
        fields = ("name", "plan", "teachers")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        player = GroupMember._meta.get_field("player")
        for name in ("added", "removed"):
            if name in self.fields:
                field: Any = self.fields[name]
                field.widget = AutocompleteSelectMultiple(
                    player, admin.site, choices=field.choices
                )
        if "teachers" in self.fields:
            teachers: Any = self.fields["teachers"]
            teachers.widget = AutocompleteSelectMultiple(
                StudyGroup._meta.get_field("teachers"),
                admin.site,
                choices=teachers.choices,
            )

    def clean_listed(self) -> list[int]:
        """Return the players' primary keys.

        Raises:
            ValidationError: a line names no student; the first such lines are told.
        """
        lines = _SEPARATORS.split(self.cleaned_data["listed"])
        texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
        if len(texts) > _MAX_LISTED:
            raise ValidationError(
                _("A list can have at most %(limit)d students."),
                params={"limit": _MAX_LISTED},
            )
        found, unknown = selection.by_number_or_email(texts)
        if unknown:
            shown = ", ".join(unknown[:_MAX_NAMED])
            if len(unknown) > _MAX_NAMED:
                shown += ", …"
            raise ValidationError(
                _("There are no students with these numbers or addresses: %(list)s"),
                params={"list": shown},
            )
        return found


OPERATIONS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "enroll": (gettext_lazy("Enrol in a plan"), ("players.add_enrollment",)),
    "move": (
        gettext_lazy("Move to another plan"),
        (
            "players.add_enrollment",
            "players.delete_enrollment",
            "players.change_playerprofile",
        ),
    ),
    "grant": (
        gettext_lazy("Give a product"),
        ("players.add_entitlement", "players.change_entitlement"),
    ),
    "revoke": (gettext_lazy("Take a product away"), ("players.delete_entitlement",)),
    "end_sessions": (gettext_lazy("End the sessions"), ("players.delete_session",)),
}
"""What can be done for all members, with its permissions."""


class GroupAccessForm(forms.Form):
    """What to do for all members of groups."""

    operation = forms.ChoiceField(
        label=gettext_lazy("what to do"), widget=forms.RadioSelect
    )
    plan = forms.ModelChoiceField(
        AcademicPlan.objects.all(),
        label=gettext_lazy("plan"),
        required=False,
        help_text=gettext_lazy(
            "For “Enrol in a plan”, empty: the plan of each group. “Move to another "
            "plan” takes the members out of their group's plan."
        ),
    )
    item = ProductCodeField(label=gettext_lazy("product code"), required=False)
    until = forms.DateField(
        label=gettext_lazy("last day"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=gettext_lazy(
            "The product is valid until the end of this day. Empty: no end date. A "
            "product that a student has for longer is not shortened."
        ),
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["operation"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            (name, label)
            for name, (label, needed) in OPERATIONS.items()
            if user.has_perms(needed)
        ]

    def clean_until(self) -> datetime | None:
        """Return the end of the day in the current time zone."""
        day = self.cleaned_data["until"]
        return None if day is None else end_of_day(day)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        operation = cleaned.get("operation")
        if operation == "move" and cleaned.get("plan") is None:
            self.add_error("plan", _("Choose a plan."))
        if operation in ("grant", "revoke") and not (
            cleaned.get("item") or "item" in self.errors
        ):
            self.add_error("item", _("Enter a product code."))
        return cleaned
