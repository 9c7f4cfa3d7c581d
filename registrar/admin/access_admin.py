"""Access by registration: the rules, what was given, and what would happen."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy

from content.forms import ProductCodeField
from core.admin_mixins import NoRelatedButtons, ReadOnlyAdmin
from plans.models import AcademicPlan
from registrar.admin import links
from registrar.models import GivenAccess, ProgramAccess
from registrar.player_access import applying, differences
from registrar.player_access.differences import Action, Change, Unit

_MOST_SHOWN = 200
"""Lines of each kind on the page; the command lists all of them."""


class ProgramAccessForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = ProgramAccess
        fields = (
            *("program", "plan", "item", "payment"),
            *("giving_statuses", "ending_statuses", "creates_accounts", "is_enabled"),
        )
        widgets: ClassVar[dict[str, Any]] = {"item": forms.TextInput}
        field_classes: ClassVar[dict[str, Any]] = {"item": ProductCodeField}


@admin.register(ProgramAccess)
class ProgramAccessAdmin(NoRelatedButtons, admin.ModelAdmin):  # type: ignore[type-arg]
    """What a registration for a program gives. Off until staff have seen the preview."""

    form = ProgramAccessForm
    change_form_template = "admin/registrar/access_form.html"
    list_display = (
        *("program", "plan", "item", "payment", "creates_accounts", "is_enabled"),
    )
    list_display_links = ("program", "plan")
    list_select_related = ("program", "plan")
    change_list_template = "admin/registrar/access_list.html"

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "preview/",
            self.admin_site.admin_view(self.preview),
            name="registrar_access_preview",
        )
        return [own, *super().get_urls()]

    def preview(self, request: HttpRequest) -> HttpResponse:
        """Show what all rules would do, also those that are off. Nothing is written.

        Raises:
            PermissionDenied: the user may not see the rules or the students.
        """
        needed = ("registrar.view_programaccess", "registrar.view_student")
        if not request.user.has_perms(needed):
            raise PermissionDenied
        units = differences.find(with_disabled=True)
        lines = [(unit, change) for unit in units for change in unit.changes]
        shown = [
            _part(action, [one for one in lines if one[1].action == action])
            for action in Action
        ]
        context = {
            **self.admin_site.each_context(request),
            "title": _("What registrations would change"),
            "opts": self.opts,
            "parts": [part for part in shown if part["count"]],
            "is_too_much": applying.is_too_much(units),
            "may_see_players": request.user.has_perm("players.view_playerprofile"),
        }
        return TemplateResponse(request, "admin/registrar/access_preview.html", context)


def _part(action: Action, lines: list[tuple[Unit, Change]]) -> dict[str, Any]:
    """Return a heading of the page with its first lines."""
    first = lines[:_MOST_SHOWN]
    names = differences.names_of(unit for unit, _change in first)
    return {
        "action": action,
        "label": action.label,
        "count": len(lines),
        "rest": len(lines) - len(first),
        "lines": [
            {
                "student": unit.student
                and links.timeline(
                    "BTEC_Students", unit.student.zoho_id, str(unit.student)
                ),
                "player_id": unit.player_id,
                "player": names.get(unit.player_id or 0, ""),
                "thing": change.shown_thing,
                "reason": change.reason.label,
                "is_off": not change.rule.is_enabled,
            }
            for unit, change in first
        ],
    }


@admin.register(GivenAccess)
class GivenAccessAdmin(ReadOnlyAdmin):
    """What the registrar gave; the page of a player shows all plans and products."""

    list_display = ("player_number", "thing", "rule", "given_at")
    list_filter = ("kind",)
    list_select_related = ("rule__program", "rule__plan")
    search_fields = ("=player__pk", "=item")
    search_help_text = gettext_lazy("Search by player number or product code")
    ordering = ("-pk",)
    fields = readonly_fields = ("player_number", "thing", "rule", "given_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[GivenAccess]:
        titles = AcademicPlan.objects.filter(pk=OuterRef("plan_id")).values("title")
        rows: QuerySet[GivenAccess] = super().get_queryset(request)
        return rows.annotate(plan_title=Subquery(titles[:1]))

    @admin.display(description=gettext_lazy("player in the app"), ordering="player")
    def player_number(self, row: GivenAccess) -> SafeString:
        return format_html('<bdi dir="ltr">#{}</bdi>', row.player_id)

    @admin.display(description=gettext_lazy("plan or product"))
    def thing(self, row: Any) -> str:
        return str(row.item or row.plan_title or "–")
