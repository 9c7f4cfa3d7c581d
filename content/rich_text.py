"""Sanitise the HTML that editors write: what is allowed, how much, and what is lost.

Plain Python: no Django here. nh3 decides what is safe. `content.html_tokens` reads the
text first, so that nh3 never parses more than the limits allow and the removed parts
are known.
"""

import html as references
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import nh3

from content.html_tokens import (
    Size,
    Token,
    is_part_of_a_drawing,
    names,
    size,
    tokens,
    well_formed,
)
from content.video_pages import frame_address
from core.folding import visible_text

MAX_CHARACTERS = 1_000_000
"""For the text as written. A schema's ``maxLength`` limits the cleaned text."""
MAX_ELEMENTS = 10_000
MAX_DEPTH = 100
"""The time of an HTML parser is proportional to elements times depth.

nh3 takes 3 s for 40,000 nested ``<div>``, and 0.1 s for the most that is allowed here.
"""

_EVERYWHERE = {"dir", "lang", "title"}
_ALLOWED: dict[str, Any] = {
    "attributes": {**nh3.ALLOWED_ATTRIBUTES, "*": _EVERYWHERE},
    "url_schemes": {"https", "http", "mailto", "tel"},
}
_FRAME = {"src", "width", "height", "allow", "allowfullscreen", "loading"}
_REFERRER_POLICIES = {
    "no-referrer",
    "origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
}
"""Policies that send another site no more than this site's origin.

Some players, such as YouTube's, do not work without a referrer.
"""


def _in_a_frame(element: str, attribute: str, value: str) -> str | None:
    """Return an attribute's value in a text with frames; None removes the attribute.

    The page of a video, which cannot be framed, is replaced by its player.
    """
    if element == "iframe" and attribute == "src":
        value = frame_address(value)
    is_insecure = attribute in _ADDRESSES and _INSECURE.match(value)
    return None if is_insecure else value


_ADDRESSES = frozenset({"src", "href", "cite"})
_INSECURE = re.compile(r"\A\s*+http:", re.IGNORECASE)
_ALLOWED_TO_EMBED: dict[str, Any] = {
    "tags": {*nh3.ALLOWED_TAGS, "iframe"},
    "attributes": {**nh3.ALLOWED_ATTRIBUTES, "*": _EVERYWHERE, "iframe": _FRAME},
    "tag_attribute_values": {"iframe": {"referrerpolicy": _REFERRER_POLICIES}},
    "url_schemes": {"https", "http"},
    "attribute_filter": _in_a_frame,
}
_CLEANER = nh3.Cleaner(**_ALLOWED)
_EMBED_CLEANER = nh3.Cleaner(**_ALLOWED_TO_EMBED)


