"""Split HTML into tags and text in one pass. Plain Python: no Django here.

It is stricter than a browser: a ``<`` that does not start a complete tag of a known
element is text (``$x<y$``), where a browser drops what follows. So no text of an author
is lost, and every element that a parser creates from `well_formed` has been counted.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

_HTML = (
    "a abbr acronym address applet area article aside audio b base basefont bdi bdo big "
    "blink blockquote body br button canvas caption center cite code col colgroup data "
    "datalist dd del details dfn dialog dir div dl dt em embed fieldset figcaption figure "
    "font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe "
    "image img input ins kbd label legend li link main map mark marquee math menu meta meter nav "
    "nobr noembed noframes noscript object ol optgroup option output p param picture pre "
    "progress q rb rp rt rtc ruby s samp script search section select slot small source "
    "span strike strong style sub summary sup svg table tbody td template textarea tfoot th "
    "thead time title tr track tt u ul var video wbr xmp"
)
_MATHML = (
    "annotation annotation-xml maction menclose merror mfenced mfrac mglyph mi "
    "mlabeledtr mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms mspace "
    "msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none semantics"
)
_SVG = (
    "animate animatemotion animatetransform circle clippath defs desc ellipse "
    "feblend fecolormatrix fecomponenttransfer fecomposite feflood fegaussianblur feimage "
    "femerge femergenode feoffset filter foreignobject g line lineargradient marker mask "
    "metadata path pattern polygon polyline radialgradient rect set stop switch symbol text "
    "textpath tspan use view"
)


def names(text: str) -> frozenset[str]:
    """Return the names in ``text``, separated by spaces."""
    return frozenset(text.split())


_HTML_NAMES = names(_HTML)
_FOREIGN_NAMES = names(f"{_MATHML} {_SVG}")
"""Elements that exist only inside ``<math>`` and ``<svg>``."""
_FOREIGN_ROOTS = frozenset({"math", "svg"})
_VOID = names(
    "area base basefont br col embed frame hr image img input link meta param source "
    "track wbr"
)
_UNREAD = frozenset({"script", "style", "iframe"})
"""The content of these is not displayed text, so it is dropped."""
_VERBATIM = frozenset({"textarea", "title", "xmp", "noembed", "noframes", "noscript"})
"""The content of these is text, including tags."""
_NOT_PARSED = ((_UNREAD | _VERBATIM) - {"iframe"}) | {"select", "frameset"}
"""Tags that are not passed to the parser, which reads their content differently."""
_END_IMPLIED = names(
    "p li dt dd tr td th tbody thead tfoot colgroup caption option optgroup rb rp rt rtc"
)
_FORMATTING = names("a b big code em font i nobr s small strike strong tt u")
"""Formatting that is open at the end of a block; a parser reopens it in the next."""
_ALONE = frozenset({"a", "nobr"})
"""A start tag of one of these closes an open one of the same name."""
_MAX_COPIES = 8 * 4
"""The most elements that a parser adds when it splits formatting, by its own limits."""

# Possessive quantifiers, so that no part of the text is read twice.
_NAME = r"[A-Za-z](?:[A-Za-z0-9]|[:-](?=[A-Za-z0-9]))*+(?=[\s/>])"
_VALUE = r"""(?:"[^"]*+"|'[^']*+'|[^\s"'<>=][^\s<>]*+|(?=>))"""
_ATTRIBUTE = rf"""[^\s"'<>/=]++(?:\s*+=\s*+{_VALUE})?+"""
_TAG = re.compile(
    rf"(?<=<)(?:(?P<start>{_NAME})(?P<attributes>(?:[\s/]++|{_ATTRIBUTE})*+)"
    rf"|/(?P<end>{_NAME})[^<>]*+)>",
    re.ASCII,
)
_ATTRIBUTES = re.compile(
    r"""(?<![^\s"'<>/=])([^\s"'<>/=]++)"""
    r"""(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'<>=][^\s<>]*+)|(?=>|\Z)))?+""",
    re.ASCII,
)
# Browsers treat these as comments and do not display them; Word writes some of them.
_DECLARATION = re.compile(
    r"(?<=<)(?:!doctype\b|\?xml\b|!\[(?:if|endif)\b)[^<>]*+>",
    re.ASCII | re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"</({'|'.join(sorted(_UNREAD | _VERBATIM))})(?=[\s/>])", re.ASCII | re.IGNORECASE
)


class Token(NamedTuple):
    """A piece of HTML: text (``name`` is ""), a start tag or an end tag."""

    source: str
    name: str = ""
    attributes: str = ""
    is_end: bool = False

    def attribute_values(self) -> list[tuple[str, str]]:
        """Return the attributes in order: names in lower case, values as written."""
        if not self.attributes:
            return []
        return [
            (name.lower(), double or single or bare)
            for name, double, single, bare in _ATTRIBUTES.findall(self.attributes)
        ]


class _Ends:
    """The next positions of end markers in a text; each is searched once."""

    def __init__(self, html: str) -> None:
        self.html = html
        self.known: dict[str, int] = {}
        self.closings: dict[str, list[int]] | None = None

    def after(self, start: int, what: str) -> int:
        """Return the position of ``what`` at or after ``start``; -1 if there is none.

        ``start`` must not decrease between calls.
        """
        known = self.known.get(what, 0)
        if 0 <= known < start or what not in self.known:
            self.known[what] = known = self.html.find(what, start)
        return known

    def closing(self, start: int, name: str) -> int:
        """Like `after`, for the end tag of an element whose content is not parsed."""
        if self.closings is None:
            self.closings = {}
            for found in _CLOSING.finditer(self.html):
                places = self.closings.setdefault(found[1].lower(), [])
                places.append(found.start())
        places = self.closings.get(name, [])
        at = bisect_left(places, start)
        return places[at] if at < len(places) else -1


