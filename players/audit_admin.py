"""The admin of the audit trail and of the admin's own log; both are read-only."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import (
    HttpRequest,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import get_language, gettext as _, gettext_lazy
from django.views.decorators.http import require_GET

from core.admin_mixins import ReadOnlyAdmin
from core.badges import Tone, badge
from players import addresses, audit, audit_export, audit_words
from players.audit_filters import (
    PeriodFilter,
    StaffFilter,
    StudentFilter,
    about_accounts,
)
from players.models import SecurityEvent, SecurityEventType as Type, User


class NamedEvents(ChangeList):
    """A list whose rows know the names of plans, groups and permissions.

    The keys of a page are read first: an index has them in order, while sorting whole
    rows of a long list would fill a table on the disk.
    """

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        page: Any = self.result_list
        keys = list(page.values_list("pk", flat=True))
        rows = SecurityEvent.objects.select_related("user", "actor").in_bulk(keys)
        self.result_list = [rows[key] for key in keys if key in rows]
        names = audit_words.names_of(self.result_list)
        for event in self.result_list:
            event.names = names


class SecurityEventAdmin(ReadOnlyAdmin):
    """The audit trail in words, with filters, and its export as CSV."""

    list_display = ("created_at", "what_happened", "why_and_what", "origin")
    list_display_links = ("created_at",)
    list_filter = (PeriodFilter, StudentFilter, StaffFilter, "type")
    show_full_result_count = False  # it reads all events again
    search_fields = ("user__email",)  # `get_search_results` decides where
    search_help_text = gettext_lazy("Search by name, e-mail, address or device id")
    fields = (
        "created_at",
        "event",
        "words",
        "why",
        "details_line",
        "user",
        "actor",
        "device_id",
        "ip_address",
    )

    def get_urls(self) -> list[URLPattern]:
        export = path(
            "export/",
            self.admin_site.admin_view(require_GET(self.export_view)),
            name="players_securityevent_export",
        )
        return [export, *super().get_urls()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NamedEvents

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find an address or a device id, else what is about accounts by name."""
        words = search_term.strip()
        if address := addresses.parse(words):
            return queryset.filter(ip_address=address), False
        try:
            return queryset.filter(device_id=UUID(words)), False
        except ValueError:
            pass
        if not words:
            return queryset, False
        return queryset.filter(about_accounts(words, User.objects.all())), False

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("players.export_securityevent")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        oldest = SecurityEvent.objects.order_by("created_at", "pk")
        context = {
            "title": capfirst(self.opts.verbose_name_plural),
            "retention_days": settings.SECURITY_EVENT_DAYS,
            "oldest": oldest.values_list("created_at", flat=True).first(),
            "may_export": self.has_export_permission(request),
            "export_query": request.GET.urlencode(),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Return the events that the list shows with these filters, as CSV.

        The export is recorded, with the names of the filters and not their values.

        Raises:
            PermissionDenied: the user may not view, or not export, security events.
        """
        if not (
            self.has_view_permission(request) and self.has_export_permission(request)
        ):
            raise PermissionDenied
        try:
            shown = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(
                reverse("admin:players_securityevent_changelist")
            )
        audit.record(
            Type.EVENTS_EXPORTED,
            events=shown.result_count,
            filters=sorted(name for name, value in request.GET.items() if value),
        )
        now = timezone.localtime().strftime("%Y-%m-%d")
        return StreamingHttpResponse(
            audit_export.lines(shown.get_queryset(request), language=get_language()),
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": (
                    f'attachment; filename="security-events-{now}.csv"'
                ),
                "Cache-Control": "private, no-store",
            },
        )

    # --- Columns of the list, and lines of the page of an event ---------------

    @admin.display(description=gettext_lazy("what"), ordering="type")
    def what_happened(self, entry: SecurityEvent) -> SafeString:
        return format_html(
            '{}<div class="sentence">{}</div>', self.event(entry), self.words(entry)
        )

    @admin.display(description=gettext_lazy("reason, details"))
    def why_and_what(self, entry: SecurityEvent) -> SafeString:
        lines = [self.why(entry), self.details_line(entry)]
        return format_html_join(
            SafeString("<br>"), "{}", ((line,) for line in lines if line)
        )

    @admin.display(description=gettext_lazy("what"), ordering="type")
    def event(self, entry: SecurityEvent) -> SafeString:
        shape, tone = audit_words.look(entry)
        return badge(shape, audit_words.label(entry), tone)

    @admin.display(description=gettext_lazy("in words"))
    def words(self, entry: SecurityEvent) -> str:
        return audit_words.sentence(entry)

    @admin.display(description=gettext_lazy("reason"))
    def why(self, entry: SecurityEvent) -> SafeString:
        why = audit_words.reason(entry)
        return format_html('<span dir="auto">{}</span>', why) if why else SafeString("")

    @admin.display(description=gettext_lazy("details"))
    def details_line(self, entry: SecurityEvent) -> SafeString:
        return format_html_join(
            SafeString("<br>"), "{}: <bdi>{}</bdi>", _facts_of(entry)
        )

    @admin.display(description=gettext_lazy("address, device"))
    def origin(self, entry: SecurityEvent) -> SafeString:
        parts = [entry.ip_address, entry.device_id]
        return format_html_join(
            SafeString("<br>"),
            '<bdi dir="ltr" class="origin">{}</bdi>',
            ((part,) for part in parts if part),
        )


def _facts_of(entry: Any) -> list[tuple[str, str]]:
    names = getattr(entry, "names", None) or audit_words.names_of([entry])
    return audit_words.facts(entry, names)


_ACTIONS: dict[int, tuple[str, Tone]] = {
    1: ("+", "done"),
    2: ("±", "action"),
    3: ("−", "failed"),
}


class ActionFilter(admin.ChoicesFieldListFilter):
    """What was done: added, changed or deleted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = _("what was done")


class LogEntryAdmin(ReadOnlyAdmin):
    """The admin's own log: what staff added, changed and deleted with its forms."""

    list_display = ("action_time", "action", "user", "content_type", "what", "changes")
    list_display_links = ("action_time",)
    list_filter = (
        ("action_time", admin.DateFieldListFilter),
        ("user", admin.RelatedOnlyFieldListFilter),
        ("action_flag", ActionFilter),
    )
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "=object_id")
    search_help_text = gettext_lazy("Search by the name or number of the object")
    fields = ("action_time", "action", "user", "content_type", "what", "changes")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        context = {"title": _("What staff changed in the admin")}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    @admin.display(description=gettext_lazy("what was done"), ordering="action_flag")
    def action(self, entry: LogEntry) -> SafeString:
        shape, tone = _ACTIONS[entry.action_flag]
        return badge(shape, entry.get_action_flag_display(), tone)

    @admin.display(description=gettext_lazy("object"))
    def what(self, entry: LogEntry) -> SafeString:
        link = entry.get_admin_url() if not entry.is_deletion() else None
        if link is None:
            return format_html("<bdi>{}</bdi>", entry.object_repr)
        return format_html('<a href="{}"><bdi>{}</bdi></a>', link, entry.object_repr)

    @admin.display(description=gettext_lazy("changes"))
    def changes(self, entry: LogEntry) -> str:
        return entry.get_change_message()