class Excess(StrEnum):
    """The limit that a text exceeds."""

    CHARACTERS = "characters"
    ELEMENTS = "elements"
    DEPTH = "depth"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The cleaned text, and names of what was removed: ``<math>``, ``style (3)`` …"""

    html: str
    lost: tuple[str, ...] = ()
    excess: Excess | None = None
    """The exceeded limit; the text was then not read, and ``html`` is unchanged."""


def clean(html: str, *, embed: bool = False) -> Cleaned:
    """Return the part of ``html`` that may be stored. Idempotent; linear in the length.

    Args:
        embed: allow ``<iframe>``.
    """
    if len(html) > MAX_CHARACTERS:
        return Cleaned(html, excess=Excess.CHARACTERS)
    if html.count("<") <= MAX_DEPTH and sanitise(html, embed=embed) == html:
        return Cleaned(html)  # the usual case: it is already clean
    before = list(tokens(html))
    if excess := _excess(size(before)):
        return Cleaned(html, excess=excess)
    # Twice: the parser may read its own output of misnested elements differently.
    kept = sanitise(sanitise(well_formed(before), embed=embed), embed=embed)
    return Cleaned(kept, tuple(_find_lost(before, list(tokens(kept)))))


def _excess(found: Size) -> Excess | None:
    if found.elements > MAX_ELEMENTS:
        return Excess.ELEMENTS
    return Excess.DEPTH if found.depth > MAX_DEPTH else None


def sanitise(
    html: str, *, embed: bool = False, absolute: Callable[[str], str] | None = None
) -> str:
    """Return ``html`` without unsafe parts; for a text that `clean` returned before.

    Args:
        absolute: makes a URL of a path on this site; None keeps the paths.
    """
    clean = (_EMBED_CLEANER if embed else _CLEANER).clean(html)
    if absolute is None or '="/' not in clean:
        return clean
    return nh3.clean(
        clean,
        url_relative=lambda url: absolute(url) if is_here(url) else url,
        **(_ALLOWED_TO_EMBED if embed else _ALLOWED),
    )


def is_here(url: str) -> bool:
    """Return whether a URL is a path on this site."""
    return url.startswith("/") and not url.startswith("//")


_VISIBLE_WITHOUT_TEXT = frozenset({"img", "hr", "iframe"})


def has_content(html: str) -> bool:
    """Return whether a sanitised text shows anything."""
    found = list(tokens(html))
    return bool(visible_text(_text(found))) or any(
        token.name in _VISIBLE_WITHOUT_TEXT for token in found
    )


def _text(found: Iterable[Token]) -> str:
    return references.unescape("".join(t.source for t in found if not t.name))


# --- Removed parts ----------------------------------------------------------------

_NO_EFFECT = names(
    "html head body meta link base title section main search label tbody o:p"
)
"""Elements that display nothing themselves; their content is kept."""
_NO_EFFECT_ATTRIBUTE = re.compile(
    r"class\Z|id\Z|rel\Z|target\Z|role\Z|tabindex\Z|contenteditable\Z|spellcheck\Z"
    r"|draggable\Z|xmlns|data-|aria-"
)
"""Attributes for scripts, style sheets or editors, which have no effect here."""
_MAX_NAMED = 12


def _find_lost(before: Sequence[Token], after: Sequence[Token]) -> list[str]:
    """Return what ``after`` lacks: elements, then attributes, then text."""
    had, has = _elements(before), _elements(after)
    elements = {
        name: had[name] - has[name]
        for name in had
        if name not in _NO_EFFECT and not is_part_of_a_drawing(name)
    }
    removed = {name for name in had if not has[name]}
    had_attributes, has_attributes = _attributes(before), _attributes(after)
    attributes = {
        _attribute_words(*key): count - has_attributes[key]
        for key, count in had_attributes.items()
        if key[0] not in removed
    }
    lost = [
        f"{label} ({count})" if count > 1 else label
        for label, count in (
            *((f"<{name}>", count) for name, count in elements.items()),
            *attributes.items(),
        )
        if count > 0
    ]
    if len(lost) > _MAX_NAMED:
        lost = [*lost[:_MAX_NAMED], "…"]
    text = _lost_text(before, after)
    return [*lost, f"“{text}”"] if text else lost


def _elements(found: Iterable[Token]) -> Counter[str]:
    return Counter(t.name for t in found if t.name and not t.is_end)


def _attributes(found: Sequence[Token]) -> Counter[tuple[str, str, str]]:
    """Count the attributes by element, and by the scheme of URLs."""
    targets = {
        value[1:]
        for token in found
        if token.name == "a"
        for name, value in token.attribute_values()
        if name == "href" and value.startswith("#")
    }
    counted: Counter[tuple[str, str, str]] = Counter()
    for token in found:
        for name, value in token.attribute_values():
            if name == "id" and value in targets:
                counted[token.name, "id", ""] += 1
            elif not _NO_EFFECT_ATTRIBUTE.match(name):
                counted[token.name, name, _scheme(name, value)] += 1
    return counted


_SCHEME = re.compile(r"\A\s*+([A-Za-z][A-Za-z0-9+.-]{0,20}):")


def _scheme(name: str, value: str) -> str:
    if name not in ("src", "href"):
        return ""
    found = _SCHEME.match(value)
    scheme = found[1].lower() if found else ""
    return "" if scheme in ("http", "https") else scheme


def _attribute_words(element: str, attribute: str, scheme: str) -> str:
    if scheme:
        return f'<{element} {attribute}="{scheme}:…">'
    return f"<{element} {attribute}>"


_MAX_TEXT = 60
_WHOLE = frozenset({"math", "svg", "template"})
"""The content of these is removed with them; that of other elements is kept."""


def _lost_text(before: Sequence[Token], after: Sequence[Token]) -> str:
    """Return the start of the removed text; "" if none was removed."""
    letters = Counter(visible_text(_text(before)).replace(" ", ""))
    letters.subtract(visible_text(_text(after)).replace(" ", ""))
    if max(letters.values(), default=0) <= 0:
        return ""
    inside = 0
    removed = []
    for token in before:
        if token.name in _WHOLE:
            inside = max(0, inside + (-1 if token.is_end else 1))
        elif inside:
            removed.append(token)
    name = visible_text(_text(removed)) or "…"
    return name if len(name) <= _MAX_TEXT else f"{name[: _MAX_TEXT - 1]}…"
