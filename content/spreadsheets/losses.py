"""Detect values that a spreadsheet program changed by itself.

CSV has no types, and a workbook's cell may have been converted before it was formatted
as text. Only a comparison with the old text shows it. Each rule also refuses a few
intended edits; those can be made on the lesson's page.
"""

import math
import re

from django.utils.translation import gettext as _

from core.spreadsheets.cells import MAX_CHARACTERS, length

_ERROR = re.compile(
    r"\A(?:#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NULL!|NUM!|SPILL!|CALC!|FIELD!|BLOCKED!"
    r"|CONNECT!|BUSY!|UNKNOWN!|GETTING_DATA|PYTHON!|#++)\Z|Err:[0-9]{3}\Z)"
)
_NUMBER = re.compile(r"\A[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?\Z")
_ASKS = "???"
_LOST_LETTER = "\ufffd"
_MAX_NUMBER = 60
_DAY_OR_TIME = re.compile(
    r"[0-9]{1,4} ?[-/.] ?[0-9]{1,4}(?: ?[-/.] ?[0-9]{1,4})?\Z"
    r"|[0-9]{1,2}:[0-9]{1,2}(?::[0-9]{1,2})?(?: ?[AaPp][Mm])?\Z"
    r"|[^\W\d_]{3,9}[ ./-]?[0-9]{1,4}\Z|[0-9]{1,2}[ ./-]?[^\W\d_]{3,9}\Z"
)
_SHOWN_DAY_OR_TIME = re.compile(
    r"[0-9]{1,2}[-/ ][^\W\d_]{3,9}(?:[-/ ][0-9]{2,4})?\Z"
    r"|[^\W\d_]{3,9}[-/ ][0-9]{2,4}\Z"
    r"|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2,4}\Z|[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}"
    r"|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?: ?[AaPp][Mm]| ?[صم])?\Z|[0-9]{5}\Z"
)
_DIGITS = re.compile("(?<![0-9])[0-9]++")


def loss(before: str, after: str) -> str | None:
    """Return why ``after`` was made by a program and is not an edit; None if it is."""
    if after == before:
        return None
    if length(after) > MAX_CHARACTERS:
        return _(
            "The text has the maximum length of a spreadsheet cell, so its end may be "
            "missing. Change it on the lesson's page."
        )
    if _ERROR.match(after):
        return _("“%(error)s” is a spreadsheet error. Enter the correct value.") % {
            "error": after[:20]
        }
    if _has_lost_letters(before, after):
        return _(
            "Characters were lost when the file was saved. Save it as “CSV UTF-8” or "
            "as .xlsx."
        )
    if _is_converted(before, after):
        return _(
            "The spreadsheet program changed “%(before)s” to “%(after)s”. Format the "
            "cell as text and enter the value again, or change it on the lesson's "
            "page."
        ) % {"after": after, "before": before}
    return None


def _has_lost_letters(before: str, after: str) -> bool:
    """Return whether the text was saved in a character set without Arabic."""
    if _LOST_LETTER in after and _LOST_LETTER not in before:
        return True
    if before.isascii() or "?" not in after:
        return False
    if not after.isascii():
        return False
    old_bytes, new_bytes = (
        text.encode("utf-16-le", "surrogatepass") for text in (before, after)
    )
    pairs = zip(
        (old_bytes[at : at + 2] for at in range(0, len(old_bytes), 2)),
        (new_bytes[at : at + 2] for at in range(0, len(new_bytes), 2)),
        strict=False,
    )
    has_question_marks = all(old == new or new == b"?\0" for old, new in pairs)
    return _ASKS in after or (len(old_bytes) == len(new_bytes) and has_question_marks)


def _is_converted(before: str, after: str) -> bool:
    """Return whether ``before`` was converted to a number, date, time or boolean."""
    if not before or max(len(before), len(after)) > _MAX_NUMBER:
        return False
    if before.lower() in ("true", "false") and after.lower() == before.lower():
        return True
    was, number = _number(before), _number(after)
    if was is not None and number is not None and _is_close(was, number, after):
        return True
    return bool(
        _DAY_OR_TIME.match(before)
        and _SHOWN_DAY_OR_TIME.match(after)
        and not _is_of_the_same_form(before, after)
    )


def _number(text: str) -> float | None:
    """Return the number that a spreadsheet reads; percentages and fractions count."""
    bare = text.replace(",", "").strip()
    if bare.endswith("%"):
        hundreds = _number(bare[:-1])
        return None if hundreds is None else hundreds / 100
    if bare.startswith("(") and bare.endswith(")"):
        negated = _number(bare[1:-1])
        return None if negated is None else -negated
    upper, slash, lower = bare.partition("/")
    if slash:
        over, under = _number(upper), _number(lower)
        return over / under if over is not None and under else None
    return float(bare) if _NUMBER.match(bare) else None


def _is_close(before: float, number: float, text: str) -> bool:
    """Return whether two numbers are equal in the digits that a spreadsheet keeps."""
    tolerance = 1e-2 if "e" in text.lower() else 1e-14
    return math.isclose(before, number, rel_tol=tolerance) or (before == number)


def _is_of_the_same_form(before: str, after: str) -> bool:
    """Return whether the texts have one form but different numbers, as after an edit.

    Leading zeros and the order of the numbers do not count as different.
    """
    if _DIGITS.sub("0", before) != _DIGITS.sub("0", after):
        return False
    was, now = (
        [int(found) % 100 for found in _DIGITS.findall(text)]
        for text in (before, after)
    )
    return sorted(was) != sorted(now)
