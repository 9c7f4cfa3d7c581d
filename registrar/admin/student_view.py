"""A student's own pages as staff see them: read-only, noted in the admin's log.

Staff have no session of these pages, so they can send nothing in the student's name.
"""

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from registrar.admin import links, staff_log
from registrar.models import Student
from registrar.student_pages import contents, pages

NEEDED = tuple(
    f"registrar.view_{name}"
    for name in (
        *("student", "registration", "payment", "schoolclass", "enrolment"),
        *("grade", "studentrequest", "submission", "studentcard"),
    )
)
"""All that the pages show."""


def address(record_id: str) -> str:
    """Return the address of the view of a student."""
    return reverse("admin:registrar_student_view", args=[record_id])


@require_safe
@never_cache
def page(request: HttpRequest, record_id: str) -> HttpResponse:
    """Render one page of a student; the query's ``page`` names it. Eight queries at most.

    Raises:
        PermissionDenied: the user may not see all that the pages show.
        Http404: there is no such student or page.
    """
    if not request.user.has_perms(NEEDED):
        raise PermissionDenied
    name = request.GET.get("page", "profile")
    student = Student.objects.filter(zoho_id=record_id).first()
    if student is None or name not in pages.TABS:
        raise Http404
    staff_log.note(
        request,
        Student,
        _("Opened the student's own page: %(page)s.") % {"page": name},
        row=student,
        shown=student.zoho_id,
    )
    here = address(record_id)
    return pages.page(
        request,
        name,
        title=pages.TABS[name],
        student=student,
        by_staff=True,
        back_url=links.timeline_url("BTEC_Students", record_id),
        tabs=[(tab, label, f"{here}?page={tab}") for tab, label in pages.TABS.items()],
        **contents.of(name, student),
    )
