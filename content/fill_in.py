"""The answers of fill-in stages: where gaps are, and which numbers a text can mean.

Plain Python: no Django here. ``docs/content-format.md`` describes to app developers how
answers are compared, ``docs/fill-in-answers.json`` has test vectors.
"""

import re
from collections.abc import Iterator
from fractions import Fraction

from content.html_tokens import tokens
from core.folding import EQUAL_LETTERS, visible_text

_DIGITS = str.maketrans(EQUAL_LETTERS)
_GAP = re.compile("(?<!_)_{3,}+")
_MAX_DIGITS = 40
_DECIMAL = re.compile(
    r"\A([+-]?)(\d++[.,]?\d*+|[.,]\d++)(?:e([+-]?\d{1,2}))?\Z", re.IGNORECASE
)
_GROUPED = re.compile(r"\A[+-]?\d{1,3}(,\d{3})++(\.\d++)?\Z")
_QUOTIENT = re.compile(r"\A([+-]?\d++)/(\d++)\Z")


def count_gaps(html: str) -> int:
    """Return how many gaps a text has: runs of three or more underscores."""
    return sum(
        len(_GAP.findall(token.source)) for token in tokens(html) if not token.name
    )


def without_gaps(text: str) -> str:
    """Return a text with "…" in place of each run of underscores that would be a gap."""
    return _GAP.sub("…", text)


def numbers_in(text: str) -> list[Fraction]:
    """Return the numbers that ``text`` can mean, each once; empty if it is no number.

    Digits may be Latin, Arabic or Persian. A comma is the decimal sign or, before each
    three digits, a separator of thousands: "1,000" can mean 1 and 1000.
    """
    shown = visible_text(text).translate(_DIGITS).replace("\u2212", "-")
    written = shown.replace(" ", "")
    if len(written) > _MAX_DIGITS or not written.isascii():
        return []
    return list(dict.fromkeys(_readings(written)))


def _readings(written: str) -> Iterator[Fraction]:
    if found := _DECIMAL.match(written):
        power = Fraction(10) ** int(found[3] or 0)
        whole, _sign, decimals = found[2].replace(",", ".").partition(".")
        value = Fraction(f"{whole or 0}.{decimals or 0}") * power
        yield -value if found[1] == "-" else value
    if _GROUPED.match(written):
        yield Fraction(written.replace(",", ""))
    if (found := _QUOTIENT.match(written)) and int(found[2]):
        yield Fraction(int(found[1]), int(found[2]))
