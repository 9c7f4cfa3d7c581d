"""How a state looks in the admin: always shape, word and colour together."""

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
"""A shape that not every typeface has."""


def badge(shape: str, word: object, tone: Tone, *, why: object = "") -> SafeString:
    """A state as people see it; the shape and the colour repeat what ``word`` says.

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


def paid_with(item: str) -> SafeString:
    """“Paid”, and the product that opens it where one is named."""
    if not item:
        return format_html("{}", _("Paid"))
    return format_html('{} · <bdi dir="ltr">{}</bdi>', _("Paid"), item)
