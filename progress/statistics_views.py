"""Pages of statistics in the admin: of the lessons of a node, and of a class.

The filters are plain forms, so everything works without JavaScript.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import (
    gettext as _,
    gettext_lazy,
    ngettext,
    pgettext,
    pgettext_lazy,
)
from django.views.decorators.http import require_safe

from content.hooks import lesson_panels, node_links
from content.kinds import Kind
from content.models import Node
from core.parsing import time_text, whole_number
from core.spreadsheets.csv_text import BYTE_ORDER_MARK, csv_text
from plans.models import AcademicPlan
from players import charts
from players.charts import Chart, Value
from players.hooks import group_links
from players.models import StudyGroup
from progress import class_access
from progress.class_access import sees_every_class
from progress.lesson_counts import LessonCounts, Pace
from progress.services import class_report, lesson_statistics
from progress.services.class_report import ClassReport
from progress.services.lesson_statistics import (
    LessonRow,
    NodeStatistics,
    Selection,
    TooManyRowsError,
)

_MAX_CHOICES = 500
_MAX_LABELS = 12
"""The most bars that have a label below them."""
_PACES = {
    Pace.AT_ONCE: gettext_lazy("at once"),
    Pace.IN_HOUR: gettext_lazy("within an hour"),
    Pace.IN_DAY: gettext_lazy("within a day"),
    Pace.IN_WEEK: gettext_lazy("within a week"),
    Pace.LATER: gettext_lazy("later"),
}


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the URL patterns of the pages, below the admin's own URL."""
    pages: tuple[tuple[str, Any, str], ...] = (
        ("lessons/<int:pk>/", node_page, "progress_statistics"),
        ("lessons/<int:pk>/export/", node_export, "progress_statistics_export"),
        ("groups/<int:group_pk>/", class_page, "progress_class"),
        ("groups/<int:group_pk>/export/", class_export, "progress_class_export"),
    )
    return [
        path(f"progress/statistics/{route}", site.admin_view(view), name=name)
        for route, view, name in pages
    ]


def can_view(request: HttpRequest) -> bool:
    """Whether the user may view the figures of lessons."""
    return request.user.has_perm("progress.view_lessonstatistics")


# --- Links from the pages of content and groups ---------------------------------------


@node_links.add
def _link_of_node(request: HttpRequest, node: Node) -> tuple[str, ...]:
    if not can_view(request):
        return ()
    return reverse("admin:progress_statistics", args=[node.pk]), _("Statistics")


@group_links.add
def _link_of_group(request: HttpRequest, group: StudyGroup) -> tuple[str, ...]:
    if not sees_every_class(request):
        return ()
    return reverse("admin:progress_class", args=[group.pk]), _("Class view")


@lesson_panels.add
def _beside_lesson(request: HttpRequest, lesson: Node) -> SafeString:
    """Render the figures of a lesson above its form. One query."""
    if not can_view(request):
        return SafeString("")
    context = {
        "counts": lesson_statistics.of_lesson(lesson),
        "url": reverse("admin:progress_statistics", args=[lesson.pk]),
    }
    template = "admin/progress/lesson_figures.html"
    return SafeString(render_to_string(template, context, request))


# --- Statistics of the lessons of a node ----------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    """A select of the filter form: its parameter, its choices and the chosen one."""

    name: str
    label: str
    choices: list[tuple[int, str]]
    chosen: int | None


