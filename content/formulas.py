"""Formulas in texts: TeX from ``\\(`` to ``\\)``, or from ``\\[`` to ``\\]``.

With ``dollars`` also from ``$`` to ``$`` and from ``$$`` to ``$$``: an opening ``$`` has
no white space after it, the next ``$`` closes it if it has no white space before and no
digit after it, and ``\\$`` is a sign. So prices stay text.

Plain Python: no Django here. `content.katex` decides what is valid.
"""

import html as references
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from content import katex, mathml
from content.html_tokens import tokens

MAX_CHARACTERS = 5_000
"""Of one formula."""
MAX_FORMULAS = 1_000
"""In one text: KaTeX takes half a millisecond for an average one."""

_START = re.compile(r"\\[(\[]")
_START_WITH_DOLLARS = re.compile(r"\\[(\[$]|\$\$?")
_ENDS = {r"\(": r"\)", r"\[": r"\]"}
_DISPLAY = frozenset({r"\[", "$$"})
_DOLLAR = re.compile(r"(?<!\\)\$")
_CODE = frozenset({"code", "pre"})


class Formula(NamedTuple):
    """A formula without its delimiters; ``tex`` is None if the end is missing."""

    tex: str | None
    is_display: bool


class FormulaFault(NamedTuple):
    """What is wrong with a formula.

    ``reason`` is KaTeX's, in English; "" if the end delimiter is missing.
    """

    formula: str
    reason: str


def parts(text: str, *, dollars: bool = False) -> Iterator[str | Formula]:
    """Yield the words and the formulas of a plain text in order.

    A start without an end is text; with ``dollars``, ``\\$`` is ``$`` in the words.
    """
    at = 0
    for start, end, found in _scan(text, dollars=dollars):
        if isinstance(found, Formula) and found.tex is None:
            break
        if at < start:
            yield text[at:start]
        yield found
        at = end
    if at < len(text):
        yield text[at:]


def in_text(text: str, *, dollars: bool = False) -> Iterator[Formula]:
    """Yield the formulas of a plain text."""
    for _start, _end, found in _scan(text, dollars=dollars):
        if isinstance(found, Formula):
            yield found


def _scan(text: str, *, dollars: bool) -> Iterator[tuple[int, int, Formula | str]]:
    """Yield each formula with its place, and ``$`` for an escaped sign."""
    at = 0
    start = _START_WITH_DOLLARS if dollars else _START
    while found := start.search(text, at):
        opened, at = found[0], found.end()
        if opened == r"\$":
            yield found.start(), at, "$"
            continue
        end, following = _end_of(text, opened, at)
        is_display = opened in _DISPLAY
        if end >= 0:
            formula = Formula(text[at:end], is_display)
            yield found.start(), following, formula
            at = following
        elif opened in _ENDS:
            yield found.start(), len(text), Formula(None, is_display)
            return


def _end_of(text: str, opened: str, at: int) -> tuple[int, int]:
    """Return where a formula ends and what follows it; -1 if it has no end."""
    if opened != "$":
        end = text.find(_ENDS.get(opened, opened), at)
        return end, end + 2
    closed = _DOLLAR.search(text, at)
    if closed is None or closed.start() == at:
        return -1, -1
    end = closed.start()
    inside, after = text[at:end], text[end + 1 : end + 2]
    is_formula = inside == inside.strip() and not after.isdigit()
    return (end, end + 1) if is_formula else (-1, -1)


def in_html(html: str, *, dollars: bool = False) -> Iterator[Formula]:
    """Yield the formulas of a sanitised HTML text, without those in code.

    A formula is inside one text: tags within it are not TeX.
    """
    depth = 0
    for token in tokens(html):
        if token.name in _CODE:
            depth = max(0, depth + (-1 if token.is_end else 1))
        elif not token.name and not depth:
            yield from in_text(references.unescape(token.source), dollars=dollars)


def in_markdown(text: str, *, dollars: bool = False) -> Iterator[Formula]:
    """Yield the formulas of a Markdown text, without those in code.

    A ``\\(`` without an end, or with a backtick before it, is an escaped parenthesis.
    """
    for token in parse_markdown(text, dollars=dollars):
        for part in token.children or ():
            if part.type == "formula":
                yield of_token(part)


def parse_markdown(text: str, *, dollars: bool = False) -> list[Token]:
    """Return the blocks of a Markdown text; a formula is a ``formula`` in ``children``."""
    return _MARKDOWN.parse(text, {"dollars": dollars})


def of_token(token: Token) -> Formula:
    """Return the formula of a ``formula`` token."""
    return Formula(token.content, token.info in _DISPLAY)


def _formula(state: StateInline, silent: bool) -> bool:
    start = _START_WITH_DOLLARS if state.env.get("dollars") else _START
    found = start.match(state.src, state.pos)
    if found is None or found[0] == r"\$":
        return False
    end, following = _end_of(state.src, found[0], found.end())
    tex = state.src[found.end() : end]
    if end < 0 or "`" in tex:
        return False
    if not silent:
        token = state.push("formula", "", 0)
        token.content, token.info = tex, found[0]
    state.pos = following
    return True


_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_MARKDOWN.enable(["table", "strikethrough"])
_MARKDOWN.inline.ruler.before("escape", "formula", _formula)


def find_fault(formula: Formula) -> FormulaFault | None:
    """Return why a formula cannot be drawn; None if it can."""
    if formula.tex is None:
        return FormulaFault(r"\[" if formula.is_display else r"\(", "")
    reason = _reason(formula.tex, formula.is_display)
    return FormulaFault(formula.tex, reason) if reason else None


def _reason(tex: str, is_display: bool) -> str:
    if len(tex) > MAX_CHARACTERS:
        return f"more than {MAX_CHARACTERS:,} characters"
    return katex.reason(tex, is_display)


def plain_text(formula: Formula) -> str:
    """Return a formula as text, such as ``(a + b)/2``; its TeX if it is not valid."""
    return _plain_text(formula.tex or "", formula.is_display)


@lru_cache(maxsize=10_000)
def _plain_text(tex: str, is_display: bool) -> str:
    if _reason(tex, is_display):
        return tex
    return mathml.plain_text(katex.mathml(tex, is_display)) or tex
