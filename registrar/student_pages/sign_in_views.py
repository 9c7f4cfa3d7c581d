"""Signing in to the students' pages: with the app's account, or by a one-time link."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from core.errors import MemoraError
from players import client_info
from players.services import page_sign_in
from registrar.student_pages import access, linking, pages
from registrar.student_pages.forms import SignInForm


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Show the form, and start a session for the student that the player is."""
    form = SignInForm(request.POST or None)
    if form.is_valid():
        try:
            player_id = page_sign_in.check(
                email=form.cleaned_data["email"],
                password=form.cleaned_data["password"],
                ip_address=client_info.address_of(request),
            )
        except MemoraError as error:
            form.add_error(None, error.message)
        else:
            student = linking.student_of(player_id)
            if student is not None:
                return pages.signed_in(
                    access.start_session(student, now=timezone.now())
                )
            form.add_error(
                None,
                _(
                    "Your account is not connected with the school's records. Ask the "
                    "registrar's office to connect it."
                ),
            )
    return pages.page(request, "sign_in", title=_("Sign in"), form=form)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def use_link(request: HttpRequest) -> HttpResponse:
    """Show a button that uses the link: opening an address alone must not use it up.

    The token is in the query, which is in no log. 410 for a link that is not valid.
    """
    token, now = request.GET.get("token", ""), timezone.now()
    if request.method == "POST":
        session = access.use_link(token, now=now)
        if session is not None:
            return pages.signed_in(session)
    elif access.is_link(token, now=now):
        return pages.page(request, "link", title=_("Sign in"))
    return pages.message(
        request,
        _(
            "This link has expired or was used. Open the page again from Moodle or the app."
        ),
        title=_("Sign in"),
        status=HTTPStatus.GONE,
    )


@never_cache
@require_safe
def may_send(request: HttpRequest) -> HttpResponse:
    """Tell nginx whether to accept a large body: 204 with a session, else 401. One query."""
    session = request.COOKIES.get(pages.COOKIE, "")
    student = access.student_of(session, now=timezone.now())
    return HttpResponse(
        status=HTTPStatus.NO_CONTENT if student else HTTPStatus.UNAUTHORIZED
    )


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    return pages.sign_out(request)
