"""The student card: the page, the PDF, the photo, and the address of its QR code."""

import mimetypes
from http import HTTPStatus

from django.contrib import admin
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
)
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from registrar.models import Student, StudentCard
from registrar.student_pages import card_pdf, cards, contents, pages, submitting
from registrar.student_pages.card_pdf import CardFace
from registrar.student_pages.forms import CardForm
from registrar.student_pages.pages import for_students, page
from registrar.student_pages.request_views import closed


@require_http_methods(["GET", "HEAD", "POST"])
@for_students
def card(request: HttpRequest, student: Student) -> HttpResponse:
    """The card, and a button that makes one. Five queries for the page."""
    form = CardForm(request.POST or None)
    if form.is_valid():
        try:
            cards.generate(student, uuid=form.cleaned_data["uuid"], now=timezone.now())
        except submitting.ClosedError:
            return closed(request, student)
        except submitting.RefusedRequestError as error:
            form.add_error(None, str(error))
        else:
            return HttpResponseRedirect(reverse("student-card"))
    content = contents.card(student)
    return page(
        request,
        "card",
        title=_("Student card"),
        student=student,
        form=form,
        has_photo=bool(content["card"] and cards.photo_of(student)),
        **content,
    )


@require_safe
@for_students
def pdf(request: HttpRequest, student: Student) -> HttpResponse:
    """The card as a PDF in the reader's language; 404 without a card, or a withdrawn one."""
    found = cards.latest(student)
    if found is None or found.withdrawn_at is not None:
        raise Http404
    data = card_pdf.render(_face(found, student))
    answer = HttpResponse(data, content_type="application/pdf")
    answer["Content-Disposition"] = 'inline; filename="student-card.pdf"'
    return answer


@for_students
def photo(request: HttpRequest, student: Student) -> HttpResponse:
    """The student's own photo; 404 without one."""
    found = cards.photo_of(student)
    if found is None:
        raise Http404
    try:
        kind = mimetypes.guess_type(found.name or "")[0]
        with found.open("rb") as file:
            answer = HttpResponse(file.read(), content_type=kind)
    except OSError as error:
        raise Http404 from error
    answer["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return answer


@require_safe
@never_cache
def check(request: HttpRequest, signed: str) -> HttpResponse:
    """Whether a card is valid, for everybody who has its QR code; 404 for a forged one."""
    found = cards.check(signed, now=timezone.now())
    if found is None:
        return pages.message(
            request,
            _("This is not a card of this school."),
            title=_("Student card"),
            status=HTTPStatus.NOT_FOUND,
        )
    return page(
        request,
        "card_check",
        title=_("Student card"),
        card=found.card,
        holder=found.card.student,
        state=found.state,
    )


def _face(card: StudentCard, student: Student) -> CardFace:
    return CardFace(
        school=str(admin.site.site_header),
        name=str(student),
        number=card.number,
        program=contents.program_of(student),
        valid_until=date_format(card.valid_until, "SHORT_DATE_FORMAT"),
        address=cards.address_of(card),
        photo=_read(student),
    )


def _read(student: Student) -> bytes | None:
    found = cards.photo_of(student)
    if found is None:
        return None
    try:
        with found.open("rb") as file:
            return bytes(file.read())
    except OSError:
        return None  # a card without the photo is better than none
