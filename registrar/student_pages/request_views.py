"""The pages on which students send requests and see what became of them."""

from http import HTTPStatus
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from registrar.mapping.modules import WITHDRAWN
from registrar.models import RequestKind, Student
from registrar.student_pages import contents, forms, pages, reading, submitting
from registrar.student_pages.pages import for_students, page
from registrar.student_pages.windows import windows


@require_safe
@for_students
def requests(request: HttpRequest, student: Student) -> HttpResponse:
    """The kinds of requests, and the requests sent so far. Four queries."""
    return page(
        request,
        "requests",
        title=_("Requests"),
        student=student,
        was_sent="sent" in request.GET,
        **contents.requests(student),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@for_students
def new_request(request: HttpRequest, student: Student, kind: str) -> HttpResponse:
    """The form of one kind; 403 while its window is not open, also for a forged form."""
    if kind not in RequestKind or kind == RequestKind.CARD:
        raise Http404
    if not windows(now=timezone.now())[RequestKind(kind)].is_open:
        return closed(request, student)
    form = _form(request, student, RequestKind(kind))
    if form.is_valid():
        try:
            submitting.submit(student, form.wanted(), now=timezone.now())
        except submitting.ClosedError:
            return closed(request, student)
        except submitting.RefusedRequestError as error:
            form.add_error(None, str(error))
        else:
            return HttpResponseRedirect(f"{reverse('student-requests')}?sent=1")
    return page(
        request,
        "request_form",
        title=RequestKind(kind).label,
        student=student,
        form=form,
        status=HTTPStatus.BAD_REQUEST if form.errors else HTTPStatus.OK,
    )


def closed(request: HttpRequest, student: Student) -> HttpResponse:
    """Return the refusal of a request whose window is not open."""
    return pages.message(
        request,
        _("Requests of this type are not accepted at the moment."),
        title=_("Requests"),
        status=HTTPStatus.FORBIDDEN,
        student=student,
    )


def _form(
    request: HttpRequest, student: Student, kind: RequestKind
) -> forms.RequestForm:
    sent: Any = (request.POST or None, request.FILES or None)
    if kind == RequestKind.DROP:
        return forms.DropForm(*sent, places=submitting.droppable(student))
    if kind == RequestKind.LATE:
        places = reading.enrolments(student)
        kept = [one for one in places if one.status != WITHDRAWN]
        return forms.LateForm(*sent, places=kept)
    if kind == RequestKind.CHANGE:
        return forms.ChangeForm(*sent, student=student)
    return forms.EnrolForm(*sent)
