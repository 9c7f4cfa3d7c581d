"""The list of BTEC templates, and what staff do with it (E5)."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _, ngettext

from core.admin_mixins import ReadOnlyAdmin
from core.badges import Tone, badge
from registrar import btec_templates, faults
from registrar.admin import links
from registrar.btec_templates import State
from registrar.mapping.locked_names import CRITERIA
from registrar.models import Template

_LOOKS: dict[str, tuple[str, Tone]] = {
    State.PUBLISHED: ("●", "done"),
    State.WAITING: ("⟳", "waiting"),
    State.FAILED: ("✕", "failed"),
    State.NOT_PUBLISHED: ("○", "quiet"),
    State.DELETED: ("○", "quiet"),
}


def tell_templates(request: HttpRequest, count: int) -> None:
    """Tell how many templates will be synchronised."""
    text = ngettext(
        "%(count)d template will be synchronised within 15 seconds.",
        "%(count)d templates will be synchronised within 15 seconds.",
        count,
    )
    messages.success(request, text % {"count": count})


class StateFilter(admin.SimpleListFilter):
    """Templates of one state."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, *_args: Any) -> list[tuple[str, Any]]:
        return [(value, label) for value, label in State.choices]

    def queryset(self, _request: Any, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(state=self.value()) if self.value() in State.values else rows


@admin.register(Template)
class TemplateAdmin(ReadOnlyAdmin):
    change_list_template = "admin/registrar/template_list.html"
    list_display = (
        *("name", "code", "criteria_shown", "state_shown", "template_synced_at"),
        *("outcome", "timeline"),
    )
    list_filter = (StateFilter, "has_conflict")
    search_fields = ("=zoho_id", "name", "=code")
    search_help_text = _("Search by Zoho id, name or code")
    ordering = ("code", "pk")
    actions = ("sync_chosen", "publish_again")
    fields = (
        *("name", "code", "state_shown", "template_synced_at", "outcome", "timeline"),
        "texts",
    )
    readonly_fields = ("state_shown", "outcome", "timeline", "texts")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Template]:
        return btec_templates.with_state(super().get_queryset(request))

    @admin.display(description=_("criteria"))
    def criteria_shown(self, row: Template) -> int:
        return len(row.criteria)

    @admin.display(description=_("criteria"))
    def texts(self, row: Template) -> SafeString:
        found = [(one, row.criteria[one]) for one in CRITERIA if one in row.criteria]
        return format_html_join("", '<p dir="auto"><bdi>{}</bdi> {}</p>', found)

    @admin.display(description=_("state"))
    def state_shown(self, row: Any) -> SafeString:
        shape, tone = _LOOKS[row.state]
        return badge(shape, State(row.state).label, tone)

    @admin.display(description=_("what happened last"))
    def outcome(self, row: Any) -> str:
        """The last error; without one, the result."""
        return row.last_error or row.result or ""

    @admin.display(description=_("timeline"))
    def timeline(self, row: Template) -> SafeString:
        return links.timeline(btec_templates.MODULE, row.zoho_id)

    @admin.action(permissions=["replay"], description=_("Synchronise"))
    def sync_chosen(self, request: HttpRequest, rows: QuerySet[Template]) -> None:
        tell_templates(request, btec_templates.sync(rows))

    @admin.action(
        permissions=["replay"],
        description=_("Publish again, also if nothing has changed"),
    )
    def publish_again(self, request: HttpRequest, rows: QuerySet[Template]) -> None:
        tell_templates(request, btec_templates.sync(rows, again=True))

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("registrar.replay_template")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        shown = {
            "may_sync": self.has_replay_permission(request),
            "faults": faults.of_templates(),
        }
        return super().changelist_view(request, {**(extra_context or {}), **shown})
