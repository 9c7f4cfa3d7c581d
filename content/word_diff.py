"""The differences of two texts in words, for display.

HTML is compared by its visible text. Plain Python: no Django here.
"""

import difflib
import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from content.html_tokens import names, tokens

_FEWEST_WORDS = 5
"""Shorter texts are easier to read side by side."""
_MOST_WORDS = 2000
"""The comparison takes quadratic time."""
_LEAST_ALIKE = 0.3
_CONTEXT_WORDS = 8
_WORD = re.compile(r"(?<!\S)\S++\s*+")
_BLOCKS = names(
    "br p div li ul ol tr table h1 h2 h3 h4 h5 h6 blockquote pre figure details"
)


class Part(NamedTuple):
    """Words of both texts, or of one: ``old`` and ``new`` are equal in the first case."""

    old: str
    new: str


def visible(text: str) -> str:
    """Return the text that readers see; a text without HTML stays as it is."""
    found = list(tokens(text))
    if not any(token.name for token in found):
        return text
    shown = "".join(
        ("\n" if token.name in _BLOCKS else "")
        if token.name
        else html.unescape(token.source)
        for token in found
    )
    return "\n".join(filter(None, map(str.strip, shown.split("\n"))))


def words(old: str, new: str) -> list[Part] | None:
    """Return the texts in parts, those that are equal shortened to their ends.

    Returns:
        None if the texts are better shown side by side: they are short, very long, or
            have little in common.
    """
    before, after = _WORD.findall(old), _WORD.findall(new)
    if not all(_FEWEST_WORDS <= len(some) <= _MOST_WORDS for some in (before, after)):
        return None
    # A word is the same at the end of a line.
    matcher = difflib.SequenceMatcher(
        a=[word.strip() for word in before],
        b=[word.strip() for word in after],
        autojunk=False,
    )
    if matcher.ratio() < _LEAST_ALIKE:
        return None
    return list(_parts(matcher, before, after))


def _parts(
    matcher: difflib.SequenceMatcher[str], before: list[str], after: list[str]
) -> Iterator[Part]:
    opcodes = matcher.get_opcodes()
    for number, (opcode, i, to_i, j, to_j) in enumerate(opcodes):
        if opcode != "equal":
            yield Part("".join(before[i:to_i]), "".join(after[j:to_j]))
            continue
        same = _shortened(
            after[j:to_j], is_first=number == 0, is_last=number == len(opcodes) - 1
        )
        yield Part(same, same)


def _shortened(same: list[str], *, is_first: bool, is_last: bool) -> str:
    """Leave out the middle of a long text; at an end, what is far from the change."""
    head = 0 if is_first else _CONTEXT_WORDS
    tail = 0 if is_last else _CONTEXT_WORDS
    if len(same) <= head + tail + 1:
        return "".join(same)
    start, end = "".join(same[:head]), "".join(same[len(same) - tail :])
    return f"{start}… {end}"
