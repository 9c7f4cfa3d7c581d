"""Compare texts for searches, uniqueness and display. Plain Python: no Django here.

`fold` is for searches and for unique names. `visible_text` is for texts that must look
different on the screen, such as answers of a question, and for titles that must not be
empty. ``docs/search-folding.json`` holds the tables and test vectors for app
developers.
"""

import re
import unicodedata
from abc import ABC, abstractmethod
from typing import Any

from core.quranic_spelling import modern_words

VERSION = 3
"""Increased when `fold` changes its result for any text.

Published search documents are then built again (`publishing.staleness`); stored columns
need a data migration.
"""

EQUAL_LETTERS = {
    # Latin letters with a stroke, which Unicode does not decompose.
    "\u0142": "l",
    "\u00f8": "o",
    "\u0111": "d",
    "\u0127": "h",
    "\u0131": "i",  # dotless i
    "\u0671": "\u0627",  # alef wasla -> alef
    "\u0672": "\u0627",  # alef with wavy hamza above -> alef
    "\u0673": "\u0627",  # alef with wavy hamza below -> alef
    "\u0649": "\u064a",  # alef maqsura -> yeh
    "\u06cc": "\u064a",  # Persian yeh -> yeh
    "\u06d2": "\u064a",  # yeh barree -> yeh
    "\u06a9": "\u0643",  # Persian kaf -> kaf
    "\u06aa": "\u0643",  # swash kaf -> kaf
    "\u0629": "\u0647",  # teh marbuta -> heh
    "\u06c3": "\u0647",  # teh marbuta goal -> heh
    "\u06c1": "\u0647",  # heh goal -> heh
    "\u06be": "\u0647",  # heh doachashmee -> heh
    "\u06d5": "\u0647",  # ae -> heh
    "\u066a": "%",
    "\u066b": ".",
    "\u066c": ",",
    # The digits of Arabic and of Persian and Urdu -> 0 to 9.
    **{chr(0x0660 + digit): str(digit) for digit in range(10)},
    **{chr(0x06F0 + digit): str(digit) for digit in range(10)},
}
"""Letters that searches treat as equal, after NFKD and case folding."""

REMOVED_LETTERS = frozenset(
    "\u0640"  # tatweel
    "\u0674"  # high hamza, like other hamzas on a letter
    "\u06e5\u06e6"  # small waw and small yeh of the Quran
    "\u06de\u06e9"  # rub el hizb and place of sajdah
)
"""Letters that `fold` removes besides marks and invisible characters."""

# Vowel signs among the presentation forms decompose to a space and the sign. The space
# would split the word.
_ISOLATED_SIGNS = re.compile(
    "[\ufc5e-\ufc63\ufcf2-\ufcf4\ufe70-\ufe72\ufe74\ufe76-\ufe7f]"
)

INVISIBLE_RANGES = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x061C, 0x061C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),  # zero-width space and joiners, direction marks
    (0x202A, 0x202E),  # direction embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, direction isolates
    (0x2800, 0x2800),  # blank braille pattern
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # half-width Hangul filler
    (0xFFF0, 0xFFFB),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),  # tags and more variation selectors
)
"""First and last code points: Unicode's Default_Ignorable_Code_Point, the blank braille
pattern and the marks of interlinear annotation. Controls are handled separately."""

_WHITE_SPACE_CONTROLS = frozenset("\t\n\v\f\r\u0085")


def _is_invisible(char: str) -> bool:
    if unicodedata.category(char) == "Cc":
        return char not in _WHITE_SPACE_CONTROLS
    code = ord(char)
    return any(first <= code <= last for first, last in INVISIBLE_RANGES)


def tables() -> dict[str, Any]:
    """Return the tables of `fold`, in the form of ``docs/search-folding.json``."""
    presentation_forms = map(chr, range(0xFB50, 0xFF00))
    return {
        "remove_first": [c for c in presentation_forms if _ISOLATED_SIGNS.match(c)],
        "remove_ranges": [[chr(first), chr(last)] for first, last in INVISIBLE_RANGES],
        "remove": sorted(REMOVED_LETTERS),
        "replace": EQUAL_LETTERS,
    }


class _Table(dict[int, str | None], ABC):
    """A table for ``str.translate`` that computes each character on first use."""

    def __missing__(self, code: int) -> str | None:
        self[code] = found = self.decide(chr(code))
        return found

    @abstractmethod
    def decide(self, char: str) -> str | None:
        """Return what replaces the character, or None to remove it."""


class _Folded(_Table):
    def decide(self, char: str) -> str | None:
        is_mark = unicodedata.combining(char) or unicodedata.category(char) in (
            *("Mn", "Me"),  # accents, tashkeel, marks of the Quran
            "Cf",  # formatting characters, the end of an ayah among them
        )
        if is_mark or char in REMOVED_LETTERS or _is_invisible(char):
            return None
        return EQUAL_LETTERS.get(char, char)


class _Visible(_Table):
    def decide(self, char: str) -> str | None:
        return None if _is_invisible(char) else char


_FOLDED = _Folded()
_VISIBLE = _Visible()


def fold(text: str) -> str:
    """Return ``text`` in the form that searches compare.

    Case, accents, tashkeel, marks of the Quran, tatweel and invisible characters are
    ignored. The forms of alef, yeh, kaf, heh and teh marbuta are equal; so are Arabic,
    Persian and Latin digits. White space is collapsed to one space. ``fold(fold(text))
    == fold(text)``.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.lower().split())
    text = _ISOLATED_SIGNS.sub("", text)
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    decomposed = unicodedata.normalize("NFKD", decomposed)
    return " ".join(decomposed.translate(_FOLDED).split())


def searchable(text: str) -> str:
    """Return ``text`` as searches look in it: folded, with other spellings at the end.

    Words of the Quran's spelling are there in both (`core.quranic_spelling`). Words
    that are typed into a search are only folded.
    """
    folded = fold(text)
    known = set(folded.split())
    others = dict.fromkeys(fold(word) for word in modern_words(text))
    return " ".join([folded, *(word for word in others if word not in known)]).strip()


def visible_text(text: str) -> str:
    """Return ``text`` as it is displayed: texts that look the same are equal.

    Unicode NFC, without invisible characters. White space is collapsed to one space and
    removed at both ends. Case, tashkeel and the forms of letters count. Empty when
    nothing is visible.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    parts = _TAGGED_FLAG.split(text)
    parts[::2] = [part.translate(_VISIBLE) for part in parts[::2]]
    letters = _PRESENTATION_FORMS.sub(_as_letters, "".join(parts))
    return " ".join(unicodedata.normalize("NFC", letters).split())


_TAGGED_FLAG = re.compile("(\U0001f3f4[\U000e0020-\U000e007f]{1,30})")
"""The flags of England and Scotland differ only in their tag characters."""
_PRESENTATION_FORMS = re.compile("[\ufb50-\ufdcf\ufe80-\ufefc]")
"""Arabic letters by shape, as PDFs contain them, without the ligatures of words."""


def _as_letters(form: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", form[0])
