"""The page on which a student sets a new password, opened by a link in an e-mail."""

from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.contrib.auth.forms import SetPasswordForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from players import client_info
from players.models import User
from players.services import password_resets

_DONE = "done"


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def new_password(request: HttpRequest) -> HttpResponse:
    """Show the form for a valid link, and set the new password.

    The query has the link's account and token: it is in no log. 410 for a link that is
    not valid.

    Raises:
        StoreAwayError: Redis does not answer; nothing has changed.
    """
    if _DONE in request.GET:
        return _page(
            request,
            message=_("Your new password is saved. Open the app and sign in with it."),
            is_done=True,
        )
    token = request.GET.get("token", "")
    user = password_resets.account_of_link(request.GET.get("account", ""), token)
    if user is None:
        return _refuse(request)
    form: SetPasswordForm[User] = SetPasswordForm(user, request.POST or None)
    if not form.is_valid():
        return _page(request, form=form)
    is_set = password_resets.use_link(
        user,
        token,
        form.cleaned_data["new_password1"],
        ip_address=client_info.address_of(request),
    )
    if not is_set:
        return _refuse(request)
    return HttpResponseRedirect(f"{reverse('new-password')}?{_DONE}=1")


def _refuse(request: HttpRequest) -> HttpResponse:
    return _page(
        request,
        status=HTTPStatus.GONE,
        message=_("This link has expired or was used. Ask for a new one in the app."),
    )


def _page(
    request: HttpRequest, *, status: HTTPStatus = HTTPStatus.OK, **context: Any
) -> HttpResponse:
    context |= {
        "title": _("New password"),
        "site_title": admin.site.site_title,
        "site_header": admin.site.site_header,
    }
    return render(request, "players/new_password.html", context, status=status)
