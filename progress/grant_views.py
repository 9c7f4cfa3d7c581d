"""Pages on which staff grant and reset lessons: what will happen, and its confirmation."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _, gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from core.errors import MemoraError
from players import client_info
from players.authentication import staff_of
from players.forms import ReasonForm
from players.models import PlayerProfile
from progress.services import grants, player_report
from progress.services.grants import Change
from progress.xp import MAX_HEARTS

_PERMISSIONS = (
    "players.view_playerprofile",
    "progress.view_structureprogress",
    "progress.correct_structureprogress",
)
_MOST_SHOWN = 100
"""How many lessons the page lists; the others are counted."""


class GrantForm(ReasonForm):
    """The hearts and the reason of a grant."""

    hearts = forms.TypedChoiceField(
        label=gettext_lazy("hearts"),
        choices=[(hearts, hearts) for hearts in range(MAX_HEARTS, 0, -1)],
        coerce=int,
        initial=MAX_HEARTS,
    )
    field_order = ("hearts", "reason")


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the URL patterns of the pages, below the admin's own URL."""
    return [
        path(
            f"progress/students/<int:player_pk>/{change}/",
            site.admin_view(_page),
            {"change": change},
            name=f"progress_{change}",
        )
        for change in Change
    ]


def may_correct(request: HttpRequest) -> bool:
    """Whether the user may grant and reset progress."""
    return request.user.has_perms(_PERMISSIONS)


@require_http_methods(["GET", "HEAD", "POST"])
def _page(request: HttpRequest, player_pk: int, change: Change) -> HttpResponse:
    """Render what a grant or reset of ``?node=`` would do; a POST does it.

    Raises:
        PermissionDenied: the user may not grant and reset progress.
        Http404: there is no such student.
    """
    if not may_correct(request):
        raise PermissionDenied
    players = PlayerProfile.objects.filter(erased_at=None).select_related("user")
    player = get_object_or_404(players, pk=min(player_pk, 2**63 - 1))
    node = request.GET.get("node", "")
    form_class = GrantForm if change is Change.GRANT else ReasonForm
    form = form_class(request.POST or None)
    try:
        if form.is_valid():
            count = _apply(request, player, node, change, form.cleaned_data)
            messages.success(request, _done(change, count))
            return HttpResponseRedirect(_back(player, node))
        found = grants.preview(
            player_id=player.pk, node_id=node, change=change, now=timezone.now()
        )
    except MemoraError as refusal:
        messages.error(request, refusal.message)
        return HttpResponseRedirect(_back(player, ""))
    titles = player_report.titles_in(player.pk, found.subject_id)
    shown = found.lessons[:_MOST_SHOWN]
    context = {
        **admin.site.each_context(request),
        "title": _title(change) % {"title": titles.get(node, node)},
        "player": player,
        "is_grant": change is Change.GRANT,
        "found": found,
        "titles": [titles.get(lesson.id, lesson.id) for lesson in shown],
        "more": len(found.lessons) - len(shown),
        "limit": grants.MAX_LESSONS,
        "form": form,
        "back": _back(player, found.subject_id),
    }
    return TemplateResponse(request, "admin/progress/correction.html", context)


def _apply(
    request: HttpRequest,
    player: PlayerProfile,
    node: str,
    change: Change,
    given: dict[str, Any],
) -> int:
    return grants.apply(
        player_id=player.pk,
        node_id=node,
        change=change,
        hearts=given.get("hearts", MAX_HEARTS),
        reason=given["reason"],
        actor_id=staff_of(request).pk,
        ip_address=client_info.address_of(request),
        now=timezone.now(),
    )


def _title(change: Change) -> str:
    if change is Change.GRANT:
        return _("Grant progress: %(title)s")
    return _("Reset progress: %(title)s")


def _done(change: Change, count: int) -> str:
    if change is Change.GRANT:
        said = ngettext(
            "%(count)d lesson was granted.", "%(count)d lessons were granted.", count
        )
    else:
        said = ngettext(
            "%(count)d lesson was reset.", "%(count)d lessons were reset.", count
        )
    return said % {"count": count}


def _back(player: PlayerProfile, node: str) -> str:
    """Return the student's page, at the progress of the subject if it is one."""
    page = reverse("admin:players_playerprofile_change", args=[player.pk])
    return f"{page}?{urlencode({'subject': node})}#progress"
