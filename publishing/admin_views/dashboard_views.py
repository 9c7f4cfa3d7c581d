"""The publishing dashboard in the admin: the page, its refresh, and "Retry".

The page contains one fragment that the browser requests again every few seconds; the
fragment's ETag shows whether anything changed. Buttons are plain forms, so everything
works without JavaScript.
"""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _, ngettext
from django.views.decorators.http import require_POST, require_safe

from core import live_fragments
from core.parsing import as_key
from publishing import sync_log
from publishing.admin_views.labels import fault_message
from publishing.admin_views.task_dispatch import enqueue, enqueue_retry, notify_retrying
from publishing.models import SyncLog
from publishing.monitoring import dashboard
from publishing.monitoring.dashboard import Dashboard, Hour
from publishing.tasks import process_pending

REFRESH_SECONDS = 5
CHART_WIDTH, CHART_HEIGHT = 480, 96
_MAX_PLANS = 50
_MAX_NAMES = 5
_BAR_GAP = 4


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the dashboard's URL patterns, below the admin's own URL."""
    return [
        path(f"publishing/dashboard/{route}", site.admin_view(view), name=name)
        for route, view, name in (
            ("", page, "publishing_dashboard"),
            ("now/", fragment, "publishing_dashboard_now"),
            ("retry/", retry, "publishing_dashboard_retry"),
            ("retry-all/", retry_all, "publishing_dashboard_retry_all"),
        )
    ]


def can_view(request: HttpRequest) -> bool:
    """Whether the user may view the publishing status."""
    return request.user.has_perm("publishing.view_synclog")


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Render the whole page.

    Raises:
        PermissionDenied: the user may not view the publishing status.
    """
    body = _render(request)
    context = {
        **admin.site.each_context(request),
        "title": _("Publishing dashboard"),
        "body": body,
        "etag": live_fragments.etag(body),
        "now_url": reverse("admin:publishing_dashboard_now"),
        "refresh_seconds": REFRESH_SECONDS,
    }
    return TemplateResponse(request, "admin/publishing/dashboard.html", context)


@require_safe
def fragment(request: HttpRequest) -> HttpResponse:
    """Render the part of the page that changes; 304 if it has not changed.

    Raises:
        PermissionDenied: the user may not view the publishing status.
    """
    return live_fragments.answer(request, _render(request))


@require_POST
def retry(request: HttpRequest) -> HttpResponse:
    """Retry one failed run or dead letter now."""
    _require_retry(request)
    pk = request.POST.get("entry", "")
    entry = get_object_or_404(SyncLog, pk=as_key(pk))
    if not sync_log.can_retry(entry):
        raise Http404
    if enqueue_retry(request, entry):
        notify_retrying(request, 1)
    return HttpResponseRedirect(reverse("admin:publishing_dashboard"))


@require_POST
def retry_all(request: HttpRequest) -> HttpResponse:
    """Retry every dead letter and failed upload now."""
    _require_retry(request)
    count = sync_log.retry_all()
    if enqueue(request, process_pending):
        notify_retrying(request, count)
    return HttpResponseRedirect(reverse("admin:publishing_dashboard"))


def _require_retry(request: HttpRequest) -> None:
    if not request.user.has_perm("publishing.change_synclog"):
        raise PermissionDenied


