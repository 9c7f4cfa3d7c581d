"""Admin of plans: their fields, their subjects in order, and their content."""

from typing import Any, ClassVar

from adminsortable2.admin import SortableAdminBase, SortableTabularInline
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy

from content.drafts.pages import DraftPages
from content.history.changes import Edit
from content.history.views import HistoryPages
from core.admin_mixins import NoRelatedButtons
from core.badges import badge
from core.searching import FoldedSearch
from plans.forms import PLAN_FIELDS, PlanForm, SubjectForm, SubjectFormSet
from plans.history import plan_edits
from plans.hooks import plan_deletion_warnings
from plans.models import (
    AcademicPlan,
    Grade,
    PlanSubject,
    ScheduledChange,
    Season,
    Stream,
)
from plans.schedule_views import ScheduledChangeAdmin
from plans.tree_views import ContentPages

admin.site.register(ScheduledChange, ScheduledChangeAdmin)


class SubjectInline(NoRelatedButtons, SortableTabularInline):
    model = PlanSubject
    form = SubjectForm
    formset = SubjectFormSet
    autocomplete_fields = ("subject",)
    extra = 0
    verbose_name = gettext_lazy("subject")
    verbose_name_plural = gettext_lazy("subjects")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("subject")


@admin.register(AcademicPlan)
class AcademicPlanAdmin(
    DraftPages,
    ContentPages,
    HistoryPages,
    NoRelatedButtons,
    FoldedSearch,
    SortableAdminBase,
    admin.ModelAdmin,  # type: ignore[type-arg]
):
    list_display: tuple[str, ...] = (
        "title",
        "public_id",
        "season",
        "grade",
        "stream",
        "state",
        "subject_count",
    )
    list_filter = ("is_published", "season", "grade", "stream")
    list_select_related: ClassVar[tuple[str, ...]] = ("season", "grade", "stream")
    search_fields = ("title_folded", "public_id")
    form = PlanForm
    fields = (
        ("title", "public_id"),
        ("season", "grade", "stream"),
        "is_published",
    )
    inlines: ClassVar[tuple[type[Any], ...]] = (SubjectInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        plans: QuerySet[Any] = super().get_queryset(request)
        subjects = Count("plan_subjects", distinct=True)
        counted: QuerySet[Any] = plans.annotate(subject_count=subjects)
        return counted

    def edits_of(self, obj: AcademicPlan) -> list[Edit]:
        return plan_edits(obj)

    @admin.display(description=gettext_lazy("state"), ordering="is_published")
    def state(self, plan: AcademicPlan) -> SafeString:
        if plan.is_published:
            return badge("●", _("Published"), "done")
        return badge("○", _("Draft"), "quiet")

    @admin.display(description=gettext_lazy("subjects"), ordering="subject_count")
    def subject_count(self, plan: Any) -> int:
        count: int = plan.subject_count
        return count

    def get_fields(self, request: HttpRequest, obj: AcademicPlan | None = None) -> Any:
        """Add ``seen`` (the version that the page showed) if the user may save."""
        may_save = obj is not None and self.has_change_permission(request, obj)
        return (*super().get_fields(request, obj), *(["seen"] if may_save else []))

    def get_readonly_fields(
        self, request: HttpRequest, obj: AcademicPlan | None = None
    ) -> Any:
        """Make the id read-only after creation, because published files contain it."""
        fixed = () if obj is None else ("public_id",)
        return (*super().get_readonly_fields(request, obj), *fixed)

    def render_change_form(  # type: ignore[override]
        self, request: HttpRequest, context: dict[str, Any], **kwargs: Any
    ) -> Any:
        """Add the plan's content below the form."""
        plan = kwargs.get("obj")
        if plan is not None:
            context |= self.content_context(request, plan)
        return super().render_change_form(request, context, **kwargs)

    def response_post_save_add(
        self, request: HttpRequest, obj: AcademicPlan
    ) -> HttpResponseRedirect:
        """Redirect to the new plan's own page, where its content is now shown."""
        page = reverse("admin:plans_academicplan_change", args=[obj.pk])
        return HttpResponseRedirect(page)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Describe a deletion in sentences, with a fixed number of queries.

        Django's default would list every related object.
        """
        plans = list(objs)
        request.deletion_consequences = plan_deletion_warnings(plans)  # type: ignore[attr-defined]
        may = self.has_delete_permission(request)
        refused = set() if may else {str(self.opts.verbose_name)}
        return [plan.title for plan in plans], {}, refused, []

    def save_model(
        self, request: HttpRequest, obj: AcademicPlan, form: Any, change: bool
    ) -> None:
        """Save only the fields changed in the form: others may be newer in the row."""
        if not change:
            obj.save()
        elif changed := [name for name in form.changed_data if name in PLAN_FIELDS]:
            obj.save(update_fields=[*changed, "updated_at"])

    def save_formset(
        self, request: HttpRequest, form: Any, formset: Any, change: bool
    ) -> None:
        """Delete removed rows first: a changed row may reuse a removed one's values."""
        rows = formset.save(commit=False)
        for removed in formset.deleted_objects:
            removed.delete()
        for row in rows:
            row.save()
        formset.save_m2m()


@admin.register(Season, Grade, Stream)
class LabelAdmin(FoldedSearch, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("title", "position")
    list_editable = ("position",)
    search_fields = ("title_folded",)
