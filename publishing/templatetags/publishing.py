"""Template filters for states, times and durations on the publishing pages."""

from datetime import datetime, timedelta

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy

from content.models import NodeKind
from core.badges import Tone, badge
from publishing.monitoring.dashboard import CdnState, PlanState

register = template.Library()

_MINUTE = timedelta(minutes=1)
_STATES: dict[PlanState, tuple[str, Tone, object]] = {
    PlanState.DEAD_LETTER: ("✕", "failed", gettext_lazy("Dead Letter")),
    PlanState.UPLOAD_FAILED: ("✕", "failed", gettext_lazy("Upload failed")),
    PlanState.RETRYING: ("!", "failed", gettext_lazy("Failed, retrying")),
    PlanState.PAUSED: ("‖", "waiting", gettext_lazy("Waiting for disk space")),
    PlanState.BUILDING: ("▸", "action", gettext_lazy("Building")),
    PlanState.WITHDRAWING: ("⟳", "waiting", gettext_lazy("Waiting to be withdrawn")),
    PlanState.WAITING: ("⟳", "waiting", gettext_lazy("Waiting to publish")),
    PlanState.UPLOADING: ("▸", "action", gettext_lazy("Not yet on the CDN")),
    PlanState.ROLLED_BACK: ("↶", "action", gettext_lazy("Held after a rollback")),
    PlanState.UP_TO_DATE: ("●", "done", gettext_lazy("Up to date")),
}
_ON_CDN: dict[CdnState, tuple[str, Tone, object]] = {
    CdnState.FAILED: ("✕", "failed", gettext_lazy("Upload failed")),
    CdnState.RETRYING: ("!", "failed", gettext_lazy("Failed, retrying")),
    CdnState.UPLOADING: ("▸", "action", gettext_lazy("Uploading")),
    CdnState.WAITING: ("⟳", "waiting", gettext_lazy("Waiting to be uploaded")),
    CdnState.UP_TO_DATE: ("●", "done", gettext_lazy("Up to date")),
}


@register.filter
def plan_state(state: PlanState) -> SafeString:
    """Format a plan's state as a badge."""
    shape, tone, word = _STATES[state]
    return badge(shape, word, tone)


@register.filter
def cdn_state(state: CdnState | None) -> SafeString | str:
    """Format a plan's state on the CDN as a badge; a dash for None."""
    if state is None:
        return "–"
    shape, tone, word = _ON_CDN[state]
    return badge(shape, word, tone)


@register.simple_tag(name="badge")
def badge_tag(shape: str, tone: Tone, word: object) -> SafeString:
    """Format any state as a badge: shape, word and colour."""
    return badge(shape, word, tone)


@register.filter
def kind_name(kind: str) -> str:
    """Return the name of a node's kind."""
    return str(NodeKind(kind).label)


@register.filter
def moment(when: datetime | None) -> SafeString | str:
    """Format a time relative to now, to the minute; the exact time is the tooltip."""
    if when is None:
        return "–"
    until = when - timezone.now()
    if abs(until) >= _MINUTE:
        text = naturaltime(when)
    elif until > timedelta(0):
        text = _("in less than a minute")
    else:
        text = _("less than a minute ago")
    return _time(when, text)


@register.filter
def due(when: datetime | None) -> SafeString | str:
    """Format the time of the next attempt; a past time is shown as "now"."""
    if when is not None and when <= timezone.now():
        return _time(when, _("now"))
    return moment(when)


def _time(when: datetime, text: str) -> SafeString:
    exact = localize(timezone.localtime(when))
    iso = when.isoformat(timespec="seconds")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        iso,
        exact,
        text,
    )


@register.filter
def seconds(value: float | None) -> str:
    """Format a duration in seconds, with its unit."""
    if value is None:
        return "–"
    if value < 90:
        digits = 2 if value < 10 else 0
        return _("%(seconds)s s") % {"seconds": localize(round(value, digits))}
    return _("%(minutes)s min") % {"minutes": localize(round(value / 60, 1))}


@register.filter
def first_line(text: str) -> str:
    """Return the first line of a text, such as a long error."""
    return text.partition("\n")[0]
