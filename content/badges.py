"""How a state looks in the admin: always shape, word and colour together."""

from typing import Literal

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

Tone = Literal["done", "quiet", "waiting", "failed", "action"]


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
