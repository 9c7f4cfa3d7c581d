"""The registrar's own pages: the dashboard, and the page of each record.

As on the publishing dashboard, the browser requests one fragment again. No page calls
Zoho or Moodle.
"""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from core import live_fragments
from registrar import btec_templates, by_hand, configuration, faults, timeline
from registrar.admin import links, staff_log, student_view
from registrar.admin.grade_admin import grade_badge
from registrar.admin.mirror_admin import tell_sent
from registrar.admin.queue_admin import state_badge
from registrar.admin.template_admin import tell_templates
from registrar.grades import overview
from registrar.mapping.modules import MAPPINGS
from registrar.models import (
    Effect,
    Hint,
    LinkedRow,
    PeerState,
    Student,
    Template,
    UnlinkedAccount,
)
from registrar.models.work import WorkState
from registrar.outbox.adding import PUSHED

REFRESH_SECONDS = 30
_MAX_FAILURES = 10


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the pages' URL patterns, below the admin's own URL."""
    record = "record/<str:module>/<str:record_id>/"
    return [
        path(f"registrar/{route}", site.admin_view(view), name=f"registrar_{name}")
        for route, view, name in (
            ("dashboard/", page, "dashboard"),
            ("dashboard/now/", fragment, "dashboard_now"),
            (record, record_page, "timeline"),
            ("student-view/<str:record_id>/", student_view.page, "student_view"),
            (f"{record}read/", read_again, "read_again"),
            (f"{record}send/", send_now, "send_now"),
            ("templates/sync/", sync_templates, "sync_templates"),
        )
    ]


def can_view(request: HttpRequest) -> bool:
    """Whether the user may see the registrar's queues."""
    return request.user.has_perm("registrar.view_hint")


