"""The body of a delivery for the page: readable, and without secrets."""

import json
from typing import Any
from urllib.parse import parse_qsl

from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin_mixins import readable_json

_SECRET = ("token", "password", "secret", "api_key", "apikey", "authorization")
"""A name that contains one of these has a secret as its value."""
_HIDDEN = "•••"


def shown(body: bytes) -> SafeString:
    """Return the body as HTML: JSON and forms by name, with secrets replaced."""
    text = body.decode(errors="replace")
    try:
        return readable_json(_without_secrets(json.loads(text)))
    except (ValueError, RecursionError):
        fields = parse_qsl(text, keep_blank_values=True)
    if fields:
        return readable_json(_without_secrets(dict(fields)))
    return format_html('<pre class="readable" dir="auto">{}</pre>', text)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _HIDDEN
        if any(word in str(name).lower() for word in _SECRET)
        else _without_secrets(one)
        for name, one in value.items()
    }
