"""The player dashboard in the admin: the page and its refresh.

As on the publishing dashboard, the browser requests one fragment again; its ETag shows
whether anything changed. The filters are a plain form, so everything works without
JavaScript.
"""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format, localize, time_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from core import live_fragments
from core.parsing import whole_number
from plans.models import AcademicPlan, Grade
from players import charts, request_words
from players.charts import Chart, Value
from players.models import StudyGroup
from players.services import dashboard
from players.services.dashboard import Dashboard, Range, Selection

REFRESH_SECONDS = 60
_MAX_CHOICES = 500
_HOURS_PER_LABEL = 12


@dataclass(frozen=True, slots=True)
class Filter:
    """A select of the filter form: its parameter, its choices and the chosen one."""

    name: str
    label: str
    choices: list[tuple[int, str]]
    chosen: int | None


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the dashboard's URL patterns, below the admin's own URL."""
    return [
        path(f"players/dashboard/{route}", site.admin_view(view), name=name)
        for route, view, name in (
            ("", page, "players_dashboard"),
            ("now/", fragment, "players_dashboard_now"),
        )
    ]


def can_view(request: HttpRequest) -> bool:
    """Whether the user may view students."""
    return request.user.has_perm("players.view_playerprofile")


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Render the whole page. Three queries more than the fragment.

    Raises:
        PermissionDenied: the user may not view students.
    """
    selection = selection_of(request)
    body = _render(request, selection)
    query = request.GET.urlencode()
    now_url = reverse("admin:players_dashboard_now")
    context = {
        **admin.site.each_context(request),
        "title": _("Player dashboard"),
        "body": body,
        "etag": live_fragments.etag(body),
        "now_url": f"{now_url}?{query}" if query else now_url,
        "refresh_seconds": REFRESH_SECONDS,
        "filters": _filters(selection),
        "is_filtered": selection != Selection(),
    }
    return TemplateResponse(request, "admin/players/dashboard.html", context)


@require_safe
def fragment(request: HttpRequest) -> HttpResponse:
    """Render the part of the page that changes; 304 if it has not changed.

    Raises:
        PermissionDenied: the user may not view students.
    """
    return live_fragments.answer(request, _render(request, selection_of(request)))


def selection_of(request: HttpRequest) -> Selection:
    """Return the filters in the URL; one that is not a number is ignored."""
    names = ("plan", "grade", "group")
    return Selection(
        **{name: whole_number(request.GET.get(name, "")) for name in names}
    )


def _filters(selection: Selection) -> list[Filter]:
    plans = AcademicPlan.objects.order_by("title").values_list("pk", "title")
    grades = Grade.objects.order_by("title").values_list("pk", "title")
    groups = StudyGroup.objects.order_by("name").values_list("pk", "name")
    return [
        Filter("plan", _("Plan"), list(plans[:_MAX_CHOICES]), selection.plan),
        Filter("grade", _("Grade"), list(grades[:_MAX_CHOICES]), selection.grade),
        Filter("group", _("Group"), list(groups[:_MAX_CHOICES]), selection.group),
    ]


def _render(request: HttpRequest, selection: Selection) -> str:
    if not can_view(request):
        raise PermissionDenied
    found = dashboard.load(selection, now=timezone.now())
    context = {
        "facts": found,
        "hours": _hours(found),
        "spreads": [_xp(found), _streaks(found)],
        "may_see_events": request.user.has_perm("players.view_securityevent"),
        "may_see_runs": request.user.has_perm("publishing.view_synclog"),
        "refused": [
            (request_words.refusal(code), count)
            for code, count in found.refused.items()
        ],
        "refused_total": found.refused_total,
        "near_limit_more": found.near_limit_total - len(found.near_limit),
    }
    return render_to_string("admin/players/dashboard_fragment.html", context)


# --- Charts ---------------------------------------------------------------------------


def _hours(found: Dashboard) -> Chart:
    values = []
    for start, count in found.hours:
        local = timezone.localtime(start)
        at = time_format(local, "H:i")
        when = _("%(day)s, %(time)s") % {
            "day": date_format(local, "DATE_FORMAT"),
            "time": at,
        }
        values.append(Value(when, at, count))
    busiest = max(values, key=lambda value: value.count)
    return Chart(
        key="hours",
        title=_("Completions per hour, last 48 hours"),
        description=_(
            "Lessons completed: %(total)s. The busiest hour: %(hour)s (%(most)s)."
        )
        % {
            "total": localize(found.completions),
            "hour": busiest.label,
            "most": localize(busiest.count),
        },
        column=_("From"),
        unit=_("Completions"),
        bars=charts.bars(values),
        every=_HOURS_PER_LABEL,
    )


def _xp(found: Dashboard) -> Chart:
    return _spread(found.xp, key="xp", title=_("XP of players"), column=_("XP"))


def _streaks(found: Dashboard) -> Chart:
    return _spread(
        found.streaks,
        key="streaks",
        title=_("Streaks of players"),
        column=_("Streak (days)"),
    )


def _spread(ranges: tuple[Range, ...], **words: Any) -> Chart:
    values = [Value(_range(found), _short(found), found.players) for found in ranges]
    most = max(values, key=lambda value: value.count)
    return Chart(
        description=_("The largest group: %(range)s (%(count)s).")
        % {"range": most.label, "count": localize(most.count)},
        unit=_("Players"),
        bars=charts.bars(values),
        **words,
    )


def _range(found: Range) -> str:
    low = localize(found.low)
    if found.high is None:
        return _("%(low)s or more") % {"low": low}
    if found.high == found.low:
        return low
    return _("%(low)s to %(high)s") % {"low": low, "high": localize(found.high)}


def _short(found: Range) -> str:
    """Return the range for the narrow space below a bar; it may break after the dash."""
    low = localize(found.low)
    if found.high is None:
        return f"{low}+"
    return low if found.high == found.low else f"{low}–\u200b{localize(found.high)}"