# --- Dashboard ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModuleLine:
    """The figures of one table of the mirror."""

    name: str
    list_url: str
    rows: int
    deleted: int
    conflicts: int
    newest: Any
    is_paused: bool


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Render the dashboard.

    Raises:
        PermissionDenied: the user may not see the queues.
    """
    body = _render(request)
    context = {
        **admin.site.each_context(request),
        "title": _("Registrar dashboard"),
        "body": body,
        "etag": live_fragments.etag(body),
        "now_url": reverse("admin:registrar_dashboard_now"),
        "refresh_seconds": REFRESH_SECONDS,
        "may_find": request.user.has_perm("registrar.view_student"),
    }
    return TemplateResponse(request, "admin/registrar/dashboard.html", context)


@require_safe
def fragment(request: HttpRequest) -> HttpResponse:
    """Render the part of the dashboard that changes; 304 if it has not changed.

    Raises:
        PermissionDenied: the user may not see the queues.
    """
    return live_fragments.answer(request, _render(request))


def _render(request: HttpRequest) -> str:
    if not can_view(request):
        raise PermissionDenied
    found = faults.load(timezone.now())
    students = Student.objects.filter(deleted_at=None).aggregate(
        all=Count("pk"), without=Count("pk", filter=Q(moodle_id=None))
    )
    context = {
        "health": found,
        "peers": _peers(found),
        "students": students,
        "grades": overview.load(found.now),
        "unlinked": UnlinkedAccount.objects.count(),
        "is_listening": found.connections.webhooks.is_on,
        "failures": _failures(),
        "modules": [
            _module_line(module, is_paused=module in found.connections.paused)
            for module in MAPPINGS
        ],
    }
    return render_to_string("admin/registrar/dashboard_fragment.html", context)


def _peers(found: faults.Health) -> list[dict[str, Any]]:
    is_on = {"zoho": found.connections.zoho, "moodle": found.connections.moodle}
    return [
        {
            "name": name,
            "is_on": is_on[key] is not None,
            "state": found.peers.get(key) or PeerState(peer=key),
            "is_paused": bool(
                (state := found.peers.get(key))
                and state.open_until
                and state.open_until > found.now
            ),
        }
        for key, name in faults.PEER_NAMES.items()
    ]


def _failures() -> list[dict[str, Any]]:
    """Return the newest failed rows of both queues. Two queries."""
    lines = []
    for model, kind in ((Hint, "hint"), (Effect, "effect")):
        dead = model._default_manager.filter(state=WorkState.DEAD).order_by("-pk")
        lines += [
            {
                "what": row.get_kind_display()
                if isinstance(row, Effect)
                else _("reading from Zoho"),
                "module": row.module,
                "record_id": row.record_id,
                "error": row.last_error,
                "at": row.finished_at,
                "url": reverse(f"admin:registrar_{kind}_change", args=[row.pk]),
                "timeline_url": links.timeline_url(row.module, row.record_id)
                if row.record_id
                else "",
            }
            for row in dead[:_MAX_FAILURES]
        ]
    return lines


def _module_line(module: str, *, is_paused: bool) -> ModuleLine:
    model = MAPPINGS[module].model
    counts = model._default_manager.aggregate(
        rows=Count("pk", filter=Q(deleted_at=None)),
        deleted=Count("pk", filter=Q(deleted_at__isnull=False)),
        conflicts=Count("pk", filter=Q(has_conflict=True)),
        newest=Max("modified_time"),
    )
    return ModuleLine(
        name=str(model._meta.verbose_name_plural),
        list_url=reverse(f"admin:registrar_{model._meta.model_name}_changelist"),
        is_paused=is_paused,
        **counts,
    )


# --- The page of a record -------------------------------------------------------------


@require_safe
def record_page(request: HttpRequest, module: str, record_id: str) -> HttpResponse:
    """Render what has happened with a record. Six queries more than an empty page.

    Raises:
        PermissionDenied: the user may not see the rows of this module or the queues.
        Http404: there is no such module, or nothing is known of the record.
    """
    _check(request, module, "registrar.view_hint", "registrar.view_effect")
    found = timeline.load(module=module, record_id=record_id)
    if not found.is_known:
        raise Http404
    opts = MAPPINGS[module].model._meta
    is_sent = module in PUSHED
    may = request.user.has_perm
    context = {
        **admin.site.each_context(request),
        "title": str(found.row or record_id),
        "opts": opts,
        "found": found,
        "entries": [(entry, *_look(entry)) for entry in found.entries],
        "grades": [(one, grade_badge(one.state)) for one in found.grades],
        "most": timeline.MOST,
        # A request or a grade may not be in Zoho yet: what names it is no id of Zoho.
        "may_read": found.record_id.isdigit()
        and may("registrar.replay_hint")
        and configuration.connections().zoho is not None,
        "may_send": is_sent
        and may("registrar.replay_effect")
        and isinstance(found.row, LinkedRow),
        "own_view_url": student_view.address(record_id)
        if isinstance(found.row, Student)
        and request.user.has_perms(student_view.NEEDED)
        else "",
        "row_url": reverse(
            f"admin:registrar_{opts.model_name}_change", args=[found.row.pk]
        )
        if found.row
        else "",
    }
    return TemplateResponse(request, "admin/registrar/timeline.html", context)


def _look(entry: timeline.Entry) -> tuple[Any, str]:
    kind = "hint" if entry.is_incoming else "effect"
    url = reverse(f"admin:registrar_{kind}_change", args=[entry.pk])
    return (None if entry.outcome == "same" else state_badge(entry.outcome)), url


@require_POST
def read_again(request: HttpRequest, module: str, record_id: str) -> HttpResponse:
    """Let the record be read from Zoho now.

    Raises:
        PermissionDenied: the user may not process hints again.
        Http404: there is no such module, or nothing is known of the record.
    """
    _check(request, module, "registrar.replay_hint")
    if not timeline.load(module=module, record_id=record_id).is_known:
        raise Http404
    by_hand.read_again(module=module, record_id=record_id)
    staff_log.note(
        request,
        MAPPINGS[module].model,
        _("Read from Zoho by hand."),
        shown=f"{module} {record_id}",
    )
    messages.success(request, _("The record will be read from Zoho within 15 seconds."))
    return HttpResponseRedirect(links.timeline_url(module, record_id))


@require_POST
def send_now(request: HttpRequest, module: str, record_id: str) -> HttpResponse:
    """Let Moodle get the record now, and Zoho its Moodle id.

    Raises:
        PermissionDenied: the user may not send again.
        Http404: there is no such record that Moodle gets.
    """
    _check(request, module, "registrar.replay_effect")
    row = MAPPINGS[module].model._default_manager.filter(zoho_id=record_id).first()
    if not isinstance(row, LinkedRow):
        raise Http404
    count = by_hand.send_now(module, [row])
    if count:
        staff_log.note(
            request,
            type(row),
            _("Sent to Moodle and Zoho by hand: %(count)d records.") % {"count": count},
            row=row,
            shown=f"{module} {record_id}",
        )
    tell_sent(request, count)
    return HttpResponseRedirect(links.timeline_url(module, record_id))


@require_POST
def sync_templates(request: HttpRequest) -> HttpResponse:
    """Let all BTEC templates be synchronised.

    Raises:
        PermissionDenied: the user may not publish templates again.
    """
    if not request.user.has_perm("registrar.replay_template"):
        raise PermissionDenied
    tell_templates(request, btec_templates.sync(Template.objects.all()))
    return HttpResponseRedirect(reverse("admin:registrar_template_changelist"))


def _check(request: HttpRequest, module: str, *permissions: str) -> None:
    if not request.user.has_perms(permissions):
        raise PermissionDenied
    if module not in MAPPINGS:
        raise Http404
    model = MAPPINGS[module].model._meta.model_name
    if not request.user.has_perm(f"registrar.view_{model}"):
        raise PermissionDenied
