"""Sanitise the HTML that editors write: what is allowed, how much, and what is lost.

Plain Python: no Django here. nh3 decides what is safe. `content.html_tokens` reads the
text first, so that nh3 never parses more than the limits allow and the removed parts
are known.
"""

import html as references
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import nh3

from content import html_policy
from content.html_tokens import Size, Token, names, size, tokens, well_formed
from core.folding import visible_text

MAX_CHARACTERS = 1_000_000
"""For the text as written. A schema's ``maxLength`` limits the cleaned text."""
MAX_ELEMENTS = 10_000
MAX_DEPTH = 100
"""The time of an HTML parser is proportional to elements times depth.

nh3 takes 3 s for 40,000 nested ``<div>``, and 0.1 s for the most that is allowed here.
"""

_CLEANER = nh3.Cleaner(**html_policy.TEXT)
_EMBED_CLEANER = nh3.Cleaner(**html_policy.EMBED)


class Excess(StrEnum):
    """The limit that a text exceeds."""

    CHARACTERS = "characters"
    ELEMENTS = "elements"
    DEPTH = "depth"


class LossKind(StrEnum):
    """What was removed from a text."""

    ELEMENT = "element"
    ATTRIBUTE = "attribute"
    ADDRESS = "address"
    """An attribute whose address has a scheme that texts cannot have."""
    TEXT = "text"


class Loss(NamedTuple):
    """A part that a text cannot keep, and how often it was removed.

    ``name`` is ``<video>``, ``<p style>``, ``<img src="data:…">``, or the start of the
    removed words.
    """

    kind: LossKind
    name: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The cleaned text, and what was removed."""

    html: str
    lost: tuple[Loss, ...] = ()
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
    kept = sanitise(well_formed(before), embed=embed)
    kept = sanitise(well_formed(tokens(kept)), embed=embed)
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
        **(html_policy.EMBED if embed else html_policy.TEXT),
    )


def is_here(url: str) -> bool:
    """Return whether a URL is a path on this site."""
    return url.startswith("/") and not url.startswith("//")


_VISIBLE_WITHOUT_TEXT = frozenset({"audio", "hr", "iframe", "img", "svg"})


def has_content(html: str) -> bool:
    """Return whether a sanitised text shows anything."""
    found = list(tokens(html))
    return bool(visible_text(_text(found))) or any(
        token.name in _VISIBLE_WITHOUT_TEXT for token in found
    )


def _text(found: Iterable[Token]) -> str:
    return references.unescape("".join(t.source for t in found if not t.name))


# --- Removed parts ----------------------------------------------------------------

_NO_EFFECT = names("html head body meta link base title main search label tbody o:p")
"""Elements that display nothing themselves; their content is kept."""
_NO_EFFECT_ATTRIBUTE = re.compile(
    r"class\Z|rel\Z|target\Z|role\Z|tabindex\Z|contenteditable\Z|spellcheck\Z"
    r"|draggable\Z|version\Z|xmlns|xml:|data-|aria-"
)
"""Attributes for scripts, style sheets or editors, which have no effect here."""


def _find_lost(before: Sequence[Token], after: Sequence[Token]) -> Iterator[Loss]:
    """Yield what ``after`` lacks: elements, then attributes, then text."""
    had, has = _elements(before), _elements(after)
    for name, count in (had - has).items():
        if name not in _NO_EFFECT:
            yield Loss(LossKind.ELEMENT, f"<{name}>", count)
    removed = {name for name in had if not has[name]}
    for key, count in (_attributes(before) - _attributes(after)).items():
        element, attribute, scheme = key
        if element in removed:
            continue
        if scheme:
            address = f'<{element} {attribute}="{scheme}:…">'
            yield Loss(LossKind.ADDRESS, address, count)
        else:
            yield Loss(LossKind.ATTRIBUTE, f"<{element} {attribute}>", count)
    if text := _lost_text(before, after):
        yield Loss(LossKind.TEXT, f"“{text}”")


def _elements(found: Iterable[Token]) -> Counter[str]:
    return Counter(t.name for t in found if t.name and not t.is_end)


def _attributes(found: Sequence[Token]) -> Counter[tuple[str, str, str]]:
    """Count the attributes by element, and by the scheme of URLs."""
    return Counter(
        (token.name, name, _scheme(name, value))
        for token in found
        for name, value in token.attribute_values()
        if not _NO_EFFECT_ATTRIBUTE.match(name)
    )


_SCHEME = re.compile(r"\A\s*+([A-Za-z][A-Za-z0-9+.-]{0,20}):")


def _scheme(name: str, value: str) -> str:
    if name not in ("src", "href"):
        return ""
    found = _SCHEME.match(value)
    scheme = found[1].lower() if found else ""
    return "" if scheme in ("http", "https") else scheme


_MAX_TEXT = 60
_WHOLE = frozenset({"template", *(name.lower() for name in html_policy.REMOVED_WHOLE)})
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
