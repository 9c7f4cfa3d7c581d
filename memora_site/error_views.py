"""Error responses outside the views, in the visitor's language.

JSON under ``/api/`` and for the admin's scripts, else HTML pages.
"""

import math
import sys
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.middleware.csrf import REASON_NO_CSRF_COOKIE
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _, ngettext
from django.views import defaults

from memora_site.api_errors import (
    RETRY_SECONDS,
    error_body,
    is_away,
    unavailable_body,
)

_TOO_LARGE = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _answer(
    request: HttpRequest,
    status: HTTPStatus,
    *,
    title: str,
    message: str,
    is_known: bool = True,
) -> HttpResponse:
    """Return an error page, or ``{"error": message}`` for a script of the admin.

    Args:
        is_known: whether the session may be read, to show the visitor's name.
    """
    wants_page = "text/html" in request.headers.get("Accept", "")
    if request.path_info.startswith("/admin/") and not wants_page:
        return JsonResponse({"error": message}, status=status)
    # The error may occur before the middleware has set the user.
    is_staff = is_known and getattr(getattr(request, "user", None), "is_staff", False)
    around = admin.site.each_context(request) if is_staff else {}
    context = {
        "site_title": admin.site.site_title,
        "site_header": admin.site.site_header,
        **around,
        "title": title,
        "message": message,
        "is_staff": is_staff,
    }
    page = render_to_string(
        "admin/error_page.html", context, request if is_known else None
    )
    return HttpResponse(page, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """400: the request is malformed, too large or for another host."""
    if _is_api(request):
        body = error_body("INVALID_BODY", _("The request is malformed."))
        return JsonResponse(body, status=HTTPStatus.BAD_REQUEST)
    # A request for another host is refused before the language is set.
    with translation.override(translation.get_language_from_request(request)):
        message = _("The data from your browser cannot be read. Nothing was saved.")
        if isinstance(exception, _TOO_LARGE):
            message = _(
                "The request is too large. Nothing was saved: go back and send the "
                "data in smaller parts."
            )
        title = _("The request is malformed")
        return _answer(request, HTTPStatus.BAD_REQUEST, title=title, message=message)


def permission_denied(
    request: HttpRequest, exception: PermissionDenied
) -> HttpResponseBase:
    """403: the user may not do this."""
    if _is_api(request):
        body = error_body(
            "PERMISSION_DENIED", _("You do not have permission to do this.")
        )
        return JsonResponse(body, status=HTTPStatus.FORBIDDEN)
    return _answer(
        request,
        HTTPStatus.FORBIDDEN,
        title=_("No permission"),
        message=_("You do not have permission to do this. Ask a System Manager."),
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: the form was not sent by a page of this site, or by an outdated one."""
    if reason == REASON_NO_CSRF_COOKIE:
        message = _(
            "Your browser does not send cookies for this site. Nothing was saved: "
            "allow cookies, reload the page and send it again."
        )
    else:
        message = _(
            "You signed in again after this page was opened, or the form came from "
            "another site. Nothing was saved: go back, reload the page and send it "
            "again."
        )
    title = _("Not saved")
    return _answer(request, HTTPStatus.FORBIDDEN, title=title, message=message)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """404."""
    if _is_api(request):
        body = error_body("NOT_FOUND", _("Not found."))
        return JsonResponse(body, status=HTTPStatus.NOT_FOUND)
    return _answer(
        request,
        HTTPStatus.NOT_FOUND,
        title=_("Page not found"),
        message=_("The address is wrong, or the page has been deleted or moved."),
    )


def method_not_allowed(request: HttpRequest) -> HttpResponse:
    """405: the URL accepts only POST, or only GET."""
    return _answer(
        request,
        HTTPStatus.METHOD_NOT_ALLOWED,
        title=_("This page cannot be opened directly"),
        message=_(
            "This address accepts only form submissions. Nothing was changed. Open "
            "the page that you need from the home page."
        ),
    )


def locked_out(
    request: HttpRequest, _answer_so_far: HttpResponse, _credentials: Any
) -> HttpResponse:
    """429: too many wrong passwords of this account from this address (axes)."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    minutes = math.ceil(seconds / 60)
    answer = _answer(
        request,
        HTTPStatus.TOO_MANY_REQUESTS,
        title=_("Too many attempts"),
        message=ngettext(
            "This account's password was wrong too often on your network. Try again "
            "in %(minutes)d minute.",
            "This account's password was wrong too often on your network. Try again "
            "in %(minutes)d minutes.",
            minutes,
        )
        % {"minutes": minutes},
    )
    answer["Retry-After"] = str(seconds)
    return answer


def server_error(request: HttpRequest) -> HttpResponseBase:
    """500: an unexpected error; the log has the traceback, the response does not.

    503 if the database, Redis or the disk does not work.
    """
    error = sys.exception()  # Django calls this while it handles the exception
    if isinstance(error, Exception) and is_away(error):
        return _unavailable(request)
    if _is_api(request):
        body = error_body(
            "INTERNAL_ERROR", _("An error occurred on the server. It has been logged.")
        )
        return JsonResponse(body, status=HTTPStatus.INTERNAL_SERVER_ERROR)
    # A bilingual static template: the part that failed may fail again here.
    return defaults.server_error(request)


def _unavailable(request: HttpRequest) -> HttpResponse:
    """503: the session cannot be read, so the page is that of a visitor."""
    if _is_api(request):
        answer: HttpResponse = JsonResponse(
            unavailable_body(), status=HTTPStatus.SERVICE_UNAVAILABLE
        )
    else:
        with translation.override(translation.get_language_from_request(request)):
            answer = _answer(
                request,
                HTTPStatus.SERVICE_UNAVAILABLE,
                title=_("The site cannot answer right now"),
                message=_(
                    "The database, Redis or the disk does not work right now. Try "
                    "again in a moment, and check whether what you sent was saved."
                ),
                is_known=False,
            )
    answer["Retry-After"] = RETRY_SECONDS
    return answer


def explain_method_not_allowed(
    view: Callable[..., HttpResponse],
) -> Callable[..., HttpResponse]:
    """Wrap ``view`` so that its 405 responses have a page with an explanation."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer = view(request, *args, **kwargs)
        if answer.status_code != HTTPStatus.METHOD_NOT_ALLOWED or answer.content:
            return answer
        worded = method_not_allowed(request)
        worded.headers["Allow"] = answer.headers["Allow"]
        return worded

    return wrapper