def tokens(html: str) -> Iterator[Token]:
    """Yield the tags and texts of ``html`` in order, without comments.

    The ``source`` of a text is HTML: character references are unchanged and ``<`` is
    escaped. ``<path/>`` in a drawing becomes a start tag and an end tag, because a
    parser reads the slash only there. The time is linear in the length.
    """
    ends = _Ends(html)
    foreign = 0
    at = text_from = 0
    while (at := html.find("<", at)) >= 0:
        following, found = _markup(html, at, ends, is_foreign=foreign > 0)
        if following == at:  # not markup, so it is text
            at += 1
            continue
        if text_from < at:
            yield Token(_escaped(html[text_from:at]))
        for token in found:
            foreign = _foreign_depth(foreign, token)
            yield token
        at = text_from = following
    if text_from < len(html):
        yield Token(_escaped(html[text_from:]))


def _foreign_depth(depth: int, token: Token) -> int:
    """Return how many ``<math>`` and ``<svg>`` are open after ``token``."""
    if token.name not in _FOREIGN_ROOTS:
        return depth
    return max(0, depth + (-1 if token.is_end else 1))


def _markup(
    html: str, at: int, ends: _Ends, *, is_foreign: bool
) -> tuple[int, list[Token]]:
    """Return the tokens that start at the ``<`` at ``at``, and the position after them.

    The position is ``at`` if it is text.
    """
    if html.startswith("<!--", at):
        end = ends.after(at + 4, "-->")
        return (end + 3 if end >= 0 else at), []
    if html[at + 1 : at + 2] in ("!", "?"):
        declaration = _DECLARATION.match(html, at + 1)
        return (declaration.end() if declaration else at), []
    return _element(html, at, ends, is_foreign=is_foreign)


def _element(
    html: str, at: int, ends: _Ends, *, is_foreign: bool
) -> tuple[int, list[Token]]:
    """Like `_markup`; returns an element whose content is not HTML as a whole."""
    tag = _TAG.match(html, at + 1)
    if tag is None:
        return at, []
    start = tag["start"]
    name = (start or tag["end"]).lower()
    if not _is_known(name, is_foreign=is_foreign):
        return at, []
    if not start:
        return tag.end(), [Token(f"</{name}>", name, is_end=True)]
    opened = Token(f"<{tag[0]}", name, tag["attributes"])
    if name not in _UNREAD | _VERBATIM:
        is_foreign = name in _FOREIGN_ROOTS or (is_foreign and name in _FOREIGN_NAMES)
        if not (is_foreign and tag["attributes"].endswith("/")):
            return tag.end(), [opened]
        opened = opened._replace(source=f"<{tag[0][:-2]}>")
        return tag.end(), [opened, Token(f"</{name}>", name, is_end=True)]
    end = ends.closing(tag.end(), name)
    close = ends.after(end, ">") if end >= 0 else -1
    if close < 0:
        return at, []  # without an end tag it would include all that follows
    inside = html[tag.end() : end] if name in _VERBATIM else ""
    text = [Token(_escaped(inside))] if inside else []
    return close + 1, [opened, *text, Token(f"</{name}>", name, is_end=True)]


def _is_known(name: str, *, is_foreign: bool) -> bool:
    return (
        name in _HTML_NAMES
        or (is_foreign and name in _FOREIGN_NAMES)
        or "-" in name  # a custom element
        or ":" in name  # from Word and other programs
    )


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")


def well_formed(found: Iterable[Token]) -> str:
    """Return HTML from which a parser creates exactly these tokens.

    Scripts, style sheets and the tags of elements whose content a parser reads
    differently are left out; the ``<title>`` of a drawing is kept.
    """
    parts = []
    foreign = 0
    for token in found:
        foreign = _foreign_depth(foreign, token)
        if token.name not in _NOT_PARSED or (foreign and token.name == "title"):
            parts.append(token.source)
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Size:
    """The number of elements that a parser creates, and their depth."""

    elements: int
    depth: int


def size(found: Iterable[Token]) -> Size:
    """Return an upper bound for what a parser creates from ``found``.

    Elements that are left open count as open until the end tag of an enclosing element.
    Formatting that a block leaves open counts again in each later element. Formatting
    that ends within another element is split there (HTML's “adoption agency”).
    """
    is_open: list[str] = []
    count: Counter[str] = Counter()  # of the names in ``is_open``
    left_open: Counter[str] = Counter()
    left = elements = depth = 0
    for token in found:
        name = token.name
        if not name or name in _NOT_PARSED - {"title"}:
            continue
        if name in _FORMATTING and (
            is_open[-1:] != [name] if token.is_end else name in _ALONE and count[name]
        ):
            elements += _MAX_COPIES
        if token.is_end:
            if not count[name]:
                if left_open[name]:
                    left_open[name] -= 1
                    left -= 1
                continue
            while (closed := is_open.pop()) != name:
                count[closed] -= 1
                if closed in _FORMATTING:
                    left_open[closed] += 1
                    left += 1
            count[name] -= 1
            continue
        elements += 1 + left
        if name in _VOID:
            continue
        if name in _END_IMPLIED:
            _close_implied(name, is_open, count)
        is_open.append(name)
        count[name] += 1
        depth = max(depth, len(is_open) + left)
    return Size(elements, depth)


def _close_implied(name: str, is_open: list[str], count: Counter[str]) -> None:
    """Close an open sibling such as ``<li>``, and the ``<p>`` in it."""
    first = len(is_open)
    while first and is_open[first - 1] in _END_IMPLIED:
        first -= 1
        if is_open[first] == name:
            for closed in is_open[first:]:
                count[closed] -= 1
            del is_open[first:]
            return
