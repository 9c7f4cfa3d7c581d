"""The pages that print sign-in slips: what happens, and then the PDF."""

from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone, translation
from django.utils.translation import get_language, gettext as _, gettext_lazy

from players import slip_pdf
from players.services import sign_in_slips

PERMISSION = "players.reset_password_playerprofile"


class SlipForm(forms.Form):
    """Which document to print, in which language."""

    part = forms.TypedChoiceField(label=gettext_lazy("students"), coerce=int)
    language = forms.ChoiceField(
        label=gettext_lazy("language of the slips"), choices=settings.LANGUAGES
    )

    def __init__(self, *args: Any, parts: list[tuple[int, int]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        part = self.fields["part"]
        assert isinstance(part, forms.TypedChoiceField)
        part.choices = [
            (number, _("%(first)d to %(last)d") % {"first": first, "last": last})
            for number, (first, last) in enumerate(parts)
        ]


def respond(
    request: HttpRequest,
    player_ids: Collection[int],
    *,
    url: str,
    hidden: Sequence[tuple[str, Any]] = (),
) -> HttpResponse:
    """Return the page that asks for confirmation, or the PDF once it is given.

    The caller has checked `PERMISSION`.

    Args:
        url: where the form is posted, with the fields of ``hidden``.

    Raises:
        StoreAwayError: Redis does not answer; nothing has changed.
    """
    chosen = sign_in_slips.choose(player_ids)
    is_confirmed = "confirmed" in request.POST
    form = SlipForm(
        request.POST if is_confirmed else None,
        parts=chosen.parts,
        initial={"part": 0, "language": get_language()},
    )
    if is_confirmed and form.is_valid():
        given = form.cleaned_data
        return _document(chosen.part(given["part"]), given["language"])
    context = {
        **admin.site.each_context(request),
        "title": _("Print sign-in slips"),
        "count": len(chosen.player_ids),
        "left_out": chosen.left_out,
        "most": sign_in_slips.MAX_SLIPS,
        "form": form,
        "url": url,
        "hidden": hidden,
    }
    return TemplateResponse(request, "admin/players/sign_in_slips.html", context)


def _document(player_ids: Collection[int], language: str) -> HttpResponse:
    slips = sign_in_slips.issue(player_ids)
    with translation.override(language):
        data = slip_pdf.render(slips, heading=urlsplit(settings.SITE_URL).netloc)
    name = f"sign-in-slips-{timezone.localdate():%Y-%m-%d}.pdf"
    return HttpResponse(
        data,
        content_type="application/pdf",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "private, no-store",
        },
    )
