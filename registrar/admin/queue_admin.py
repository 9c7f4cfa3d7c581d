"""Admin of both queues and of conflicts: read-only; rows can be done again."""

from abc import abstractmethod
from typing import Any, TypeVar

from django.contrib import admin, messages
from django.db.models import QuerySet, Value
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _, ngettext

from core.admin_mixins import AbstractAdmin, ReadOnlyAdmin
from core.badges import Tone, badge
from registrar import configuration
from registrar.admin import links, payload, staff_log
from registrar.mirror.decisions import decision_of
from registrar.models import (
    Conflict,
    Delivery,
    Effect,
    Hint,
    PeerState,
    UnlinkedAccount,
)
from registrar.models.conflicts import Reason
from registrar.models.work import Work, WorkState
from registrar.replaying import replay_rows

Row = TypeVar("Row", bound=Work)
_MOST_LOGGED = 20
"""Rows that an entry of the admin's log names."""
_LOOKS: dict[str, tuple[str, Tone]] = {
    WorkState.PENDING: ("⟳", "waiting"),
    WorkState.RUNNING: ("▸", "action"),
    WorkState.DONE: ("●", "done"),
    WorkState.DEAD: ("✕", "failed"),
}
_ADVICE = {
    Reason.TYPE: _("Give the field its former type in Zoho."),
    Reason.LENGTH: _("Shorten the text in Zoho."),
    Reason.CHOICE: _(
        "Choose a known value in Zoho. The school means a new one? A developer adds it "
        "to the mapping."
    ),
    Reason.DATE: _("Correct the date in Zoho, or give the field its former type."),
    Reason.NUMBER: _("Correct the number in Zoho."),
    Reason.DECIMALS: _("Round the amount in Zoho to three decimals."),
    Reason.LOOKUP: _("Choose the other record in Zoho again."),
}


def state_badge(state: str) -> SafeString:
    """Return the state of a queue's row as a badge."""
    shape, tone = _LOOKS[state]
    return badge(shape, WorkState(state).label, tone)


class WorkAdmin(ReadOnlyAdmin, metaclass=AbstractAdmin):
    """The list and the page of a queue; chosen or filtered rows can be done again."""

    search_fields = ("=record_id",)
    search_help_text = _("Search by Zoho id")
    ordering = ("-pk",)
    actions = ("replay_chosen",)

    @admin.display(description=_("state"), ordering="state")
    def state_shown(self, row: Work) -> SafeString:
        return state_badge(row.state)

    @admin.display(description=_("record"), ordering="record_id")
    def record(self, row: Work) -> SafeString:
        return links.record(row.module, row.record_id)

    @admin.display(description=_("outcome"))
    def outcome(self, row: Work) -> str:
        """The decision or the result; of a row that is not done, its last error."""
        return row.last_error or self.words_of(row)

    @abstractmethod
    def words_of(self, row: Any) -> str:
        """Return what was decided or done, in words; "" while the row is not done."""

    @admin.action(permissions=["replay"], description=_("Do again"))
    def replay_chosen(self, request: HttpRequest, rows: QuerySet[Row]) -> None:
        numbers = list(rows.order_by("pk").values_list("pk", flat=True)[:_MOST_LOGGED])
        count = replay_rows(rows)
        if count:
            shown = ", ".join(f"#{pk}" for pk in numbers)
            staff_log.note(
                request,
                self.model,
                _("Done again: %(count)d rows; the first ones: %(numbers)s.")
                % {"count": count, "numbers": shown},
                shown=shown,
            )
        text = ngettext(
            "%(count)d row will be done again within 15 seconds.",
            "%(count)d rows will be done again within 15 seconds.",
            count,
        )
        messages.success(request, text % {"count": count})

    def has_replay_permission(self, request: HttpRequest) -> bool:
        name = f"replay_{self.model._meta.model_name}"
        return request.user.has_perm(f"registrar.{name}")


