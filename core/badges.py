"""State badges for the admin, each with a shape, a word and a colour."""

from typing import Literal

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

Tone = Literal["done", "quiet", "waiting", "failed", "action"]

LOCK = SafeString(
    '<svg width="0.9em" height="0.9em" viewBox="0 0 16 16" fill="none" '
    'stroke="currentColor" stroke-width="1.8">'
    '<path d="M3 7.5h10V14H3zM5.2 7V5a2.8 2.8 0 0 1 5.6 0v2" /></svg>'
)
"""An inline SVG, because not every typeface has a lock."""


def badge(shape: str, word: object, tone: Tone, *, why: object = "") -> SafeString:
    """Render a badge; the shape and the colour repeat the meaning of ``word``.

    Args:
        why: a sentence shown on hover.
    """
    return format_html(
        '<span class="badge badge-{}" title="{}">'
        '<span class="badge-shape" aria-hidden="true">{}</span>{}</span>',
        tone,
        why,
        shape,
        word,
    )


def paid_label(item: str) -> SafeString:
    """Render “Paid” with the product code, if there is one."""
    if not item:
        return format_html("{}", _("Paid"))
    return format_html('{} · <bdi dir="ltr">{}</bdi>', _("Paid"), item)
