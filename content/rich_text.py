"""HTML that editors write: what may stand in it, how much of it, and what is not kept.

Plain rules: no Django here. nh3 decides what is safe; `content.html_tokens` reads the
text before it, so that nh3 never parses more than the limits allow and what it drops is
known.
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
"""As it is written. A schema's ``maxLength`` limits what is kept."""
MAX_ELEMENTS = 10_000
MAX_DEPTH = 100
"""An HTML parser takes time in proportion to elements times depth: nh3 needs 3 s for
40,000 ``<div>`` in each other, 0.1 s for the most that is taken here."""

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
"""Those that tell another site no more than this one's host; some, YouTube's player
among them, refuse to work without it."""


def _in_a_frame(element: str, attribute: str, value: str) -> str | None:
    """An attribute's value in a text with frames; None leaves the attribute out.

    A video's page, which no frame shows, becomes its player.
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
    """Which limit a text exceeds."""

    CHARACTERS = "characters"
    ELEMENTS = "elements"
    DEPTH = "depth"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What is kept of a text, and what is not: ``<math>``, ``style (3)`` …"""

    html: str
    lost: tuple[str, ...] = ()
    excess: Excess | None = None
    """The limit it exceeds; it was not read then, and ``html`` is as it was given."""


def clean(html: str, *, embed: bool = False) -> Cleaned:
    """What of ``html`` may be stored. Idempotent; linear in the length.

    Args:
        embed: it may hold ``<iframe>``.
    """
    if len(html) > MAX_CHARACTERS:
        return Cleaned(html, excess=Excess.CHARACTERS)
    if html.count("<") <= MAX_DEPTH and sanitise(html, embed=embed) == html:
        return Cleaned(html)  # the usual case: it was cleaned before
    before = list(tokens(html))
    if excess := _excess(size(before)):
        return Cleaned(html, excess=excess)
    # Twice: misnested elements, as a parser writes them, it may read in another way.
    kept = sanitise(sanitise(well_formed(before), embed=embed), embed=embed)
    return Cleaned(kept, tuple(_find_lost(before, list(tokens(kept)))))


def _excess(found: Size) -> Excess | None:
    if found.elements > MAX_ELEMENTS:
        return Excess.ELEMENTS
    return Excess.DEPTH if found.depth > MAX_DEPTH else None


def sanitise(
    html: str, *, embed: bool = False, absolute: Callable[[str], str] | None = None
) -> str:
    """``html`` without what is not safe; for a text that `clean` gave once.

    Args:
        absolute: what makes an address of a path on this site; None leaves paths.
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
    """Whether an address is a path on this site."""
    return url.startswith("/") and not url.startswith("//")


_SEEN_WITHOUT_TEXT = frozenset({"img", "hr", "iframe"})


def has_content(html: str) -> bool:
    """Whether a reader sees anything of a sanitised text."""
    found = list(tokens(html))
    return bool(visible_text(_text(found))) or any(
        token.name in _SEEN_WITHOUT_TEXT for token in found
    )


def _text(found: Iterable[Token]) -> str:
    return references.unescape("".join(t.source for t in found if not t.name))


# --- What is not kept -------------------------------------------------------------

_NO_EFFECT = names(
    "html head body meta link base title section main search label tbody o:p"
)
"""Elements that show nothing of their own; what stands in them is kept."""
_NO_EFFECT_ATTRIBUTE = re.compile(
    r"class\Z|id\Z|rel\Z|target\Z|role\Z|tabindex\Z|contenteditable\Z|spellcheck\Z"
    r"|draggable\Z|xmlns|data-|aria-"
)
"""Attributes for scripts and style sheets that are not here, or for editors."""
_MOST_NAMED = 12


def _find_lost(before: Sequence[Token], after: Sequence[Token]) -> list[str]:
    """What ``before`` has and ``after`` has not: elements, then attributes, then text."""
    had, has = _elements(before), _elements(after)
    elements = {
        name: had[name] - has[name]
        for name in had
        if name not in _NO_EFFECT and not is_part_of_a_drawing(name)
    }
    gone = {name for name in had if not has[name]}
    had_attributes, has_attributes = _attributes(before), _attributes(after)
    attributes = {
        _attribute_words(*key): count - has_attributes[key]
        for key, count in had_attributes.items()
        if key[0] not in gone
    }
    lost = [
        f"{said} ({count})" if count > 1 else said
        for said, count in (
            *((f"<{name}>", count) for name, count in elements.items()),
            *attributes.items(),
        )
        if count > 0
    ]
    if len(lost) > _MOST_NAMED:
        lost = [*lost[:_MOST_NAMED], "…"]
    text = _lost_text(before, after)
    return [*lost, f"“{text}”"] if text else lost


def _elements(found: Iterable[Token]) -> Counter[str]:
    return Counter(t.name for t in found if t.name and not t.is_end)


def _attributes(found: Sequence[Token]) -> Counter[tuple[str, str, str]]:
    """How often each attribute stands in each kind of element, by the scheme of URLs."""
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


_MOST_TEXT = 60
_WHOLE = frozenset({"math", "svg", "template"})
"""What stands in these goes with them; of other elements it stays."""


def _lost_text(before: Sequence[Token], after: Sequence[Token]) -> str:
    """The beginning of the text that is gone; "" where all is there."""
    letters = Counter(visible_text(_text(before)).replace(" ", ""))
    letters.subtract(visible_text(_text(after)).replace(" ", ""))
    if max(letters.values(), default=0) <= 0:
        return ""
    inside = 0
    gone = []
    for token in before:
        if token.name in _WHOLE:
            inside = max(0, inside + (-1 if token.is_end else 1))
        elif inside:
            gone.append(token)
    said = visible_text(_text(gone)) or "…"
    return said if len(said) <= _MOST_TEXT else f"{said[: _MOST_TEXT - 1]}…"
