"""The panels on a student's page: the ledger, progress by subject, and reviews."""

from collections.abc import Iterable
from urllib.parse import urlencode

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from core.badges import badge
from core.parsing import whole_number
from players.hooks import player_panels
from players.models import PlayerProfile
from progress.grant_views import may_correct
from progress.services import player_report, timeline
from progress.services.player_report import TreeStep
from progress.services.timeline import Cursor
from progress.unlock import LockedReason, Status

_PERMISSIONS = (
    "progress.view_interactionlog",
    "progress.view_structureprogress",
    "progress.view_reviewcard",
)


@player_panels.add
def progress_of_player(request: HttpRequest, player: PlayerProfile) -> SafeString:
    """Render the panels, for staff who may see all three.

    Sign-ins and sign-outs are shown to staff who may see the audit trail. The query
    ``?ledger=&event=`` is where the page of the timeline begins (`timeline.Cursor`),
    ``?subject=`` the subject whose tree is shown.
    """
    if not request.user.has_perms(_PERMISSIONS):
        return SafeString("")
    before = Cursor(
        ledger=whole_number(request.GET.get("ledger", "")),
        event=whole_number(request.GET.get("event", "")),
    )
    sees_visits = request.user.has_perm("players.view_securityevent")
    report = player_report.load(
        player.pk,
        user_id=player.user_id if sees_visits else None,
        before=before,
        subject_id=request.GET.get("subject", ""),
        now=timezone.now(),
    )
    context = {
        "report": report,
        "tree": with_badges(report.tree),
        "is_newest": before == timeline.NEWEST,
        "older": _query_of(report.timeline.older),
        "player_pk": player.pk,
        "may_correct": may_correct(request),
    }
    template = "admin/progress/player_panel.html"
    return SafeString(render_to_string(template, context, request))


def _query_of(cursor: Cursor | None) -> str:
    """Return the query of a page of the timeline; "" without one."""
    if cursor is None:
        return ""
    numbers = {"ledger": cursor.ledger, "event": cursor.event}
    return urlencode({name: one for name, one in numbers.items() if one is not None})


def with_badges(tree: Iterable[TreeStep]) -> list[tuple[TreeStep, SafeString | str]]:
    """Return each step of a tree with the badge of its state."""
    return [(node, _badge(node)) for node in tree]


def _badge(node: TreeStep) -> SafeString | str:
    """Return the state of a node; "" for an open container, whose lessons tell more."""
    if node.status == Status.PASSED:
        return badge("●", _("Passed"), "done")
    if node.step == "lesson" and node.is_next:
        return badge("▸", _("Next lesson"), "action")
    if node.locked_reason == LockedReason.NOT_ENTITLED:
        return badge("★", _("Needs a product"), "waiting")
    if node.status == Status.LOCKED:
        return badge("⊘", _("Locked"), "quiet")
    return badge("○", _("Unlocked"), "action") if node.step == "lesson" else ""