@admin.register(Hint)
class HintAdmin(WorkAdmin):
    list_display = ("created_at", "record", "operation", "state_shown", "outcome")
    list_filter = ("state", "module", "operation", "created_at")
    list_select_related = False
    fields = (
        *("delivery", "record", "operation", "state_shown", "created_at"),
        *("due_at", "attempts", "decided", "last_error", "finished_at"),
    )
    readonly_fields = ("record", "state_shown", "decided")

    @admin.display(description=_("decision"))
    def decided(self, hint: Hint) -> str:
        return self.words_of(hint)

    def words_of(self, hint: Hint) -> str:
        document = hint.decision or {}
        if "outcome" in document:
            return decision_of(document).reason
        if "records" in document:
            return _("Records read: %(count)d.") % {"count": document["records"]}
        return ""


@admin.register(Effect)
class EffectAdmin(WorkAdmin):
    list_display = ("created_at", "record", "kind", "state_shown", "outcome")
    list_filter = ("state", "kind", "module", "created_at")
    fields = (
        *("kind", "peer", "record", "state_shown", "created_at", "due_at"),
        *("attempts", "result", "last_error", "finished_at"),
    )
    readonly_fields = ("record", "state_shown")

    def words_of(self, effect: Effect) -> str:
        return effect.result


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("received_at", "endpoint", "verifier", "times")
    list_filter = ("endpoint", "verifier", "received_at")
    fields = ("received_at", "endpoint", "verifier", "times", "content", "records")
    readonly_fields = ("content", "records")

    @admin.display(description=_("body"))
    def content(self, delivery: Delivery) -> SafeString:
        """The body as it came, without the token of a notification."""
        return payload.shown(bytes(delivery.body))

    @admin.display(description=_("records"))
    def records(self, delivery: Delivery) -> SafeString:
        named = delivery.hints.exclude(record_id="").order_by("pk")
        return format_html_join(
            ", ",
            "{}",
            (
                (links.timeline(module, record_id, record_id),)
                for module, record_id in named.values_list("module", "record_id")
            ),
        )


@admin.register(Conflict)
class ConflictAdmin(ReadOnlyAdmin):
    list_display = ("since", "record", "api_name", "value", "reason", "advice")
    list_filter = ("reason", "module", "api_name")
    search_fields = ("=record_id",)
    search_help_text = _("Search by Zoho id")
    readonly_fields = ("advice",)
    ordering = ("-since", "-pk")

    @admin.display(description=_("record"), ordering="record_id")
    def record(self, conflict: Conflict) -> SafeString:
        return links.record(conflict.module, conflict.record_id)

    @admin.display(description=_("what to do"))
    def advice(self, conflict: Conflict) -> Any:
        return _ADVICE.get(Reason(conflict.reason), "")


@admin.register(UnlinkedAccount)
class UnlinkedAccountAdmin(ReadOnlyAdmin):
    list_display = ("account", "found_at", "reason", "record")
    list_filter = ("reason", "found_at")
    search_fields = ("=moodle_id",)
    search_help_text = _("Search by Moodle id")
    fields = ("account", "found_at", "reason", "record")
    readonly_fields = ("account", "record")
    ordering = ("-found_at", "-pk")

    def get_queryset(self, request: HttpRequest) -> Any:
        site = configuration.connections().moodle
        url = site.url.rstrip("/") if site else ""
        return super().get_queryset(request).annotate(site=Value(url))

    @admin.display(description=_("Moodle id"), ordering="moodle_id")
    def account(self, row: Any) -> Any:
        """The id, with a link to the account's page in Moodle."""
        if not row.site:
            return row.moodle_id
        return format_html(
            '<a href="{}/user/profile.php?id={}">{}</a>',
            *(row.site, row.moodle_id, row.moodle_id),
        )

    @admin.display(description=_("record"), ordering="record_id")
    def record(self, row: UnlinkedAccount) -> Any:
        return links.record(row.module, row.record_id) if row.record_id else "–"


@admin.register(PeerState)
class PeerStateAdmin(ReadOnlyAdmin):
    list_display = ("peer", "failures", "open_until", "last_error", "failed_at")
