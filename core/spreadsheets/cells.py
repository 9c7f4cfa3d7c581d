"""Cell values of spreadsheets, and escaping of text for XLSX and CSV.

A text cell is a ``str``. Any other cell of a workbook is an `NonTextCell`: the spreadsheet
program may have converted a text to it, and the original text is lost.
"""

import re
from dataclasses import dataclass
from enum import Enum

from django.utils.functional import Promise
from django.utils.translation import gettext as _, gettext_lazy

MAX_CHARACTERS = 32_765
"""The most UTF-16 units in an exported cell.

Excel truncates at 32,767, and removes one more where that splits a surrogate pair. A
longer cell may therefore have lost its end.
"""


class CellType(Enum):
    """The types of workbook cells that are not text."""

    NUMBER = "number"
    FORMATTED = "formatted"
    SCIENTIFIC = "scientific"
    PERCENT = "percent"
    FRACTION = "fraction"
    DATE = "date"
    BOOLEAN = "boolean"
    FORMULA = "formula"
    ERROR = "error"
    UNKNOWN = "unknown"


_CELL_TYPE_TEXTS: dict[CellType, Promise] = {
    CellType.NUMBER: gettext_lazy("a number"),
    CellType.FORMATTED: gettext_lazy("a number in a custom format"),
    CellType.SCIENTIFIC: gettext_lazy("a number in scientific notation"),
    CellType.PERCENT: gettext_lazy("a percentage"),
    CellType.FRACTION: gettext_lazy("a fraction"),
    CellType.DATE: gettext_lazy("a date or a time"),
    CellType.BOOLEAN: gettext_lazy("a boolean value"),
    CellType.UNKNOWN: gettext_lazy("a value that is not text"),
}


@dataclass(frozen=True, slots=True)
class NonTextCell:
    """A workbook cell that is not text.

    ``text`` is the digits of a number, ``TRUE`` or ``FALSE``, or the name of an error.
    ``place`` is the address of the cell (``C2``).
    """

    content: CellType
    text: str
    sheet: str
    place: str

    @property
    def reason(self) -> str:
        """A translated message: why the cell is refused, where it is and what to do."""
        at = {"cell": self.place, "sheet": self.sheet}
        match self.content:
            case CellType.FORMULA:
                return _(
                    "Cell %(cell)s of the sheet “%(sheet)s” is a formula. Copy the "
                    "cell and paste its value only."
                ) % {**at}
            case CellType.ERROR:
                return _(
                    "Cell %(cell)s of the sheet “%(sheet)s” shows the error "
                    "%(error)s. Enter the correct value."
                ) % {**at, "error": self.text}
        return _(
            "Cell %(cell)s of the sheet “%(sheet)s” contains %(content)s. Format the "
            "cell as text, then enter its content again."
        ) % {**at, "content": _CELL_TYPE_TEXTS[self.content]}


Cell = str | NonTextCell | None
"""None if a CSV row ends before the column."""


def length(text: str) -> int:
    """Return the length of a text in UTF-16 units, as spreadsheets count it."""
    return len(text) + sum(char > "\uffff" for char in text)


def with_line_feeds(text: str) -> str:
    """Return ``text`` with LF line endings; spreadsheets do not preserve others."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


# --- Number formats -----------------------------------------------------------

_BUILT_IN = {
    **dict.fromkeys((0, 1, 49), CellType.NUMBER),
    **dict.fromkeys((9, 10), CellType.PERCENT),
    **dict.fromkeys((11, 48), CellType.SCIENTIFIC),
    **dict.fromkeys((12, 13), CellType.FRACTION),
    **dict.fromkeys(
        (*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)), CellType.DATE
    ),
    **dict.fromkeys(range(71, 82), CellType.DATE),
}
"""ECMA-376 part 1, 18.8.30, including the dates of East Asian and Thai Excel."""
_ELAPSED = re.compile(r"\[(?:h{1,255}|m{1,255}|s{1,255})\]")
_DATE_LETTER = re.compile("[ymdhs]")
_LITERAL = re.compile(r'"[^"]{0,255}"|\\.|_.|\*.|\[[^\]]{0,255}\]')


def display_type(number: int, code: str | None) -> CellType:
    """Return how a number is displayed in the number format with this id.

    Args:
        code: the workbook's own format code; None for a built-in id.
    """
    if code is None:
        return _BUILT_IN.get(number, CellType.FORMATTED)
    code = code.lower()
    if _ELAPSED.search(code):
        return CellType.DATE
    bare = _LITERAL.sub("", code)
    if code.strip() in ("general", "0", "#", "@", ""):
        return CellType.NUMBER
    bare = bare.replace("general", "")
    if "e+" in bare or "e-" in bare:
        return CellType.SCIENTIFIC
    if _DATE_LETTER.search(bare):
        return CellType.DATE
    if "%" in bare:
        return CellType.PERCENT
    return CellType.FRACTION if "/" in bare else CellType.FORMATTED


# --- Text in XML --------------------------------------------------------------

_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


def escape_xml(text: str) -> str:
    """Escape ``text`` for a workbook: a character that XML forbids becomes ``_x001F_``.

    ECMA-376 part 1, 22.9.2.19 (ST_Xstring). In text that looks like such an escape, the
    first underscore is escaped.
    """
    return _UNWRITABLE.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def unescape_xml(text: str) -> str:
    """Reverse `escape_xml`.

    Raises:
        ValueError: the text contains half of a surrogate pair.
    """
    if "_x" not in text:
        return text
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


# --- Text in CSV --------------------------------------------------------------

_INVISIBLE = (
    r"\s\x00-\x1f\"'\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
)
_FORMULA = rf"[{_INVISIBLE}]*+[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]"
_CELL_START = r"(?:\A|(?<=[;,|\t\n\r]))"
_BARE = re.compile(rf"{_CELL_START}(?={_FORMULA})")
_GUARDED = re.compile(rf"{_CELL_START}'(?={_FORMULA})")


def guard_formulas(text: str) -> str:
    """Escape ``text`` for a CSV cell: an apostrophe is put before possible formulas.

    A program may split a CSV file at another separator than the file's. A cell may then
    start after any comma, semicolon, bar, tab or line break. The program may skip
    quotes, white space and invisible characters before ``=``, ``+``, ``-``, ``@`` or
    their wide forms. Every CSV export of the project uses this function.
    """
    return _BARE.sub("'", text)


def unguard_formulas(text: str) -> str:
    """Reverse `guard_formulas`: remove one apostrophe at each place.

    `guard_formulas` treats an apostrophe as invisible, so a text's own apostrophe gets
    another one.
    """
    return _GUARDED.sub("", text)
