"""The admin of groups: members, and changes of all members' access."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy, ngettext

from core.admin_mixins import NoRelatedButtons
from core.errors import MemoraError
from core.searching import FoldedSearch
from players import slip_views
from players.group_forms import OPERATIONS, GroupAccessForm, StudyGroupForm
from players.hooks import group_links
from players.models import StudyGroup
from players.services import bulk_access, groups

_MEMBERS = Count("memberships", filter=Q(memberships__player__erased_at=None))


class StudyGroupAdmin(
    FoldedSearch,
    NoRelatedButtons,
    admin.ModelAdmin,  # type: ignore[type-arg]
):
    form = StudyGroupForm
    list_display = ("name", "plan", "member_count")
    list_filter = ("plan",)
    list_select_related = ("plan",)
    list_per_page = 50
    search_fields = ("name_folded",)
    search_help_text = gettext_lazy("Search by name")
    actions = ("change_access", "print_slips")
    change_form_template = "admin/players/group_form.html"
    save_on_top = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        counted: QuerySet[Any] = rows.annotate(members_now=_MEMBERS)
        return counted

    def get_fields(self, request: HttpRequest, obj: StudyGroup | None = None) -> Any:
        if not self.has_change_permission(request, obj):
            return ("name", "plan", "teachers", "member_count")
        own: tuple[str, ...] = ("name", "plan", "teachers")
        if obj is not None:
            own = (*own, "member_count")
        return (*own, "added", "listed", *(("removed",) if obj is not None else ()))

    def get_readonly_fields(
        self, request: HttpRequest, obj: StudyGroup | None = None
    ) -> Any:
        return () if obj is None else ("member_count",)

    @admin.display(description=gettext_lazy("members"), ordering="members_now")
    def member_count(self, group: StudyGroup) -> SafeString:
        """Return the number of members, as a link to their list."""
        count: int = group.members_now  # type: ignore[attr-defined]
        shown = ngettext("%(count)d student", "%(count)d students", count)
        return format_html(
            '<a href="{}?memberships__group__id__exact={}">{}</a>',
            reverse("admin:players_playerprofile_changelist"),
            group.pk,
            shown % {"count": count},
        )

    def save_related(
        self, request: HttpRequest, form: Any, formsets: Any, change: bool
    ) -> None:
        super().save_related(request, form, formsets, change)
        given = form.cleaned_data
        group: StudyGroup = form.instance
        removed = {player.pk for player in given.get("removed") or ()}
        groups.remove_members(group, removed)
        added = {player.pk for player in given["added"]} | set(given["listed"])
        groups.add_members((group.pk, pk) for pk in added - removed)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        context["may_change_access"] = self.has_access_permission(request)
        context["may_print_slips"] = self.has_slips_permission(request)
        group = kwargs.get("obj")
        context["links"] = group_links(request, group) if group else []
        return super().render_change_form(request, context, *args, **kwargs)

    # --- Changes for all members ----------------------------------------------

    def has_access_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may do any of the operations."""
        user: Any = request.user
        return any(user.has_perms(needed) for _label, needed in OPERATIONS.values())

    @admin.action(
        description=gettext_lazy("Change all members' access …"), permissions=["access"]
    )
    def change_access(
        self, request: HttpRequest, queryset: QuerySet[StudyGroup]
    ) -> HttpResponse | None:
        """Show a form with the operations; once confirmed, do one in one step."""
        chosen = list(queryset.order_by("name"))
        is_confirmed = "confirmed" in request.POST
        form = GroupAccessForm(
            request.POST if is_confirmed else None,
            user=request.user,
            initial={"plan": chosen[0].plan_id if len(chosen) == 1 else None},
        )
        if is_confirmed and form.is_valid():
            try:
                messages.success(request, _run(form.cleaned_data, chosen))
            except MemoraError as refusal:
                messages.error(request, refusal.message)
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": _("Change the access of all members"),
            "groups": chosen,
            "count": len(groups.members_of(chosen)),
            "form": form,
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            "opts": StudyGroup._meta,
        }
        return TemplateResponse(request, "admin/players/group_access.html", context)

    # --- Sign-in slips --------------------------------------------------------

    def has_slips_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may set passwords of students."""
        user: Any = request.user
        return bool(user.has_perm(slip_views.PERMISSION))

    @admin.action(
        description=gettext_lazy("Print sign-in slips …"), permissions=["slips"]
    )
    def print_slips(
        self, request: HttpRequest, queryset: QuerySet[StudyGroup]
    ) -> HttpResponse | None:
        """Ask for confirmation; then set new passwords and return the PDF."""
        chosen = list(queryset)
        try:
            return slip_views.respond(
                request,
                groups.members_of(chosen),
                url=reverse("admin:players_studygroup_changelist"),
                hidden=[
                    ("action", "print_slips"),
                    *((helpers.ACTION_CHECKBOX_NAME, group.pk) for group in chosen),
                ],
            )
        except MemoraError as refusal:
            messages.error(request, refusal.message)
            return None


def _run(given: dict[str, Any], chosen: list[StudyGroup]) -> str:
    """Do an operation, and return what was done.

    Raises:
        StoreAwayError: Redis does not answer; nothing has changed.
    """
    item, until = given["item"], given["until"]
    match given["operation"]:
        case "enroll":
            count = groups.enroll(chosen, given["plan"])
            said = ngettext(
                "%(count)d student was enrolled.",
                "%(count)d students were enrolled.",
                count,
            )
        case "move":
            count = groups.move(chosen, given["plan"])
            said = ngettext(
                "%(count)d student was moved.", "%(count)d students were moved.", count
            )
        case "grant":
            members = groups.members_of(chosen)
            count = bulk_access.grant((pk, item, until) for pk in members)
            said = ngettext(
                "%(count)d student was given the product.",
                "%(count)d students were given the product.",
                count,
            )
        case "revoke":
            members = groups.members_of(chosen)
            count = bulk_access.revoke((pk, item) for pk in members)
            said = ngettext(
                "The product was taken from %(count)d student.",
                "The product was taken from %(count)d students.",
                count,
            )
        case _:
            count = bulk_access.end_sessions(groups.members_of(chosen))
            said = ngettext(
                "%(count)d session ended.", "%(count)d sessions ended.", count
            )
    return said % {"count": count}
