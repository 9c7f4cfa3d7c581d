"""The plan page's forms: rules that need the whole page at once."""

from typing import Any

from adminsortable2.admin import CustomInlineFormSet
from django import forms
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.utils.translation import gettext as _

from plans.models import OverrideAspect, PlanOverride, aspect_of


class TargetSelect(AutocompleteSelect):
    """A chooser that offers only what lies in these subjects; of none: anything."""

    subject_pks: tuple[int, ...] = ()

    def get_url(self) -> str:
        url: str = super().get_url()
        if not self.subject_pks:
            return url
        return f"{url}?subjects={','.join(map(str, self.subject_pks))}"


class OverrideForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = PlanOverride
        fields = ("target", "action", "value")


class SubjectFormSet(CustomInlineFormSet):
    """A plan's subjects; says at the row when one stands twice."""

    def clean(self) -> None:
        super().clean()
        seen: set[int] = set()
        for form in _kept(self):
            subject_pk = form.instance.subject_id
            if subject_pk in seen:
                form.add_error("subject", _("This subject is already in the plan."))
            seen.add(subject_pk)

    def chosen(self) -> set[int]:
        """The subjects the plan has once this page is saved."""
        return {form.instance.subject_id for form in _kept(self)}

    def validate_unique(self) -> None:
        """Said by `clean`, at the row and in words."""


class OverrideFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """A plan's overrides, checked against the subjects saved with them."""

    subjects: SubjectFormSet | None = None
    """The same page's subjects; the admin sets it."""

    def clean(self) -> None:
        super().clean()
        inside = self._subject_pks()
        seen: set[tuple[int, str]] = set()
        for form in _kept(self):
            if form.instance.target_id is None or not form.instance.action:
                continue
            target, action = form.instance.target, form.instance.action
            if target.subject_pk not in inside:
                form.add_error(
                    "target",
                    ValidationError(
                        _(
                            "“%(title)s” is not in any of this plan's subjects. Add "
                            "its subject, or remove this override."
                        ),
                        code="outside_plan",
                        params={"title": target.title},
                    ),
                )
            aspect = aspect_of(action)
            if (target.pk, aspect) in seen:
                form.add_error(
                    "action",
                    ValidationError(
                        _(
                            "“%(title)s” already has an override of its %(aspect)s "
                            "in this plan. Keep one."
                        ),
                        code="duplicate",
                        params={
                            "title": target.title,
                            "aspect": OverrideAspect(aspect).label,
                        },
                    ),
                )
            seen.add((target.pk, aspect))

    def _subject_pks(self) -> set[int]:
        if self.subjects is not None:
            return self.subjects.chosen()
        if self.instance.pk is None:
            return set()
        return set(self.instance.plan_subjects.values_list("subject_id", flat=True))


def _kept(formset: Any) -> list[Any]:
    """The rows that are filled in and not being removed.

    Their instances hold what was read; ``cleaned_data`` holds it only of rows the
    user may change.
    """
    return [
        form
        for form in formset.forms
        if getattr(form, "cleaned_data", None) and not formset._should_delete_form(form)
    ]
