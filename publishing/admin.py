"""Admin of publishing: settings, releases, the sync log, and "Publish now" on plans."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _, gettext_lazy

from core.admin_mixins import ReadOnly, ReadOnlyAdmin, readable_json
from core.badges import badge
from core.parsing import as_key, is_key
from plans.admin import AcademicPlanAdmin
from plans.models import AcademicPlan
from publishing import staleness, sync_log
from publishing.admin_views import generation_views
from publishing.admin_views.labels import (
    HELD_MESSAGE,
    TRIGGERS,
    error_location,
    failure_of,
    status_badge,
    triggered_by,
    uploaded_by,
)
from publishing.admin_views.plan_views import ReleasePages
from publishing.admin_views.settings_admin import PublishingSettingsAdmin
from publishing.admin_views.task_dispatch import (
    enqueue,
    enqueue_retry,
    notify_publishing,
    notify_retrying,
)
from publishing.building import rollback
from publishing.models import (
    Alert,
    HealthReport,
    Publication,
    PublishingSettings,
    SyncLog,
)
from publishing.tasks import publish_plan
from publishing.templatetags.publishing import seconds

admin.site.register(PublishingSettings, PublishingSettingsAdmin)


class TriggerFilter(admin.SimpleListFilter):
    """Runs by what started them, in words."""

    title = gettext_lazy("started by")
    parameter_name = "trigger"

    def lookups(
        self, _request: HttpRequest, _model_admin: Any
    ) -> list[tuple[str, Any]]:
        return list(TRIGGERS.items())

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(trigger=self.value()) if self.value() else queryset


@admin.register(SyncLog)
class SyncLogAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "plan_name",
        "state",
        "triggered_by_text",
        "duration",
        "files",
        "failure",
    )
    list_display_links = ("created_at", "plan_name")
    list_filter = ("status", TriggerFilter, "plan", "created_at")
    list_select_related = ("plan", "started_by")
    search_fields = ("plan_public_id", "error", "error_document")
    actions = ("retry",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "plan_name",
                    "plan_public_id",
                    "state",
                    "triggered_by_text",
                    "generation",
                    "attempts",
                    "next_attempt_at",
                )
            },
        ),
        (
            gettext_lazy("Error"),
            {"fields": ("error_text", "error_place")},
        ),
        (
            gettext_lazy("Result"),
            {
                "fields": (
                    "created_at",
                    "started_at",
                    "built_at",
                    "finished_at",
                    "duration",
                    "files_written",
                    "files_unchanged",
                    "files_removed",
                    "uploaded",
                )
            },
        ),
    )

    @admin.action(description=gettext_lazy("Retry"), permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Retry queued runs, dead letters and failed uploads now."""
        entries = [entry for entry in queryset if sync_log.can_retry(entry)]
        for entry in entries:
            if not enqueue_retry(request, entry):
                return
        notify_retrying(request, len(entries))

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("publishing.change_synclog")

    @admin.display(description=gettext_lazy("plan"), ordering="plan_public_id")
    def plan_name(self, entry: SyncLog) -> str:
        return entry.plan.title if entry.plan else entry.plan_public_id

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def state(self, entry: SyncLog) -> SafeString:
        return status_badge(entry)

    @admin.display(description=gettext_lazy("started by"), ordering="trigger")
    def triggered_by_text(self, entry: SyncLog) -> str:
        return triggered_by(entry)

    @admin.display(description=gettext_lazy("files"))
    def files(self, entry: SyncLog) -> SafeString:
        parts = [
            (entry.files_written, gettext_lazy("%(count)d written")),
            (entry.files_unchanged, gettext_lazy("%(count)d unchanged")),
            (entry.files_removed, gettext_lazy("%(count)d removed")),
        ]
        if entry.files_uploaded:
            parts.append((entry.files_uploaded, gettext_lazy("%(count)d uploaded")))
        lines = [str(words) % {"count": count} for count, words in parts]
        return format_html_join(mark_safe("<br>"), "{}", ((line,) for line in lines))

    @admin.display(description=gettext_lazy("build time"))
    def duration(self, entry: SyncLog) -> str:
        return seconds(entry.duration_seconds)

    @admin.display(description=gettext_lazy("uploaded to the CDN"))
    def uploaded(self, entry: SyncLog) -> str:
        return uploaded_by(entry) or "–"

    @admin.display(description=gettext_lazy("error"), empty_value="")
    def failure(self, entry: SyncLog) -> SafeString | str:
        return failure_of(entry)

    @admin.display(description=gettext_lazy("error"))
    def error_text(self, entry: SyncLog) -> SafeString | str:
        if not entry.error:
            return "–"
        return format_html('<pre class="readable" dir="auto">{}</pre>', entry.error)

    @admin.display(description=gettext_lazy("location of the error"))
    def error_place(self, entry: SyncLog) -> SafeString | str:
        return error_location(entry) or "–"


