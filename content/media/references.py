"""Find and change the addresses of media in a stage's config. Plain rules.

An address is that of a picture field, of a Video stage, of ``src``, ``poster`` and
``href`` in HTML, or of a link or picture in Markdown. The type's schema says which text
is which.
"""

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from content import config_texts
from content.html_tokens import Token, tokens
from content.json_errors import Path


class Use(StrEnum):
    """What an address is for."""

    PICTURE = "picture"
    AUDIO = "audio"
    VIDEO = "video"
    LINK = "link"
    """A link; it may lead to anything, also to a file."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An address of media, the path of its text in the config, and its use."""

    path: Path
    address: str
    use: Use


Change = Callable[[Reference], str]
"""Returns the new address of a reference."""

_SCHEME = re.compile(r"\A(?:[A-Za-z][A-Za-z0-9+.-]*+:|//|#)")


def is_external(address: str) -> bool:
    """Return whether the address leads to another host, or within its text."""
    return bool(_SCHEME.match(address.strip()))


def file_name(address: str) -> str:
    """Return the path in an address without its query and with escapes decoded."""
    return unquote(address.strip().partition("#")[0].partition("?")[0])


def of_config(type_name: str, config: Any) -> list[Reference]:
    """Return the references in a config, in order; none for an unknown type."""
    found: list[Reference] = []

    def note(reference: Reference) -> str:
        found.append(reference)
        return reference.address

    changed(type_name, config, note)
    return found


def changed(type_name: str, config: Any, change: Change) -> Any:
    """Return a copy of ``config`` with every address changed.

    A text whose addresses all stay equal is unchanged.
    """

    def text(path: Path, place: Mapping[str, Any], value: str) -> str:
        def use_of(address: str, use: Use) -> str:
            return change(Reference(path, address, use))

        widget = place.get("x-widget")
        if widget == "image":
            return use_of(value, Use.PICTURE)
        if widget == "video":
            return use_of(value, Use.VIDEO)
        if place.get("contentMediaType") == "text/html":
            return _in_html(value, use_of)
        if widget == "text":
            return _in_markdown(value, use_of)
        return value

    return config_texts.changed(type_name, config, text)


# --- HTML ---------------------------------------------------------------------

_ATTRIBUTES = {
    ("img", "src"): Use.PICTURE,
    ("audio", "src"): Use.AUDIO,
    ("video", "src"): Use.VIDEO,
    ("video", "poster"): Use.PICTURE,
    ("a", "href"): Use.LINK,
}
_MEDIA_PARENTS = {"audio": Use.AUDIO, "video": Use.VIDEO, "picture": Use.PICTURE}
_VALUE = re.compile(
    r"""(?<=[\s"'/])(?P<before>(?P<name>src|poster|href)\s*+=\s*+)"""
    r"""(?:"(?P<double>[^"]*+)"|'(?P<single>[^']*+)'|(?P<bare>[^\s"'<>]++))""",
    re.IGNORECASE,
)


def _in_html(text: str, use_of: Callable[[str, Use], str]) -> str:
    if "=" not in text:
        return text
    pieces: list[str] = []
    is_changed = False
    inside = Use.AUDIO
    for token in tokens(text):
        if token.name in _MEDIA_PARENTS and not token.is_end:
            inside = _MEDIA_PARENTS[token.name]
        source = token.source
        if token.attributes and not token.is_end:
            source = _in_tag(token, inside, use_of)
            is_changed = is_changed or source != token.source
        pieces.append(source)
    return "".join(pieces) if is_changed else text


def _in_tag(token: Token, inside: Use, use_of: Callable[[str, Use], str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        key = (token.name, match["name"].lower())
        use = inside if key == ("source", "src") else _ATTRIBUTES.get(key)
        if use is None:
            return match[0]
        written = match["double"] or match["single"] or match["bare"] or ""
        address = html.unescape(written).strip()
        new = use_of(address, use) if address else address
        return match[0] if new == address else f'{match["before"]}"{html.escape(new)}"'

    return _VALUE.sub(replaced, token.source)


# --- Markdown -----------------------------------------------------------------

_MARKDOWN = re.compile(r"(?<=\]\()\s*+<?(?P<address>[^()\s<>]++)")
_MAX_LABEL = 300


def _in_markdown(text: str, use_of: Callable[[str, Use], str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        start = _start_of_label(text, match.start() - len("]("))
        use = Use.PICTURE if start > 0 and text[start - 1] == "!" else Use.LINK
        new = use_of(match["address"], use)
        return match[0].removesuffix(match["address"]) + new

    return _MARKDOWN.sub(replaced, text) if "](" in text else text


def _start_of_label(text: str, end: int) -> int:
    """Return the place of the bracket that opens the label ending at ``end``."""
    depth = 0
    for place in range(end - 1, max(end - _MAX_LABEL, 0) - 1, -1):
        if text[place] == "]":
            depth += 1
        elif text[place] == "[":
            if not depth:
                return place
            depth -= 1
    return -1
