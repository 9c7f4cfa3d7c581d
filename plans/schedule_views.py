"""Admin of scheduled changes: their list, and the page that schedules one.

The page is opened for a node (``?node=``), for a plan (``?plan=``), or for a plan's
override on a node (both).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from content.forms import ProductCodeField
from content.history import changes
from content.hooks import node_links
from content.kinds import Kind
from content.models import Node
from core.admin_mixins import ReadOnlyAdmin
from core.badges import Tone, badge
from core.parsing import as_key
from plans import labels, scheduling
from plans.models import (
    AcademicPlan,
    OverrideAction,
    OverrideAspect,
    ScheduledAction,
    ScheduledChange,
    ScheduleState,
)

_TIME_FORMAT = "%Y-%m-%dT%H:%M"
_STATES: dict[str, tuple[str, Tone]] = {
    ScheduleState.WAITING: ("◷", "action"),
    ScheduleState.DONE: ("●", "done"),
    ScheduleState.UNCHANGED: ("○", "quiet"),
    ScheduleState.REFUSED: ("!", "failed"),
    ScheduleState.CANCELLED: ("✕", "quiet"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a change is scheduled for: a node, a plan, or a plan's override on a node."""

    node: Node | None
    plan: AcademicPlan | None

    @property
    def page(self) -> str:
        """The address of the page that shows the target."""
        if self.plan is None and self.node is not None:
            tree = reverse("admin:content_node_changelist")
            return f"{tree}?at={self.node.pk}"
        assert self.plan is not None
        page = reverse("admin:plans_academicplan_change", args=[self.plan.pk])
        return f"{page}?at={self.node.pk}#node-{self.node.pk}" if self.node else page

    def may_schedule(self, user: Any) -> bool:
        return scheduling.may_schedule(
            user, has_node=self.node is not None, has_plan=self.plan is not None
        )


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A waiting change as a list shows it."""

    pk: int
    text: str
    title: str
    time: str
    who: str
    is_overdue: bool
    may_cancel: bool


def entry_rows(user: Any, entries: Iterable[ScheduledChange]) -> list[EntryRow]:
    """Return the rows of waiting changes for the template ``scheduled_list.html``."""
    now = timezone.now()
    return [
        EntryRow(
            pk=entry.pk,
            text=scheduling.change_text(entry),
            title=entry.target_title,
            time=scheduling.time_text(entry.due_at),
            who=_name_of(entry.created_by),
            is_overdue=entry.due_at <= now,
            may_cancel=_may_cancel(user, entry),
        )
        for entry in entries
    ]


def _may_cancel(user: Any, entry: ScheduledChange) -> bool:
    return scheduling.may_schedule(
        user, has_node=entry.node_id is not None, has_plan=entry.plan_id is not None
    )


def _name_of(user: Any) -> str:
    return "–" if user is None else changes.name_of(user)


@node_links.add
def schedule_link(request: HttpRequest, node: Node) -> tuple[str, ...]:
    """Return the link to schedule a change of the node."""
    if not request.user.has_perm("content.change_node"):
        return ()
    add = reverse("admin:plans_scheduledchange_add")
    return f"{add}?node={node.pk}", _("Schedule…")


class ScheduleForm(forms.Form):
    """What changes, and when (in the site's zone)."""

    change = forms.ChoiceField(label=gettext_lazy("Change"), widget=forms.RadioSelect)
    product = ProductCodeField(
        label=gettext_lazy("Product code, to sell separately"), required=False
    )
    level = forms.ChoiceField(
        label=gettext_lazy("Level, to set the level"),
        required=False,
        choices=[(level.value, word) for level, word in labels.LEVELS.items()],
    )
    order = forms.ChoiceField(
        label=gettext_lazy("Order, to set the order"),
        required=False,
        choices=[
            ("true", gettext_lazy("In order, one after another")),
            ("false", gettext_lazy("In any order")),
        ],
    )
    title = forms.CharField(
        label=gettext_lazy("New title, to rename"),
        required=False,
        max_length=255,
        widget=forms.TextInput(attrs={"dir": "auto"}),
    )
    due_at = forms.DateTimeField(
        label=gettext_lazy("Date and time"),
        input_formats=[_TIME_FORMAT],
        widget=forms.DateTimeInput(
            format=_TIME_FORMAT, attrs={"type": "datetime-local", "step": "60"}
        ),
    )

    _VALUES: ClassVar[dict[str, str]] = {
        OverrideAction.SET_SOLD_SEPARATELY: "product",
        OverrideAction.SET_ACCESS_LEVEL: "level",
        OverrideAction.SET_LINEAR: "order",
        OverrideAction.RENAME: "title",
    }
    """The field with the value of an override."""

    def __init__(self, target: Target, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = timezone.localtime()
        self.fields["due_at"].widget.attrs["min"] = now.strftime(_TIME_FORMAT)
        self.fields["due_at"].help_text = _("In the zone %(zone)s; now: %(now)s") % {
            "zone": f"\u2066{timezone.get_current_timezone_name()}\u2069",
            "now": scheduling.time_text(now),
        }
        choices: Any = self.fields["change"]
        choices.choices = list(_changes(target))
        if target.node is None or target.plan is None:
            for name in self._VALUES.values():
                del self.fields[name]

    def schedule(self, target: Target, by: Any) -> ScheduledChange:
        """Schedule the change.

        Raises:
            ValidationError: as `scheduling.schedule`.
        """
        kind, _colon, what = self.cleaned_data["change"].partition(":")
        chosen = {}
        if kind == ScheduledAction.SET_OVERRIDE:
            name = self._VALUES.get(what)
            value = self.cleaned_data[name].strip() if name else ""
            chosen = {"override": what, "value": value}
        elif kind == ScheduledAction.REMOVE_OVERRIDE:
            chosen = {"aspect": what}
        return scheduling.schedule(
            action=kind,
            due_at=self.cleaned_data["due_at"],
            now=timezone.now(),
            by=by,
            node=target.node,
            plan=target.plan,
            **chosen,
        )


def _changes(target: Target) -> Iterable[tuple[str, str]]:
    """Yield the changes that fit the target, as value and label."""
    if target.node is not None and target.plan is not None:
        for action, word in _SET.items():
            is_lesson = target.node.kind == Kind.LESSON.value
            if action != OverrideAction.SET_LINEAR or not is_lesson:
                yield f"{ScheduledAction.SET_OVERRIDE.value}:{action.value}", word
        for aspect, word in _REMOVE.items():
            yield f"{ScheduledAction.REMOVE_OVERRIDE.value}:{aspect.value}", word
        return
    yield ScheduledAction.PUBLISH.value, _("Publish")
    if target.node is not None and target.node.kind != Kind.LESSON.value:
        inside = _("Publish with everything inside")
        yield ScheduledAction.PUBLISH_INSIDE.value, inside
    yield ScheduledAction.UNPUBLISH.value, _("Change to draft")


_SET: dict[OverrideAction, Any] = {
    OverrideAction.HIDE: gettext_lazy("Hide"),
    OverrideAction.SET_FREE: gettext_lazy("Set free"),
    OverrideAction.SET_SOLD_SEPARATELY: gettext_lazy("Sell separately"),
    OverrideAction.SET_ACCESS_LEVEL: gettext_lazy("Set the level"),
    OverrideAction.SET_LINEAR: gettext_lazy("Set the order"),
    OverrideAction.RENAME: gettext_lazy("Rename"),
}
_REMOVE: dict[OverrideAspect, Any] = {
    OverrideAspect.ACCESS: gettext_lazy("Remove what hides it or sets its access"),
    OverrideAspect.LINEAR: gettext_lazy("Remove the set order"),
    OverrideAspect.TITLE: gettext_lazy("Remove the other title"),
}


class ScheduledChangeAdmin(ReadOnlyAdmin):
    """Scheduled changes, also those that were made."""

    list_display = ("time", "target", "change", "state_badge", "who")
    list_display_links = None
    list_filter = ("state", "due_at")
    list_select_related = ("created_by", "plan")
    ordering = ("-due_at", "-pk")
    search_fields = ("target_title",)
    actions = ("cancel",)

    def get_urls(self) -> list[URLPattern]:
        cancel = path(
            "<int:entry_pk>/cancel/",
            self.admin_site.admin_view(require_POST(self.cancel_view)),
            name="plans_scheduledchange_cancel",
        )
        return [cancel, *super().get_urls()]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Whether the user may cancel some change; each entry is checked again."""
        return any(
            scheduling.may_schedule(request.user, has_node=False, has_plan=has_plan)
            for has_plan in (False, True)
        )

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show what waits for the target, and schedule another change.

        Raises:
            PermissionDenied: the user may not make such a change by hand.
        """
        if not self.has_cancel_permission(request):
            raise PermissionDenied
        target = _target(request)
        if target is None:
            messages.info(
                request,
                _("Choose “Schedule…” in the content tree or on the page of a plan."),
            )
            changelist = reverse("admin:plans_scheduledchange_changelist")
            return HttpResponseRedirect(changelist)
        if not target.may_schedule(request.user):
            raise PermissionDenied
        form = ScheduleForm(target, request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                entry = form.schedule(target, request.user)
            except ValidationError as refusal:
                form.add_error(None, refusal.messages)
            else:
                text = _("Scheduled for %(time)s: %(change)s.") % {
                    "time": scheduling.time_text(entry.due_at),
                    "change": scheduling.change_text(entry),
                }
                messages.success(request, text)
                return HttpResponseRedirect(request.get_full_path())
        waiting = scheduling.waiting_for_target(node=target.node, plan=target.plan)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Schedule a change"),
            "opts": self.opts,
            "node": target.node,
            "plan": target.plan,
            "back": target.page,
            "form": form,
            "scheduled": entry_rows(request.user, waiting),
        }
        return TemplateResponse(request, "admin/plans/schedule.html", context)

    def cancel_view(self, request: HttpRequest, entry_pk: int) -> HttpResponse:
        """POST: cancel one change, and return to the page that it came from.

        Raises:
            PermissionDenied: the user may not make such a change by hand.
        """
        self._cancel(request, [get_object_or_404(ScheduledChange, pk=entry_pk)])
        page = request.POST.get("next", "")
        if not url_has_allowed_host_and_scheme(page, allowed_hosts=None):
            page = reverse("admin:plans_scheduledchange_changelist")
        return HttpResponseRedirect(page)

    @admin.action(description=gettext_lazy("Cancel"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Cancel the chosen changes that wait."""
        self._cancel(request, list(queryset))

    def _cancel(self, request: HttpRequest, entries: list[ScheduledChange]) -> None:
        if not all(_may_cancel(request.user, entry) for entry in entries):
            raise PermissionDenied
        now = timezone.now()
        count = sum(scheduling.cancel(entry.pk, now=now) for entry in entries)
        if not count:
            messages.info(request, _("It is not scheduled any more."))
            return
        message = ngettext(
            "%(count)d scheduled change was cancelled.",
            "%(count)d scheduled changes were cancelled.",
            count,
        )
        messages.success(request, message % {"count": count})

    @admin.display(description=gettext_lazy("time"), ordering="due_at")
    def time(self, entry: ScheduledChange) -> str:
        return scheduling.time_text(entry.due_at)

    @admin.display(description=gettext_lazy("content or plan"), ordering="target_title")
    def target(self, entry: ScheduledChange) -> SafeString:
        if entry.node_id is None or entry.plan is None:
            return format_html("<bdi>{}</bdi>", entry.target_title)
        plan = entry.plan.title
        return format_html("<bdi>{}</bdi> · <bdi>{}</bdi>", entry.target_title, plan)

    @admin.display(description=gettext_lazy("change"))
    def change(self, entry: ScheduledChange) -> str:
        return scheduling.change_text(entry)

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def state_badge(self, entry: ScheduledChange) -> SafeString:
        shape, tone = _STATES[entry.state]
        word = badge(shape, entry.get_state_display(), tone)
        return format_html("{} {}", word, entry.get_reason_display())

    @admin.display(description=gettext_lazy("scheduled by"))
    def who(self, entry: ScheduledChange) -> str:
        return _name_of(entry.created_by)


def _target(request: HttpRequest) -> Target | None:
    """Return the target of the request's query; None without one.

    Raises:
        Http404: it does not exist.
    """
    node_key, plan_key = request.GET.get("node", ""), request.GET.get("plan", "")
    if not node_key and not plan_key:
        return None
    return Target(
        get_object_or_404(Node, pk=as_key(node_key)) if node_key else None,
        get_object_or_404(AcademicPlan, pk=as_key(plan_key)) if plan_key else None,
    )
