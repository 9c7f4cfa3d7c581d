"""The HTML that a text of a lesson may contain: elements, attributes and values.

Plain Python: no Django here. `content.rich_text` sanitises by this policy with nh3;
``static/memora/html.js`` has the same names. Drawings (SVG) and formulas (MathML) have
their own lists: no scripts, event handlers, styles, references to other files, embedded
HTML or animation. ``<use>`` is missing because nested copies grow exponentially.
"""

import re
from collections.abc import Mapping, Set
from typing import Any

import nh3

from content.html_tokens import names
from content.video_pages import frame_address

_TEXT = nh3.ALLOWED_TAGS | {"audio", "section", "source"}
DRAWINGS = names(
    "svg circle clipPath defs desc ellipse g line linearGradient marker mask path pattern "
    "polygon polyline radialGradient rect stop text textPath title tspan"
)
MATHML = names(
    "math annotation menclose merror mfrac mi mmultiscripts mn mo mover mpadded mphantom "
    "mprescripts mroot mrow ms mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr "
    "munder munderover none semantics"
)
REMOVED_WHOLE = {
    "script",
    "style",
    *names("annotation-xml filter foreignObject metadata symbol"),
}
"""Elements that are removed with their content."""

_EVERYWHERE = {"dir", "id", "lang", "title"}
_OF_ELEMENT: dict[str, set[str]] = {
    "audio": {"controls", "loop", "preload", "src"},
    "code": {"class"},
    "data": {"value"},
    "details": {"open"},
    "li": {"value"},
    "ol": {"reversed", "start", "type"},
    "pre": {"class"},
    "source": {"src", "type"},
    "time": {"datetime"},
}
DRAWING_ATTRIBUTES = names(
    "aria-label clip-path clip-rule clipPathUnits color cx cy d direction "
    "dominant-baseline dx dy fill fill-opacity fill-rule font-family font-size font-style "
    "font-weight fx fy gradientTransform gradientUnits height lengthAdjust marker-end "
    "marker-mid marker-start markerHeight markerUnits markerWidth mask maskUnits offset "
    "opacity orient pathLength patternContentUnits patternTransform patternUnits points "
    "preserveAspectRatio r refX refY role rotate rx ry spreadMethod startOffset "
    "stop-color stop-opacity stroke stroke-dasharray stroke-dashoffset stroke-linecap "
    "stroke-linejoin stroke-miterlimit stroke-opacity stroke-width text-anchor "
    "text-decoration textLength transform vector-effect viewBox visibility width x x1 x2 "
    "xmlns y y1 y2"
)
MATHML_ATTRIBUTES = names(
    "accent accentunder alttext columnalign columnlines columnspacing columnspan depth "
    "display displaystyle encoding fence form frame height largeop linethickness lspace "
    "mathvariant maxsize minsize movablelimits notation rowalign rowlines rowspacing "
    "rowspan rspace scriptlevel separator stretchy symmetric voffset width xmlns"
)


def _attributes() -> dict[str, set[str]]:
    allowed: dict[str, set[str]] = {"*": set(_EVERYWHERE)}
    parts: tuple[Mapping[str, Set[str]], ...] = (
        nh3.ALLOWED_ATTRIBUTES,
        _OF_ELEMENT,
        dict.fromkeys(DRAWINGS - {"title"}, DRAWING_ATTRIBUTES),
        dict.fromkeys(MATHML, MATHML_ATTRIBUTES),
    )
    for part in parts:
        for element, attributes in part.items():
            allowed.setdefault(element, set()).update(attributes)
    return allowed


_LANGUAGE = re.compile(r"\Alanguage-[A-Za-z0-9+#._-]{1,40}\Z")
_WORD = re.compile(r"\A\S{1,100}\Z")
_TYPE = re.compile(r"\A(?:[1aAiI]|audio/[a-z0-9.+-]{1,40})\Z")
_NUMBER = re.compile(r"\A-?[0-9]{1,9}\Z")
_VALUES = {"id": _WORD, "type": _TYPE, "start": _NUMBER, "value": _WORD}
_LOCAL = re.compile(r"\A\s*+url\(#[^\s()'\"\\]++\)\s*+\Z", re.IGNORECASE)
_FUNCTION = re.compile(r"(?<=url)\s*+\(|(?<=\\)", re.IGNORECASE)


def _value(element: str, attribute: str, value: str) -> str | None:
    """Return an attribute's value as it is kept; None removes the attribute."""
    if attribute == "class":  # of code: only its language
        return next(filter(_LANGUAGE.match, value.split()), None)
    allowed = _VALUES.get(attribute)
    if allowed is not None and not allowed.match(value):
        return None
    if (
        element in DRAWINGS
        and _FUNCTION.search(value)
        and attribute not in _EVERYWHERE
        and not _LOCAL.match(value)
    ):
        return None
    return value


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
_ADDRESSES = frozenset({"src", "href", "cite"})
_INSECURE = re.compile(r"\A\s*+http:", re.IGNORECASE)


def _value_to_embed(element: str, attribute: str, value: str) -> str | None:
    """Like `_value`, in a text with frames.

    The page of a video, which cannot be framed, is replaced by its player.
    """
    if element == "iframe" and attribute == "src":
        value = frame_address(value)
    is_insecure = attribute in _ADDRESSES and _INSECURE.match(value)
    return None if is_insecure else _value(element, attribute, value)


TEXT: dict[str, Any] = {
    "tags": _TEXT | DRAWINGS | MATHML,
    "clean_content_tags": REMOVED_WHOLE,
    "attributes": _attributes(),
    "set_tag_attribute_values": {"audio": {"controls": ""}},
    "url_schemes": {"https", "http", "mailto", "tel"},
    "attribute_filter": _value,
}
"""The arguments of ``nh3.Cleaner`` for a text."""
EMBED: dict[str, Any] = {
    **TEXT,
    "tags": {*TEXT["tags"], "iframe"},
    "attributes": {**_attributes(), "iframe": _FRAME},
    "tag_attribute_values": {"iframe": {"referrerpolicy": _REFERRER_POLICIES}},
    "url_schemes": {"https", "http"},
    "attribute_filter": _value_to_embed,
}
"""The arguments for a text that may have frames."""
