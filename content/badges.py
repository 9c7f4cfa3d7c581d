"""How a state looks in the admin: always shape, word and colour together."""

from typing import Literal

from django.utils.html import format_html
from django.utils.safestring import SafeString

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
