"""Plain texts with a few inline tags and formulas: titles, options, pairs, prompts.

Such a text stays plain: ``&``, ``<`` and unknown tags are themselves, so every text that
was written before is shown as it was. Only a complete pair of one of `TAGS`, without
attributes, is markup: ``H<sub>2</sub>O``. In ``<code>`` nothing is markup but its end;
in a formula nothing is. `docs/inline-text.json` has test vectors.

Plain Python: no Django here.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from content import formulas

TAGS = ("b", "code", "em", "i", "strong", "sub", "sup")
_TAG = re.compile(rf"<(/?)({'|'.join(TAGS)})>", re.IGNORECASE)


class Piece(NamedTuple):
    """A piece of a text.

    ``tag`` is the name for a start or end tag, and "" for words and formulas.
    """

    text: str
    tag: str = ""
    is_end: bool = False
    formula: formulas.Formula | None = None


def pieces(text: str, *, dollars: bool = False) -> list[Piece]:
    """Return the pieces of a text in order; start tags have end tags."""
    found = list(_candidates(text, dollars=dollars))
    is_markup = [False] * len(found)
    is_open: list[int] = []
    for number, piece in enumerate(found):
        if not piece.tag:
            continue
        is_in_code = bool(is_open) and found[is_open[-1]].tag == "code"
        if not piece.is_end:
            if not is_in_code:
                is_open.append(number)
            continue
        for depth in reversed(range(len(is_open))):
            if found[is_open[depth]].tag == piece.tag:
                is_markup[is_open[depth]] = is_markup[number] = True
                del is_open[depth:]
                break
            if is_in_code:
                break
    return [
        piece if is_tag or not piece.tag else Piece(piece.text)
        for piece, is_tag in zip(found, is_markup, strict=True)
    ]


def _candidates(text: str, *, dollars: bool) -> Iterator[Piece]:
    for part in formulas.parts(text, dollars=dollars):
        if isinstance(part, formulas.Formula):
            yield Piece("", formula=part)
            continue
        at = 0
        for found in _TAG.finditer(part):
            if at < found.start():
                yield Piece(part[at : found.start()])
            yield Piece(found[0], found[2].lower(), is_end=bool(found[1]))
            at = found.end()
        if at < len(part):
            yield Piece(part[at:])


def plain(text: str, *, dollars: bool = False) -> str:
    """Return the words of a text: without tags, formulas as plain text."""
    return "".join(
        formulas.plain_text(piece.formula) if piece.formula else piece.text
        for piece in pieces(text, dollars=dollars)
        if not piece.tag
    )
