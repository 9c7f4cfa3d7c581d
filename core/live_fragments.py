"""The part of an admin page that the browser requests again: rendered text and its ETag.

The script is `dashboard.js` of publishing; the page extends
``admin/publishing/live_dashboard.html``.
"""

import hashlib

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.translation import get_language


def etag(body: str) -> str:
    """Return an ETag of the rendered text, so that no stale text stays on the page."""
    text = f"{get_language()}:{body}"
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def answer(request: HttpRequest, body: str) -> HttpResponse:
    """Return the rendered text with its ETag; 304 if the browser has it."""
    tag = etag(body)
    fresh = HttpResponse(body, headers={"ETag": tag})
    response = get_conditional_response(request, tag, response=fresh)
    return fresh if response is None else response
