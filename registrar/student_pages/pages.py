"""What all pages of students have in common: the session's cookie, and the frame."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache

from registrar.models import Student
from registrar.student_pages import access

COOKIE = "memora_student"
_PATH = "/student/"
StudentView = Callable[..., HttpResponse]


def for_students(view: StudentView) -> StudentView:
    """Pass the session's student to ``view``; without a session show the sign-in.

    One query. The answer is not stored by any cache.
    """

    @never_cache
    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        student = access.student_of(request.COOKIES.get(COOKIE, ""), now=timezone.now())
        if student is None:
            return HttpResponseRedirect(reverse("student-sign-in"))
        return view(request, student, *args, **kwargs)

    return wrapped


def signed_in(session: str) -> HttpResponse:
    """Return the answer that starts a session: to the profile, with the cookie."""
    answer = HttpResponseRedirect(reverse("student-profile"))
    answer.set_cookie(
        COOKIE,
        session,
        max_age=int(access.SESSION_AGE.total_seconds()),
        path=_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return answer


def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session and return the answer that deletes its cookie."""
    access.end_session(request.COOKIES.get(COOKIE, ""))
    answer = HttpResponseRedirect(reverse("student-sign-in"))
    answer.delete_cookie(COOKIE, path=_PATH)
    return answer


TABS = {
    "profile": gettext_lazy("Profile"),
    "programs": gettext_lazy("Programs"),
    "classes": gettext_lazy("Classes"),
    "grades": gettext_lazy("Grades"),
    "requests": gettext_lazy("Requests"),
    "card": gettext_lazy("Card"),
}
"""The pages of a student, by name."""


def page(
    request: HttpRequest,
    name: str,
    *,
    title: Any,
    status: HTTPStatus = HTTPStatus.OK,
    **context: Any,
) -> HttpResponse:
    """Render ``registrar/student/NAME.html``."""
    tabs = [(tab, label, reverse(f"student-{tab}")) for tab, label in TABS.items()]
    context = {"tabs": tabs} | context
    context |= {"title": title, "site_header": admin.site.site_header, "page": name}
    return render(request, f"registrar/student/{name}.html", context, status=status)


def message(
    request: HttpRequest,
    text: str,
    *,
    title: Any,
    status: HTTPStatus,
    student: Student | None = None,
) -> HttpResponse:
    """Render a page with one message."""
    return page(
        request, "message", title=title, status=status, message=text, student=student
    )
