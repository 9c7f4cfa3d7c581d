"""Template filters for differences and times in the history pages."""

import json
from datetime import datetime
from typing import Any

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

register = template.Library()

_CONTEXT = 60
_MAX_LENGTH = 1500


@register.filter
def when(moment: datetime) -> SafeString:
    """Render how long ago it was, with the exact time on hover."""
    exact = localize(timezone.localtime(moment))
    iso = moment.isoformat(timespec="seconds")
    text = naturaltime(moment)
    return format_html('<time datetime="{}" title="{}">{}</time>', iso, exact, text)


@register.filter
def as_text(value: Any) -> str:
    """Render a JSON value as text; a list or an object as a block."""
    match value:
        case None:
            return "–"
        case bool():
            return _("yes") if value else _("no")
        case str():
            return _cut(value)
        case int() | float():
            return str(value)
    block = _cut(json.dumps(value, ensure_ascii=False, indent=2))
    return format_html('<pre class="readable" dir="ltr">{}</pre>', block)


@register.simple_tag
def before_and_after(old: Any, new: Any) -> SafeString:
    """Render two values side by side; long texts are reduced to the difference."""
    before, after = as_text(old), as_text(new)
    if isinstance(old, str) and isinstance(new, str):
        before, after = _around(old, new)
    return format_html(
        '<del dir="auto">{}</del> <span class="arrow" aria-hidden="true">→</span> '
        '<ins dir="auto">{}</ins>',
        before or "–",
        after or "–",
    )


def _around(old: str, new: str) -> tuple[str, str]:
    """Remove the common start and end of two texts, except for some context."""
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    start = max(same - _CONTEXT, 0)
    tail = 0
    longest = min(len(old), len(new)) - same
    while tail < longest and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    end = max(tail - _CONTEXT, 0)
    return _part(old, start, end), _part(new, start, end)


def _part(text: str, start: int, end: int) -> str:
    """Return ``text`` without its first ``start`` and last ``end`` characters."""
    cut = text[start : len(text) - end].strip()
    return _cut(("… " if start else "") + cut + (" …" if end else ""))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]} …"
