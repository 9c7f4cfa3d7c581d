"""Formulas in texts: TeX from ``\\(`` to ``\\)``, or from ``\\[`` to ``\\]``.

Plain Python: no Django here. KaTeX decides what is valid: the same script that draws
formulas in the preview runs here in QuickJS, an interpreter without files or network,
with limits on time and memory.
"""

import html as references
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import quickjs
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from content.html_tokens import tokens

MAX_CHARACTERS = 5_000
"""Of one formula."""
MAX_FORMULAS = 1_000
"""In one text: KaTeX takes half a millisecond for an average one."""
_SCRIPT = Path(__file__).parent / "static/vendor/katex/katex.js"
_SECONDS = 1
_BYTES = 64 * 1024 * 1024

_FORMULA = re.compile(r"\\([(\[])")
_ENDS = {"(": r"\)", "[": r"\]"}
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


def in_text(text: str) -> Iterator[Formula]:
    """Yield the formulas of a plain text."""
    at = 0
    while found := _FORMULA.search(text, at):
        end = text.find(_ENDS[found[1]], found.end())
        if end < 0:
            yield Formula(None, found[1] == "[")
            return
        yield Formula(text[found.end() : end], found[1] == "[")
        at = end + 2


def in_html(html: str) -> Iterator[Formula]:
    """Yield the formulas of a sanitised HTML text, without those in code.

    A formula is inside one text: tags within it are not TeX.
    """
    depth = 0
    for token in tokens(html):
        if token.name in _CODE:
            depth = max(0, depth + (-1 if token.is_end else 1))
        elif not token.name and not depth:
            yield from in_text(references.unescape(token.source))


def in_markdown(text: str) -> Iterator[Formula]:
    """Yield the formulas of a Markdown text, without those in code.

    A ``\\(`` without an end, or with a backtick before it, is an escaped parenthesis.
    """
    for token in parse_markdown(text):
        for part in token.children or ():
            if part.type == "formula":
                yield Formula(part.content, part.info == "[")


def parse_markdown(text: str) -> list[Token]:
    """Return the blocks of a Markdown text; a formula is a ``formula`` in ``children``."""
    return _MARKDOWN.parse(text)


def _formula(state: StateInline, silent: bool) -> bool:
    found = _FORMULA.match(state.src, state.pos)
    end = state.src.find(_ENDS[found[1]], found.end()) if found else -1
    if found is None or end < 0:
        return False
    tex = state.src[found.end() : end]
    if "`" in tex:
        return False
    if not silent:
        token = state.push("formula", "", 0)
        token.content, token.info = tex, found[1]
    state.pos = end + 2
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


@lru_cache(maxsize=10_000)
def _reason(tex: str, is_display: bool) -> str:
    if len(tex) > MAX_CHARACTERS:
        return f"more than {MAX_CHARACTERS:,} characters"
    return _KATEX.reason(tex, is_display)


class _KaTeX:
    """KaTeX's parser; made at the first formula, used by one thread at a time."""

    _FUNCTION = """
      (tex, displayMode) => {
        try {
          katex.__parse(tex, {displayMode, strict: "ignore", maxSize: 30});
          return "";
        } catch (error) {
          return error.rawMessage || String(error);
        }
      }
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._context: Any = None
        self._parse: Any = None

    def reason(self, tex: str, is_display: bool) -> str:
        with self._lock:
            if self._context is None:
                context = quickjs.Context()
                context.eval(_SCRIPT.read_text(encoding="utf-8"))
                context.set_memory_limit(_BYTES)
                context.set_time_limit(_SECONDS)
                self._parse, self._context = context.eval(self._FUNCTION), context
            try:
                return str(self._parse(tex, is_display))
            except quickjs.JSException as error:
                # Out of time or memory: the context may be unusable.
                self._context = None
                return str(error)


_KATEX = _KaTeX()
