"""Forms of the plan page, with the rules that need the whole page."""

import hashlib
from collections import Counter
from typing import Any

from adminsortable2.admin import CustomInlineFormSet
from django import forms
from django.core.exceptions import ValidationError
from django.db.models.functions import Coalesce
from django.forms.models import model_to_dict
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _, ngettext

from content.forms import OptimisticLockForm
from content.models import Node
from core.admin_mixins import ReadOnlyChoice
from plans import services
from plans.models import AcademicPlan, PlanOverride, PlanSubject

PLAN_FIELDS = ("title", "public_id", "season", "grade", "stream", "is_published")


class PlanForm(OptimisticLockForm):
    """The plan's own fields."""

    class Meta:
        model = AcademicPlan
        fields = PLAN_FIELDS

    @staticmethod
    def version(row: AcademicPlan) -> str:
        """Hash what this page writes: the plan's fields, and its subjects in order.

        Overrides are left out: the same page saves them at once, one by one.
        """
        subjects = row.plan_subjects.values_list("subject_id", flat=True)
        shown = repr((model_to_dict(row, PLAN_FIELDS), list(subjects)))
        return hashlib.sha256(shown.encode()).hexdigest()

    def lock(self) -> AcademicPlan | None:
        return services.lock(self.instance)


class SubjectForm(forms.ModelForm):  # type: ignore[type-arg]
    """A row with a subject. A saved row cannot change to another subject."""

    class Meta:
        model = PlanSubject
        fields = ("subject",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None and "subject" in self.fields:
            subject = self.instance.subject
            url = reverse("admin:content_node_change", args=[subject.pk])
            link = format_html('<a href="{}"><bdi>{}</bdi></a>', url, subject.title)
            self.fields["subject"].widget = ReadOnlyChoice(link)


class SubjectFormSet(CustomInlineFormSet):
    """A plan's subjects; reports duplicates and refused removals at their row."""

    def add_fields(self, form: Any, index: int | None) -> None:
        """Name the subject in the label of its delete checkbox, for screen readers."""
        super().add_fields(form, index)
        if form.instance.pk is not None and "DELETE" in form.fields:
            label = _("Remove “%(title)s” from this plan")
            label %= {"title": form.instance.subject.title}
            form.fields["DELETE"].widget.attrs["aria-label"] = label

    def clean(self) -> None:
        super().clean()
        seen: set[int] = set()
        removed_pks: list[int] = []
        for form in self.forms:
            if not getattr(form, "cleaned_data", None):
                continue
            row: PlanSubject = form.instance
            before = form.initial.get("subject")
            if self._should_delete_form(form):
                removed_pks.append(before)
            elif row.subject_id in seen:
                form.add_error("subject", _("This subject is already in the plan."))
            else:
                seen.add(row.subject_id)
                if before != row.subject_id:
                    removed_pks.append(before)
        if missing_pks := [pk for pk in removed_pks if pk and pk not in seen]:
            self._require_no_overrides(missing_pks)

    def _require_no_overrides(self, removed_pks: list[int]) -> None:
        """Refuse to remove subjects while the plan has overrides in them.

        Otherwise overrides would remain without their subject, or be deleted unnoticed.

        Raises:
            ValidationError: one message per subject.
        """
        rows = PlanOverride.objects.filter(plan=self.instance).annotate(
            subject_pk=Coalesce("target__subject_id", "target_id")
        )
        override_counts = Counter(
            rows.filter(subject_pk__in=removed_pks).values_list("subject_pk", flat=True)
        )
        titles = Node.objects.filter(pk__in=override_counts).values_list("pk", "title")
        refusals = []
        for pk, title in titles if override_counts else ():
            message = ngettext(
                "“%(title)s” was not removed: this plan has %(count)d override in it. "
                "Remove the override below first, then the subject.",
                "“%(title)s” was not removed: this plan has %(count)d overrides in "
                "it. Remove the overrides below first, then the subject.",
                override_counts[pk],
            )
            params = {"title": title, "count": override_counts[pk]}
            refusals.append(ValidationError(message, code="overridden", params=params))
        if refusals:
            raise ValidationError(refusals)

    def validate_unique(self) -> None:
        """Do nothing: `clean` reports duplicates, at the row and in plain words."""
