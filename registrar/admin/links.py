"""Links to the page of a record."""

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _


def timeline_url(module: str, record_id: str) -> str:
    """Return the address of a record's timeline."""
    return reverse("admin:registrar_timeline", args=[module, record_id])


def timeline(module: str, record_id: str, text: str = "") -> SafeString:
    """Return a link to a record's timeline; without a text, it says so."""
    return format_html(
        '<a href="{}"><bdi>{}</bdi></a>',
        timeline_url(module, record_id),
        text or _("Timeline"),
    )


def record(module: str, record_id: str) -> SafeString:
    """Return a link to a record's timeline, with its module below; "" is a whole one."""
    shown = timeline(module, record_id, record_id) if record_id else "–"
    return format_html(
        '{}<br><bdi class="quiet" dir="ltr">{}</bdi>',
        shown,
        module,
    )
