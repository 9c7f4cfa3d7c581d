"""What support does on the page of a student: each action is a POST to its own URL."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _, ngettext
from django.views.decorators.http import require_POST

from core.errors import MemoraError
from players import audit, client_info, tasks
from players.authentication import staff_of
from players.forms import (
    AllowedDeviceForm,
    FreezesForm,
    ReasonForm,
    RemovedDeviceForm,
    XPForm,
)
from players.models import PlayerProfile, SessionEndReason
from players.records import StoreUnavailableError
from players.services import accounts, devices, password_resets, sessions, wallet

Given = dict[str, Any]
Run = Callable[[HttpRequest, PlayerProfile, Given], str | HttpResponse]


@dataclass(frozen=True, slots=True)
class SupportAction:
    """An action on one student.

    ``run`` gets the form's cleaned data and returns the message to show, or a page.
    """

    name: str
    permission: str
    form: type[forms.Form]
    run: Run


def _allow_device(request: HttpRequest, player: PlayerProfile, given: Given) -> str:
    with transaction.atomic():
        if given["replaces"] is not None:
            devices.remove(
                player_id=player.pk, device_id=given["replaces"], **_by(request)
            )
        device = devices.add(
            player_id=player.pk,
            device_id=given["device_id"],
            name=given["name"],
            **_by(request),
        )
    said = _("“%(device)s” is allowed: the student can sign in on it now.")
    return said % {"device": device}


def _remove_device(request: HttpRequest, player: PlayerProfile, given: Given) -> str:
    devices.remove(player_id=player.pk, device_id=given["device_id"], **_by(request))
    return _("The device is removed. A session on it has ended.")


def _end_session(request: HttpRequest, player: PlayerProfile, given: Given) -> str:
    with audit.because(given["reason"]):
        ended = sessions.end_session(
            player.pk, SessionEndReason.ENDED_BY_STAFF, actor=staff_of(request)
        )
    return _("The session has ended.") if ended else _("There was no session.")


def _correct_xp(request: HttpRequest, player: PlayerProfile, given: Given) -> str:
    state = wallet.correct(
        player_id=player.pk,
        xp=given["xp"],
        reason=given["reason"],
        now=timezone.now(),
        **_by(request),
    )
    return _("The wallet now has %(total)d XP.") % {"total": state.total_xp}


def _give_freezes(request: HttpRequest, player: PlayerProfile, given: Given) -> str:
    held = wallet.give_freezes(
        player_id=player.pk,
        number=given["number"],
        reason=given["reason"],
        now=timezone.now(),
        **_by(request),
    )
    said = ngettext(
        "The student now has %(count)d streak freeze.",
        "The student now has %(count)d streak freezes.",
        held.freezes,
    )
    return said % {"count": held.freezes}


def _switch(
    request: HttpRequest, player: PlayerProfile, given: Given, *, is_active: bool
) -> str:
    accounts.set_active(
        player_id=player.pk, is_active=is_active, reason=given["reason"]
    )
    if is_active:
        return _("The account is switched on.")
    return _("The account is switched off. The student cannot sign in.")


def _reset_code(
    request: HttpRequest, player: PlayerProfile, given: Given
) -> HttpResponse:
    with audit.because(given["reason"]):
        code = password_resets.issue_code(player, staff_of(request))
    context = {
        **admin.site.each_context(request),
        "title": _("A code for a new password"),
        "opts": PlayerProfile._meta,
        "player": player,
        "code": f"{code[:4]} {code[4:]}",
        "minutes": int(password_resets.CODE_LIFE.total_seconds() // 60),
        "attempts": password_resets.CODE_ATTEMPTS,
    }
    page = TemplateResponse(request, "admin/players/reset_code.html", context)
    page.headers["Cache-Control"] = "private, no-store"
    return page


def _reset_link(request: HttpRequest, player: PlayerProfile, given: Given) -> str:
    with audit.because(given["reason"]):
        user_id = password_resets.allow_link(player, staff_of(request))
    tasks.enqueue_reset_link(user_id)
    said = _("A link to set a new password is on its way to %(email)s.")
    return said % {"email": player.user.email}


ACTIONS = (
    SupportAction(
        "allow-device", "players.add_device", AllowedDeviceForm, _allow_device
    ),
    SupportAction(
        "remove-device", "players.delete_device", RemovedDeviceForm, _remove_device
    ),
    SupportAction("end-session", "players.delete_session", ReasonForm, _end_session),
    SupportAction("correct-xp", "players.correct_playerwallet", XPForm, _correct_xp),
    SupportAction(
        "give-freezes",
        "players.give_freezes_playerwallet",
        FreezesForm,
        _give_freezes,
    ),
    SupportAction(
        "switch-off",
        "players.switch_playerprofile",
        ReasonForm,
        partial(_switch, is_active=False),
    ),
    SupportAction(
        "switch-on",
        "players.switch_playerprofile",
        ReasonForm,
        partial(_switch, is_active=True),
    ),
    SupportAction(
        "reset-code",
        "players.reset_password_playerprofile",
        ReasonForm,
        _reset_code,
    ),
    SupportAction(
        "reset-link",
        "players.reset_password_playerprofile",
        ReasonForm,
        _reset_link,
    ),
)


class SupportActions:
    """Mixin for the admin of players: the URLs of `ACTIONS`."""

    admin_site: admin.AdminSite
    get_queryset: Callable[[HttpRequest], QuerySet[PlayerProfile]]

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                f"<int:player_pk>/{action.name}/",
                self.admin_site.admin_view(
                    require_POST(partial(self._perform, action))
                ),
                name=f"players_support_{action.name.replace('-', '_')}",
            )
            for action in ACTIONS
        ]
        given: Any = super()
        return [*own, *given.get_urls()]

    def allowed_actions(self, request: HttpRequest) -> dict[str, bool]:
        """Return which actions the user may perform, by name in a template."""
        return {
            action.name.replace("-", "_"): request.user.has_perm(action.permission)
            for action in ACTIONS
        }

    def _perform(
        self, action: SupportAction, request: HttpRequest, player_pk: int
    ) -> HttpResponse:
        if not request.user.has_perm(action.permission):
            raise PermissionDenied
        player = get_object_or_404(self.get_queryset(request), pk=player_pk)
        form = action.form(request.POST)
        if form.is_valid():
            try:
                result = action.run(request, player, form.cleaned_data)
            except MemoraError as refusal:
                messages.error(request, refusal.message)
            except StoreUnavailableError:
                messages.error(request, redis_away())
            else:
                if isinstance(result, HttpResponse):
                    return result
                messages.success(request, result)
        for name, errors in form.errors.items():
            said = _("%(field)s: %(error)s")
            label = form.fields[name].label
            messages.error(request, said % {"field": label, "error": errors[0]})
        page = reverse("admin:players_playerprofile_change", args=[player.pk])
        return HttpResponseRedirect(page)


def redis_away() -> str:
    """Return the message for a change that Redis must know of and does not hear."""
    return _(
        "Redis does not answer, and a session cannot be ended without it. Nothing was "
        "changed: try again in a moment."
    )


def _by(request: HttpRequest) -> dict[str, Any]:
    return {
        "actor_id": request.user.pk,
        "ip_address": client_info.address_of(request),
    }
