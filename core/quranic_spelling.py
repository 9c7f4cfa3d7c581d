"""Write words of Quranic (Uthmani) spelling as today's orthography does. Plain Python.

`core.folding` removes the marks of the Quran, and with them the letters that its
spelling writes as marks: ٱلۡعَٰلَمِينَ becomes العلمين, but readers type العالمين. Both
are used (الرحمن keeps the short form today), so searchable texts have both
(`core.folding.searchable`).

The rules follow the marks of the Madinah Mushaf as Unicode's Arabic block encodes them
(chapter 9.2 of the standard, and the proposals L2/01-425 and L2/09-419).
"""

import re
import unicodedata
from collections.abc import Iterator

_MARKS = r"[\u064B-\u0653\u06D6-\u06E4\u06E8\u06EA-\u06ED\u0640]{0,20}"
"""Vowel signs, pause marks and tatweel; not the marks that stand for letters."""
_LETTER = r"[\u0621-\u063A\u0641-\u064A\u0671]"
_NIGHT = "\u0671\u0644[\u064b-\u0652]{1,20}\u064a[\u06e1\u0652]\u0644"
_SIGNS = re.compile(
    f"[\u0670\u06e5\u06e6\u06e7]|\u0640[\u064b-\u0652]{{0,20}}\u0654|\u0621|{_NIGHT}"
)
"""Only words with one of these are spelled differently today."""

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # A hamza without a letter of its own takes one by its vowel.
    (
        re.compile(rf"(?<=\u064A)({_MARKS})\u0640\u064E\u0654(?=\u0627)"),
        r"\1" "\u064a",
    ),
    (re.compile("\u0640\u064e\u0654\u0627?"), "\u0627"),
    (re.compile("\u0640\u064f\u0654"), "\u0648"),
    (re.compile("\u0640[\u064b-\u0652]{0,20}\u0654"), "\u064a"),
    (re.compile(rf"\u0621\u064E{_MARKS}\u0627"), "\u0627"),
    (re.compile(rf"(?<=.)\u0621\u0650(?={_MARKS}{_LETTER})"), "\u064a"),
    # Dagger alef. On a bare waw or alef maqsura it is that letter's sound.
    (
        re.compile(r"\u0648\u0670(?:\u0627(?=[\u06DF\u06E0\u0652]{0,20}\Z))?"),
        "\u0627",
    ),
    (re.compile(rf"\u0649\u0670(?={_MARKS}{_LETTER})"), "\u0627"),
    (re.compile(rf"(?<=[\u0627\u0649])({_MARKS})\u0670"), r"\1"),
    (re.compile("\u0670"), "\u0627"),
    # Small letters inside a word; at its end they only lengthen a vowel.
    (re.compile(rf"\u06E5(?={_MARKS}{_LETTER})"), "\u0648"),
    (re.compile(rf"\u06E6(?={_MARKS}{_LETTER})"), "\u064a"),
    (re.compile(rf"(?<=\u064A)({_MARKS})\u06E6"), r"\1" "\u064a"),
    (re.compile("\u06e7"), "\u064a"),
    # The night is written with one lam there.
    (re.compile(_NIGHT), "\u0627\u0644\u0644\u064a\u0644"),
)


def modern_words(text: str) -> Iterator[str]:
    """Yield today's spelling of each word in ``text`` that has signs of the Quran's.

    A word of today's orthography may be among them; its other spelling is then none.
    """
    if not _SIGNS.search(text):
        return
    for word in text.split():
        decomposed = unicodedata.normalize("NFD", word)
        if not _SIGNS.search(decomposed):
            continue
        modern = decomposed
        for pattern, letter in _RULES:
            modern = pattern.sub(letter, modern)
        if modern != decomposed:
            yield modern
