"""Admin actions that export and erase students."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy, ngettext

from core.errors import MemoraError
from players import client_info
from players.models import PlayerProfile
from players.services import erasure, export


class PrivacyActions:
    """Mixin for the admin of players: two actions, each with its own permission.

    Django's own deletion is off, because it does not cover files, Redis and names in
    other tables.
    """

    admin_site: admin.AdminSite

    def has_delete_permission(self, *_args: Any) -> bool:
        return False

    def has_erase_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("players.erase_playerprofile")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("players.export_playerprofile")

    @admin.action(
        description=gettext_lazy("Export all data of the selected students"),
        permissions=["export"],
    )
    def export_chosen(
        self, request: HttpRequest, queryset: QuerySet[PlayerProfile]
    ) -> HttpResponse | None:
        """Return a JSON file: the document of one player, or a list for several."""
        try:
            documents = [
                export.export_player(player_id=pk, now=timezone.now(), **_by(request))
                for pk in queryset.order_by("pk").values_list("pk", flat=True)
            ]
        except MemoraError as refusal:
            messages.error(request, refusal.message)
            return None
        except OSError as error:
            said = _("A photo cannot be read: %(why)s")
            messages.error(request, said % {"why": error.strerror or error})
            return None
        name = "students.json"
        if len(documents) == 1:
            name = f"student-{documents[0]['player']['id']}.json"
        return HttpResponse(
            export.as_json(documents[0] if len(documents) == 1 else documents),
            content_type="application/json; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Cache-Control": "private, no-store",
            },
        )

    @admin.action(description=gettext_lazy("Erase …"), permissions=["erase"])
    def erase_chosen(
        self, request: HttpRequest, queryset: QuerySet[PlayerProfile]
    ) -> HttpResponse | None:
        """Show a confirmation page; once confirmed, erase the players one by one."""
        players = queryset.select_related("user").order_by("pk")
        if "confirmed" in request.POST:
            self._erase(request, list(players))
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": _("Erase students"),
            "players": players,
            "keeps_ledger": erasure.keeps_ledger(),
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            "opts": PlayerProfile._meta,
        }
        return TemplateResponse(request, "admin/players/erase.html", context)

    def _erase(self, request: HttpRequest, players: list[PlayerProfile]) -> None:
        done = waiting = 0
        for player in players:
            try:
                result = erasure.erase(
                    player_id=player.pk, now=timezone.now(), **_by(request)
                )
            except MemoraError as refusal:
                messages.error(request, refusal.message)
            else:
                done += 1
                waiting += bool(result.remaining)
        if done:
            said = ngettext(
                "%(count)d student is erased.", "%(count)d students are erased.", done
            )
            messages.success(request, said % {"count": done})
        if waiting:
            said = ngettext(
                "Files or copies in Redis of %(count)d student remain; their "
                "deletion is retried every five minutes.",
                "Files or copies in Redis of %(count)d students remain; their "
                "deletion is retried every five minutes.",
                waiting,
            )
            messages.warning(request, said % {"count": waiting})


def _by(request: HttpRequest) -> dict[str, Any]:
    return {
        "actor_id": request.user.pk,
        "ip_address": client_info.address_of(request),
    }
