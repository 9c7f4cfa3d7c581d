"""The students' pages. Each reads the local database alone, in a fixed number of queries."""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from registrar.models import Student
from registrar.student_pages import contents
from registrar.student_pages.pages import for_students, page


@require_safe
@for_students
def profile(request: HttpRequest, student: Student) -> HttpResponse:
    """What the school knows of the student. One query."""
    return page(request, "profile", title=_("Profile"), student=student)


@require_safe
@for_students
def programs(request: HttpRequest, student: Student) -> HttpResponse:
    """Registrations with their payments. Three queries."""
    content = contents.programs(student)
    return page(request, "programs", title=_("Programs"), student=student, **content)


@require_safe
@for_students
def classes(request: HttpRequest, student: Student) -> HttpResponse:
    """Places in classes. Two queries."""
    content = contents.classes(student)
    return page(request, "classes", title=_("Classes"), student=student, **content)


@require_safe
@for_students
def grades(request: HttpRequest, student: Student) -> HttpResponse:
    """Grades with all attempts. Two queries."""
    content = contents.grades(student)
    return page(request, "grades", title=_("Grades"), student=student, **content)