@require_safe
def node_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Render the figures of a node's lessons: a table, charts, hardest questions.

    Raises:
        PermissionDenied: the user may not view the figures of lessons.
        Http404: there is no such node.
    """
    node = _node(request, pk)
    selection = _selection(request)
    page = whole_number(request.GET.get("p", ""), maximum=10_000) or 0
    found = None
    try:
        found = lesson_statistics.load(node, selection, page=page)
    except TooManyRowsError as error:
        messages.error(request, error.message)
    export = reverse("admin:progress_statistics_export", args=[node.pk])
    context = {
        **admin.site.each_context(request),
        "title": _("Statistics: %(title)s") % {"title": node.title},
        "node": node,
        "kind": capfirst(node.get_kind_display()),
        "is_lesson": node.kind == Kind.LESSON.value,
        "may_open": request.user.has_perm("content.view_node"),
        "found": found,
        **(_figures(node, found) if found is not None else {}),
        "query": _query(request),
        "filters": _filters(request, selection),
        "is_filtered": selection != Selection(),
        "export_url": f"{export}?{request.GET.urlencode()}",
        "previous": _page_query(request, page - 1) if page else "",
        "next": _page_query(request, page + 1)
        if found is not None and found.first + len(found.rows) < found.total
        else "",
    }
    return TemplateResponse(request, "admin/progress/statistics.html", context)


@require_safe
def node_export(request: HttpRequest, pk: int) -> HttpResponse:
    """Return the figures of all lessons of a node as CSV.

    Raises:
        PermissionDenied: the user may not view the figures of lessons.
        Http404: there is no such node.
    """
    node = _node(request, pk)
    try:
        rows = lesson_statistics.load_all(node, _selection(request))
    except TooManyRowsError as error:
        return HttpResponse(error.message, status=400, content_type="text/plain")
    return _csv(f"lessons-{node.public_id}", [_LESSON_HEADING, *map(_cells, rows)])


def _node(request: HttpRequest, pk: int) -> Node:
    if not can_view(request):
        raise PermissionDenied
    node: Node = get_object_or_404(Node, pk=min(pk, 2**63 - 1))
    return node


def _selection(request: HttpRequest) -> Selection:
    """Return the filters in the URL; one that is not a number is ignored.

    A class only for staff who may see its students: in a small class a figure tells of
    one student.
    """
    plan = whole_number(request.GET.get("plan", ""))
    group = whole_number(request.GET.get("group", ""))
    return Selection(plan=plan, group=group if sees_every_class(request) else None)


def _filters(request: HttpRequest, selection: Selection) -> list[Filter]:
    plans = AcademicPlan.objects.order_by("title").values_list("pk", "title")
    found = [Filter("plan", _("Plan"), list(plans[:_MAX_CHOICES]), selection.plan)]
    if sees_every_class(request):
        groups = StudyGroup.objects.order_by("name").values_list("pk", "name")
        choices = list(groups[:_MAX_CHOICES])
        found.append(Filter("group", _("Class"), choices, selection.group))
    return found


def _page_query(request: HttpRequest, page: int) -> str:
    query = request.GET.copy()
    query["p"] = str(page)
    return f"?{query.urlencode()}"


def _query(request: HttpRequest) -> str:
    """Return the query of the filters, for links to other nodes."""
    query = request.GET.copy()
    query.pop("p", None)
    return query.urlencode()


def _figures(node: Node, found: NodeStatistics) -> dict[str, Any]:
    if not found.rows:
        return {}
    if node.kind == Kind.LESSON.value:
        counts = found.rows[0].counts
        return {
            "counts": counts,
            "pace": _pace_word(counts.typical_pace),
            "charts": [_paces(counts)],
            "has_columns": True,
        }
    topics = [None, *((row.unit, row.topic) for row in found.rows)]
    return {
        "rows": [
            (
                number,
                row,
                _pace_word(row.counts.typical_pace),
                (row.unit, row.topic) != before,
            )
            for number, (row, before) in enumerate(
                zip(found.rows, topics, strict=False), start=found.first + 1
            )
        ],
        "charts": [_reach(found)],
        "has_columns": len(found.rows) <= _MAX_LABELS,
    }


def _reach(found: NodeStatistics) -> Chart:
    """Return the chart of how many students start and pass each lesson."""
    values = [
        Value(
            f"{number}. {row.title}",
            str(number),
            row.counts.started,
            row.counts.passed,
        )
        for number, row in enumerate(found.rows, start=found.first + 1)
    ]
    first, last = found.rows[0].counts, found.rows[-1].counts
    return Chart(
        key="reach",
        title=_("How far students get"),
        description=_(
            "%(first)s students have started the first lesson, %(last)s the last one."
        )
        % {"first": localize(first.started), "last": localize(last.started)},
        column=_("Lesson"),
        unit=pgettext("students", "Started"),
        part_unit=pgettext("students", "Passed"),
        bars=charts.bars(values),
    )


def _paces(counts: LessonCounts) -> Chart:
    numbers = (
        *(counts.at_once, counts.in_hour, counts.in_day, counts.in_week),
        counts.later,
    )
    values = [
        Value(capfirst(str(label)), str(label), number)
        for label, number in zip(_PACES.values(), numbers, strict=True)
    ]
    return Chart(
        key="paces",
        title=_("Time from the first attempt to the pass"),
        description=_(
            "Students who passed: %(passed)s. With the first attempt: %(at_once)s."
        )
        % {"passed": localize(counts.passed), "at_once": localize(counts.at_once)},
        column=_("Time"),
        unit=_("Students"),
        bars=charts.bars(values),
    )


def _pace_word(pace: Pace | None) -> str:
    """Return the words for a `Pace`; a dash for None."""
    return str(_PACES[pace]) if pace is not None else "–"


_LESSON_HEADING = (
    *(gettext_lazy("Lesson id"), gettext_lazy("Unit"), gettext_lazy("Topic")),
    *(
        gettext_lazy("Lesson"),
        pgettext_lazy("students", "Started"),
        pgettext_lazy("students", "Passed"),
    ),
    *(pgettext_lazy("students", "Not passed"), gettext_lazy("Attempts")),
    *(gettext_lazy("Average hearts"), gettext_lazy("Passed at once")),
    *(gettext_lazy("Passed within an hour"), gettext_lazy("Passed within a day")),
    *(gettext_lazy("Passed within a week"), gettext_lazy("Passed later")),
    gettext_lazy("Did not start the next lesson"),
)


def _cells(row: LessonRow) -> list[object]:
    counts = row.counts
    return [
        *(row.public_id, row.unit, row.topic, row.title),
        *(counts.started, counts.passed, counts.not_passed, counts.attempts),
        "" if counts.average_hearts is None else counts.average_hearts,
        *(counts.at_once, counts.in_hour, counts.in_day, counts.in_week, counts.later),
        "" if row.stopped is None else row.stopped,
    ]


def _csv(name: str, rows: Iterable[Iterable[object]]) -> HttpResponse:
    text = csv_text([str(cell) for cell in row] for row in rows)
    today = timezone.localtime().strftime("%Y-%m-%d")
    return HttpResponse(
        BYTE_ORDER_MARK + text,
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}-{today}.csv"',
            "Cache-Control": "private, no-store",
        },
    )


# --- A class --------------------------------------------------------------------------


@require_safe
def class_page(request: HttpRequest, group_pk: int) -> HttpResponse:
    """Render the students of a group: last seen, streak, place in each subject.

    Raises:
        PermissionDenied: the user may not view students and their progress.
        Http404: there is no such group, or it is not one of the user's classes.
    """
    group = _group(request, group_pk)
    only_absent = request.GET.get("absent") == "1"
    page = whole_number(request.GET.get("p", ""), maximum=10_000) or 0
    found = class_report.load(
        group, now=timezone.now(), only_absent=only_absent, page=page
    )
    export = reverse("admin:progress_class_export", args=[group.pk])
    context = {
        **admin.site.each_context(request),
        "title": _("Class: %(name)s") % {"name": group.name},
        "group": group,
        "found": found,
        "may_open": class_access.sees_every_class(request),
        "absent_words": _absent_words(found),
        "only_absent": only_absent,
        "export_url": f"{export}?absent=1" if only_absent else export,
        "previous": _page_query(request, page - 1) if page else "",
        "next": _page_query(request, page + 1)
        if (page + 1) * class_report.PAGE < found.listed
        else "",
    }
    return TemplateResponse(request, "admin/progress/class.html", context)


@require_safe
def class_export(request: HttpRequest, group_pk: int) -> HttpResponse:
    """Return the students of a group as CSV, a line for each student and subject.

    Raises:
        PermissionDenied: the user may not view students and their progress.
        Http404: there is no such group, or it is not one of the user's classes.
    """
    group = _group(request, group_pk)
    only_absent = request.GET.get("absent") == "1"
    found = class_report.load(
        group, now=timezone.now(), only_absent=only_absent, page=None
    )
    return _csv(f"class-{group.pk}", [_CLASS_HEADING, *_class_rows(found)])


def _group(request: HttpRequest, pk: int) -> StudyGroup:
    if not class_access.sees_classes(request):
        raise PermissionDenied
    return get_object_or_404(class_access.classes_of(request), pk=min(pk, 2**63 - 1))


def _absent_words(found: ClassReport) -> str:
    return ngettext(
        "%(count)d student was not seen for a week.",
        "%(count)d students were not seen for a week.",
        found.absent,
    ) % {"count": found.absent}


_CLASS_HEADING = (
    *(gettext_lazy("Student"), gettext_lazy("School number"), gettext_lazy("Plan")),
    *(gettext_lazy("Last seen (UTC)"), gettext_lazy("Not seen for a week")),
    *(gettext_lazy("Streak (days)"), gettext_lazy("XP"), gettext_lazy("Subject")),
    *(gettext_lazy("Lessons passed"), gettext_lazy("Lessons")),
    gettext_lazy("Next lesson"),
)


def _class_rows(found: ClassReport) -> Iterable[list[object]]:
    for student in found.students:
        own: list[object] = [
            *(student.name, student.school_number, student.plan),
            time_text(student.last_seen) if student.last_seen is not None else "",
            _("yes") if student.is_absent else "",
            *(student.streak, student.xp),
        ]
        for subject in student.subjects:
            yield [
                *(*own, subject.title, subject.passed, subject.total),
                subject.next_lesson,
            ]
        if not student.subjects:
            yield [*own, "", "", "", ""]
