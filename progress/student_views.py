"""The page of a student's progress, also for the teachers of the student's classes."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from progress import class_access
from progress.grant_views import may_correct
from progress.player_panel import with_badges
from progress.services import player_report


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the URL pattern of the page, below the admin's own URL."""
    return [
        path(
            "progress/students/<int:player_pk>/",
            site.admin_view(student_page),
            name="progress_student",
        )
    ]


@require_safe
def student_page(request: HttpRequest, player_pk: int) -> HttpResponse:
    """Render a student's subjects, and the tree of ``?subject=``: no e-mail, no ledger.

    Raises:
        PermissionDenied: the user may view no students' progress.
        Http404: there is no such student, or the user may not view them.
    """
    if not class_access.sees_classes(request):
        raise PermissionDenied
    students = class_access.students_of(request).select_related("user")
    player = get_object_or_404(students, pk=min(player_pk, 2**63 - 1))
    report = player_report.load(
        player.pk,
        subject_id=request.GET.get("subject", ""),
        now=timezone.now(),
    )
    context = {
        **admin.site.each_context(request),
        "title": _("Progress: %(name)s") % {"name": player.user.get_full_name()},
        "player": player,
        "report": report,
        "tree": with_badges(report.tree),
        "player_pk": player.pk,
        "may_correct": may_correct(request),
        "may_open": request.user.has_perm("players.view_playerprofile"),
        "classes": class_access.classes_of(request).filter(
            memberships__player=player.pk
        ),
    }
    return TemplateResponse(request, "admin/progress/student.html", context)
