"""The words of a stage, for searches: without tags, Markdown and addresses.

Formulas are plain text: ``(a + b)/2``.

Plain Python: no Django here.
"""

import html as references
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from content import config_texts, formulas, inline_text, mathml
from content.html_tokens import names, tokens


class StageText(NamedTuple):
    """The words of one stage, as readers see them.

    ``lines`` are its texts in order: a paragraph, a title, an option … ``terms`` are
    those that name what the stage is about: headings, defined terms, words in bold and
    the fronts of cards.
    """

    lines: tuple[str, ...]
    terms: tuple[str, ...]


def words_of(type_name: str, config: Any) -> StageText:
    """Return the words of a stored config; none for a type that does not exist."""
    lines: list[str] = []
    terms: list[str] = []
    dollars = config_texts.has_dollar_formulas(config)
    for path, place, text in config_texts.fields(type_name, config):
        if not _is_for_reading(place):
            continue
        found = list(_spans(place, text, dollars=dollars))
        lines += _lines(found)
        if path[-1] in _TERM_FIELDS:
            terms += _lines(found)
        else:
            terms += _lines(_only_terms(found))
    return StageText(tuple(lines), tuple(terms))


_TERM_FIELDS = frozenset({"front", "left"})


def _is_for_reading(place: Mapping[str, Any]) -> bool:
    """Return whether a text is neither an address, nor an id, nor one of a list."""
    is_fixed = "pattern" in place or "enum" in place or "const" in place
    return not is_fixed and place.get("x-widget") not in ("image", "video")


class _Span(NamedTuple):
    """A piece of text; "" with ``is_break`` is the end of a line."""

    text: str
    is_term: bool = False
    is_break: bool = False


_BREAK = _Span("", is_break=True)


def _lines(spans: Iterable[_Span]) -> Iterator[str]:
    """Yield the texts between breaks, with white space collapsed."""
    line: list[str] = []
    for span in (*spans, _BREAK):
        if not span.is_break:
            line.append(span.text)
        elif words := " ".join("".join(line).split()):
            yield words
            line = []
        else:
            line = []


def _only_terms(spans: Iterable[_Span]) -> Iterator[_Span]:
    """Return the spans in terms; what is between them breaks the line."""
    return (span if span.is_term else _BREAK for span in spans)


def _spans(place: Mapping[str, Any], text: str, *, dollars: bool) -> Iterator[_Span]:
    if place.get("contentMediaType") == "text/html":
        return _html_spans(text, dollars=dollars)
    if place.get("x-widget") == "text":
        return _markdown_spans(text, dollars=dollars)
    return iter([_Span(inline_text.plain(text, dollars=dollars))])


# --- HTML ---------------------------------------------------------------------

_TERMS = names("h1 h2 h3 h4 h5 h6 dt dfn b strong")
_INLINE = names(
    "a abbr b bdi bdo cite code data del dfn em font i ins kbd mark q rb ruby s samp "
    "small span strike strong sub sup time tt u var wbr"
)
_UNREAD = names("svg iframe")
_CODE = names("code pre kbd samp")


def _html_spans(html: str, *, dollars: bool) -> Iterator[_Span]:
    depths = dict.fromkeys(("term", "unread", "code"), 0)
    formula: list[str] = []  # the MathML that is open
    for token in tokens(html):
        if token.name == "math" or formula:
            formula.append(token.source)
            if token.name == "math" and token.is_end:
                text = mathml.plain_text("".join(formula))
                yield _Span(text, is_term=depths["term"] > 0)
                formula.clear()
            continue
        if not token.name:
            if not depths["unread"]:
                text = references.unescape(token.source)
                if not depths["code"]:
                    text = _with_plain_formulas(text, dollars=dollars)
                yield _Span(text, is_term=depths["term"] > 0)
            continue
        for kind, elements in _KINDS.items():
            if token.name in elements:
                step = -1 if token.is_end else 1
                depths[kind] = max(0, depths[kind] + step)
        if token.name not in _INLINE:
            yield _BREAK


_KINDS = {"term": _TERMS, "unread": _UNREAD, "code": _CODE}


def _with_plain_formulas(text: str, *, dollars: bool) -> str:
    return "".join(
        part if isinstance(part, str) else formulas.plain_text(part)
        for part in formulas.parts(text, dollars=dollars)
    )


# --- Markdown -----------------------------------------------------------------


def _markdown_spans(text: str, *, dollars: bool) -> Iterator[_Span]:
    depth = 0
    for block in formulas.parse_markdown(text, dollars=dollars):
        if block.type in ("heading_open", "heading_close"):
            depth += block.nesting
        elif block.type in ("fence", "code_block"):
            yield _Span(block.content)
        for part in block.children or ():
            if part.type in ("strong_open", "strong_close"):
                depth += part.nesting
            elif part.type in ("text", "code_inline", "image"):
                yield _Span(part.content, is_term=depth > 0)
            elif part.type == "formula":
                formula = formulas.of_token(part)
                yield _Span(formulas.plain_text(formula), is_term=depth > 0)
            elif part.type in ("softbreak", "hardbreak"):
                yield _Span(" ", is_term=depth > 0)
        yield _BREAK
