"""Texts and badges for a plan's content on admin pages."""

from collections.abc import Mapping

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy, ngettext

from core.badges import LOCK, badge, paid_label
from plans.access import Access, Level, Override, Rule
from plans.explain import HiddenReason, NodeExplanation
from plans.models import LINEAR_VALUES, OverrideAction

LEVELS = {
    Level.PUBLIC: gettext_lazy("Public"),
    Level.AUTHENTICATED: gettext_lazy("Signed in"),
    Level.FREE_PREVIEW: gettext_lazy("Free preview"),
    Level.PAID: gettext_lazy("Paid"),
}
LEVEL_MEANINGS = {
    Level.PUBLIC: gettext_lazy("anyone, without signing in"),
    Level.AUTHENTICATED: gettext_lazy("every student of this plan"),
    Level.FREE_PREVIEW: gettext_lazy("anyone, even inside paid content"),
    Level.PAID: gettext_lazy("students who have the product"),
}


def access_badge(access: Access) -> SafeString:
    """Format an access level as a badge."""
    match access.level:
        case Level.PAID if access.item:
            return badge(LOCK, paid_label(access.item), "waiting")
        case Level.PAID:
            why = _("No product is set, so no student can open it. Set a product.")
            return badge(LOCK, _("Paid, without a product"), "failed", why=why)
        case Level.FREE_PREVIEW:
            return badge("★", _("Free preview"), "done")
        case Level.PUBLIC:
            return badge("◇", _("Public"), "action")
    return badge("○", _("Signed in"), "quiet")


def access_text(access: Access) -> str:
    """Format an access level as text."""
    word = str(LEVELS[access.level])
    return f"{word} · {access.item}" if access.item else word


def absence_badge(explanation: NodeExplanation) -> SafeString:
    """Format the reason why students do not see a node as a badge."""
    itself = explanation.absent_at == explanation.node.id
    match explanation.absent:
        case HiddenReason.HIDDEN:
            return badge(
                "⊘",
                _("Hidden in this plan") if itself else _("Hidden by a parent"),
                "quiet",
            )
        case HiddenReason.DRAFT:
            return badge("◌", _("Draft") if itself else _("Inside a draft"), "quiet")
        case HiddenReason.TRASH:
            return badge("✕", _("In the trash"), "quiet")
    return badge("◌", _("Empty, not shown"), "quiet")


def why(
    explanation: NodeExplanation,
    titles: Mapping[str, str],
    overridden: Mapping[str, Override],
) -> str:
    """Describe why students get a node like this: the rule and the deciding node.

    Args:
        titles: the titles of the node and its ancestors, by id.
        overridden: the overrides on them, by id.
    """
    if explanation.absent is not None:
        return _why_absent(explanation, titles)
    access = explanation.access
    decided_by = titles.get(access.decided_at, access.decided_at)
    if access.rule is Rule.INHERITED:
        above = overridden.get(access.decided_at)
        if above is not None and above.level is not None:
            return _("inherited from “%(title)s”, which this plan overrides") % {
                "title": decided_by
            }
        return _("inherited from “%(title)s”") % {"title": decided_by}
    match access.rule:
        case Rule.OVERRIDE:
            return _("override on this plan")
        case Rule.FREE_PREVIEW:
            return _("marked as a free preview, in every plan")
        case Rule.REQUIRED_ITEM:
            return _("has its own product code, in every plan")
        case Rule.PUBLIC:
            return _("marked as public, in every plan")
    return _("by default")


def _why_absent(explanation: NodeExplanation, titles: Mapping[str, str]) -> str:
    if explanation.absent is HiddenReason.EMPTY:
        return _("no lesson inside is published for this plan")
    if explanation.absent_at == explanation.node.id:
        match explanation.absent:
            case HiddenReason.HIDDEN:
                return _("override on this plan")
            case HiddenReason.DRAFT:
                return _("not published in any plan")
        return _("not in any plan until it is restored")
    return _("because of “%(title)s”") % {
        "title": titles.get(explanation.absent_at, explanation.absent_at)
    }


def action_text(action: str, value: str) -> str:
    """Describe an override as a short phrase."""
    match action:
        case OverrideAction.HIDE:
            return _("Hidden")
        case OverrideAction.SET_FREE:
            return _("Made free")
        case OverrideAction.SET_SOLD_SEPARATELY:
            sold = _("Sold separately")
            return f"{sold} · {value}" if value else sold
        case OverrideAction.SET_ACCESS_LEVEL:
            return str(LEVELS[Level(value)])
        case OverrideAction.SET_LINEAR:
            return _("In order") if LINEAR_VALUES[value] else _("In any order")
    return _("Renamed “%(title)s”") % {"title": value}


def script_texts() -> dict[str, str]:
    """Return the texts of `memora/plan.js` and `memora/plan-subjects.js`."""
    return {
        "failed": _("The server does not answer. Try again in a moment."),
        "forbidden": _("You do not have permission to do this. Ask a System Manager."),
        "not_found": _("This content has been deleted. Reload the page."),
        "signed_out": _(
            "You are signed out. Your text is kept on this page: sign in in another "
            "tab, then continue."
        ),
        "sign_in": _("Sign in"),
        "sign_in_url": reverse("admin:login"),
        "drag": _("Move “%(title)s”: drag, or press the arrow keys"),
        "moved": _("“%(title)s” is now number %(place)s."),
    }


def lesson_count_text(seen: int, total: int) -> SafeString:
    """Format the number of lessons, and of visible ones if students do not see all."""
    count = ngettext("%(count)d lesson", "%(count)d lessons", total)
    if seen == total:
        return format_html("{}", count % {"count": total})
    partly = ngettext(
        "%(seen)d of %(count)d lesson", "%(seen)d of %(count)d lessons", total
    )
    return format_html("{}", partly % {"seen": seen, "count": total})