# --- Content of the fragment ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar; positions in pixels from the top."""

    outcome: str
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour in the chart."""

    hour: Hour
    x: int
    width: int
    parts: list[Part]


def bars(hours: tuple[Hour, ...]) -> list[Bar]:
    """Return the bars of a chart of ``CHART_WIDTH`` by ``CHART_HEIGHT`` pixels.

    Failed runs are on top. A part is never too small to be visible.
    """
    maximum = max((hour.total for hour in hours), default=0)
    slot = CHART_WIDTH // max(len(hours), 1)
    found = []
    for number, hour in enumerate(hours):
        parts: list[Part] = []
        bottom = CHART_HEIGHT
        for outcome in ("published", "retrying", "failed"):
            count = getattr(hour, outcome)
            if count:
                height = max(round(count * (CHART_HEIGHT - 8) / maximum), 2)
                bottom -= height
                parts.append(Part(outcome, bottom, height))
        found.append(
            Bar(hour, number * slot + _BAR_GAP // 2, slot - _BAR_GAP, parts),
        )
    return found


def _render(request: HttpRequest) -> str:
    if not can_view(request):
        raise PermissionDenied
    found = dashboard.load()
    context = {
        "facts": found,
        "headlines": headlines(found),
        "waiting": found.queue.pending[:_MAX_NAMES],
        "waiting_more": max(len(found.queue.pending) - _MAX_NAMES, 0),
        "bars": bars(found.hours),
        "chart_width": CHART_WIDTH,
        "chart_height": CHART_HEIGHT,
        "most_per_hour": max(hour.total for hour in found.hours),
        "outcomes": _outcomes(found),
        "plans": found.plans[:_MAX_PLANS],
        "plans_more": max(len(found.plans) - _MAX_PLANS, 0),
        "may_retry": request.user.has_perm("publishing.change_synclog"),
        "may_see_content": request.user.has_perm("content.view_node"),
        "may_see_plans": request.user.has_perm("plans.view_academicplan"),
        "may_see_health": request.user.has_perm("publishing.view_healthreport"),
        "may_see_alerts": request.user.has_perm("publishing.view_alert"),
    }
    return render_to_string("admin/publishing/dashboard_fragment.html", context)


def _outcomes(found: Dashboard) -> dict[str, int]:
    return {
        outcome: sum(getattr(hour, outcome) for hour in found.hours)
        for outcome in ("published", "retrying", "failed")
    }


def headlines(found: Dashboard) -> list[dict[str, Any]]:
    """Return the summary lines, the worst first: shape, tone and text of each."""
    lines = []
    if found.fault is not None:
        lines.append(("!", "failed", fault_message(found.fault)))
    if found.disk is not None and found.disk.is_low:
        lines.append(("!", "failed", _("The disk is nearly full: publishing pauses.")))
    if count := len(found.dead_letters):
        message = ngettext(
            "%(count)d plan failed permanently and needs attention.",
            "%(count)d plans failed permanently and need attention.",
            count,
        )
        lines.append(("✕", "failed", message % {"count": count}))
    if count := len(found.queue.overdue(found.queue.withdrawing)):
        message = ngettext(
            "%(count)d plan cannot be withdrawn: its files are still on this server.",
            "%(count)d plans cannot be withdrawn: their files are still on this "
            "server.",
            count,
        )
        lines.append(("!", "failed", message % {"count": count}))
    if count := len(found.failed_uploads):
        message = ngettext(
            "%(count)d upload failed permanently: the CDN has an older release.",
            "%(count)d uploads failed permanently: the CDN has older releases.",
            count,
        )
        lines.append(("✕", "failed", message % {"count": count}))
    if count := len([f for f in found.failures if not f.is_paused]):
        message = ngettext(
            "%(count)d plan failed and will be retried.",
            "%(count)d plans failed and will be retried.",
            count,
        )
        lines.append(("!", "waiting", message % {"count": count}))
    for job in found.jobs:
        if job.is_late:
            message = _("%(job)s: no complete run for %(minutes)d minutes.")
            values = {"job": job.label, "minutes": job.minutes}
            lines.append(("!", "failed", message % values))
    if not lines:
        if found.queue.pending or found.queue.withdrawing:
            lines.append(("⟳", "waiting", _("Changes are queued for the next run.")))
        elif found.queue.uploading or found.queue.waiting_uploads:
            message = _(
                "Everything is published on this server. The upload to the CDN is not "
                "complete yet."
            )
            lines.append(("▸", "action", message))
        else:
            lines.append(("●", "done", _("Everything is published.")))
    return [{"shape": s, "tone": t, "text": text} for s, t, text in lines]