@admin.register(Publication)
class PublicationAdmin(ReadOnlyAdmin):
    list_display = ("plan_public_id", "plan", "generation", "published_at")
    list_select_related = ("plan",)
    ordering = ("-published_at",)
    search_fields = ("plan_public_id", "plan__title")
    fields = (
        "plan",
        "plan_public_id",
        "generation",
        "published_at",
        "rolled_back_at",
        "kept_generations",
        "built_from_text",
    )

    @admin.display(description=gettext_lazy("generations"))
    def kept_generations(self, publication: Publication) -> SafeString | str:
        plan_pk = publication.plan_id
        return "–" if plan_pk is None else generation_views.link_to(plan_pk)

    @admin.display(description=gettext_lazy("built from these revisions"))
    def built_from_text(self, publication: Publication) -> SafeString:
        return readable_json(publication.built_from)


@admin.register(HealthReport)
class HealthReportAdmin(ReadOnlyAdmin):
    list_display = (
        "started_at",
        "state",
        "is_full",
        "files_checked",
        "faults",
        "repaired",
    )
    list_filter = ("is_full", "started_at")
    fields = (
        "started_at",
        "finished_at",
        "state",
        "is_full",
        "files_checked",
        "faults",
        "repaired",
        "findings_text",
        "facts_text",
    )

    @admin.display(description=gettext_lazy("state"), ordering="faults")
    def state(self, report: HealthReport) -> SafeString:
        if report.is_sound:
            return badge("●", _("Sound"), "done")
        return badge("!", _("Faults remaining"), "failed")

    @admin.display(description=gettext_lazy("findings"))
    def findings_text(self, report: HealthReport) -> SafeString:
        return readable_json(report.findings)

    @admin.display(description=gettext_lazy("measurements"))
    def facts_text(self, report: HealthReport) -> SafeString:
        return readable_json(report.facts)


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ("raised_at", "state", "kind", "key", "message", "resolved_at")
    list_filter = ("kind", "raised_at")
    search_fields = ("key", "message")
    fields = (
        "raised_at",
        "state",
        "kind",
        "key",
        "message",
        "seen_at",
        "resolved_at",
        "sent_at",
    )

    @admin.display(description=gettext_lazy("state"), ordering="resolved_at")
    def state(self, alert: Alert) -> SafeString:
        if alert.is_open:
            return badge("!", _("Open"), "failed")
        return badge("●", _("Resolved"), "done")


class RunInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """The last five runs of a plan."""

    model = SyncLog
    fields = (
        "created_at",
        "state",
        "triggered_by_text",
        "generation",
        "duration",
        "failure",
    )
    readonly_fields = fields
    extra = 0
    verbose_name_plural = gettext_lazy("last runs")
    show_change_link = True
    classes = ("collapse",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        runs: QuerySet[Any] = super().get_queryset(request)
        plan_pk = request.resolver_match and request.resolver_match.kwargs.get(
            "object_id"
        )
        if plan_pk is None or not is_key(str(plan_pk)):
            return runs.none()
        last = runs.filter(plan_id=plan_pk).order_by("-created_at", "-pk")[:5]
        return runs.filter(pk__in=[run.pk for run in last]).select_related("started_by")

    @admin.display(description=gettext_lazy("status"))
    def state(self, entry: SyncLog) -> SafeString:
        return status_badge(entry)

    @admin.display(description=gettext_lazy("started by"))
    def triggered_by_text(self, entry: SyncLog) -> str:
        return triggered_by(entry)

    @admin.display(description=gettext_lazy("duration"))
    def duration(self, entry: SyncLog) -> str:
        return seconds(entry.duration_seconds)

    @admin.display(description=gettext_lazy("error"))
    def failure(self, entry: SyncLog) -> SafeString | str:
        return failure_of(entry)


class ReleaseChangeList(ChangeList):
    """The list of plans; marks those whose release is out of date."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        plans = list(self.result_list)
        waiting = staleness.pending([plan.pk for plan in plans])
        for plan in plans:
            plan.is_pending = plan.pk in waiting
        self.result_list = plans


admin.site.unregister(AcademicPlan)


@admin.register(AcademicPlan)
class PublishedPlanAdmin(ReleasePages, AcademicPlanAdmin):
    """Plans with their releases; the plans app must not import publishing."""

    list_display = (*AcademicPlanAdmin.list_display, "release")
    list_select_related = (*AcademicPlanAdmin.list_select_related, "publication")
    inlines = (*AcademicPlanAdmin.inlines, RunInline)
    actions = ("publish_now",)

    def render_change_form(  # type: ignore[override]
        self, request: HttpRequest, context: dict[str, Any], **kwargs: Any
    ) -> Any:
        """Add the release's state to the top of the page."""
        if plan := kwargs.get("obj"):
            context["plan_head"] = self.plan_head(request, plan, "plan")
        return super().render_change_form(request, context, **kwargs)

    def history_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        plan = AcademicPlan.objects.filter(pk=as_key(object_id)).first()
        head = plan and self.plan_head(request, plan, "history")
        extra = {"plan_head": head, **(extra_context or {})}
        return super().history_view(request, object_id, extra)

    def get_inlines(self, request: HttpRequest, obj: AcademicPlan | None) -> Any:
        return AcademicPlanAdmin.inlines if obj is None else self.inlines

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ReleaseChangeList

    def get_urls(self) -> list[Any]:
        """Add the page of the plan's kept generations."""
        own = path(
            "<int:plan_pk>/generations/",
            self.admin_site.admin_view(self.generations),
            name="publishing_generations",
        )
        return [own, *super().get_urls()]

    def generations(self, request: HttpRequest, plan_pk: int) -> HttpResponse:
        """Show the plan's kept generations.

        Raises:
            PermissionDenied: the user may not view the plan or its releases.
        """
        plan = get_object_or_404(AcademicPlan, pk=plan_pk)
        if not (
            self.has_view_permission(request, plan)
            and request.user.has_perm("publishing.view_publication")
        ):
            raise PermissionDenied
        context = self.admin_site.each_context(request)
        context["plan_head"] = self.plan_head(request, plan, "generations")
        may_change = self.has_publish_permission(request)
        return generation_views.page(request, plan, context, may_change=may_change)

    @admin.display(description=gettext_lazy("release"))
    def release(self, plan: Any) -> SafeString:
        return self._release_badge(plan, is_pending=plan.is_pending)

    def _release_badge(self, plan: AcademicPlan, *, is_pending: bool) -> SafeString:
        publication: Publication | None = getattr(plan, "publication", None)
        is_out = publication is not None and publication.generation is not None
        if not plan.is_published:
            if is_out:
                return badge("⟳", _("Waiting to be withdrawn"), "waiting")
            return badge("○", _("Not offered"), "quiet")
        if is_pending:
            return badge("⟳", _("Waiting to publish"), "waiting")
        if publication is not None and publication.rolled_back_at is not None:
            return badge("↶", _("Held after a rollback"), "action")
        return badge("●", _("Up to date"), "done")

    @admin.action(description=gettext_lazy("Publish now"), permissions=["publish"])
    def publish_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Enqueue a build of each chosen plan; name and skip drafts and held plans."""
        started = 0
        for plan in queryset:
            if not plan.is_published:
                messages.warning(
                    request,
                    _("“%(title)s” is a draft: tick “published” on its page first.")
                    % {"title": plan.title},
                )
                continue
            if rollback.is_held(plan.pk):
                messages.warning(request, HELD_MESSAGE % {"title": plan.title})
                continue
            if not enqueue(request, publish_plan, plan.pk, "admin", request.user.pk):
                return
            started += 1
        if started:
            notify_publishing(request, started)

    def has_publish_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("plans.change_academicplan")
