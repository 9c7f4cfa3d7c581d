"""Which grade Zoho gets for an attempt, by BTEC's rules.

A unit's rubric has criteria such as ``P1``, ``M2``, ``D1``. All criteria of a level and
of the levels below it give that level: pass, merit, distinction. Else the student is
referred (``R``), with a later attempt again (``RR``); without a submission the attempt
failed (``F``). Each attempt keeps its own grade; the latest attempt decides.

A scale whose items are BTEC's words gives the same grades: the BTEC form grades by it.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

LEVELS = ("P", "M", "D")
REFERRED, REFERRED_AGAIN, FAILED = "R", "RR", "F"
_CODE = re.compile(r"[PMD][0-9]{1,2}")
_WORDS = {"pass": "P", "merit": "M", "distinction": "D", "refer": "", "r": ""}
"""The items of BTEC's scale, in lower case; "" for a referral."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """A criterion of a rubric, and what the teacher chose for it.

    Args:
        code: its short name, such as ``P1``; ``title``: the whole text.
        is_achieved: whether the highest level was chosen.
        definition: the text of the chosen level; "" if none was chosen.
        feedback: the teacher's remark.
    """

    code: str
    title: str
    is_achieved: bool
    definition: str = ""
    feedback: str = ""

    def document(self) -> dict[str, Any]:
        """Return the criterion as JSON; `Criterion(**document)` reads it."""
        return asdict(self)


def grade_of(
    *,
    value: Decimal | None,
    criteria: Sequence[Criterion],
    attempt: int,
    is_submitted: bool,
    item: str = "",
) -> str:
    """Return the grade of an attempt.

    Without criteria of BTEC it is the item of the scale as Moodle names it, or Moodle's
    number.

    Args:
        value: Moodle's number; None for a grade that was taken back.
        attempt: from 0.
        item: the item of the scale that ``value`` stands for; "" without a scale.
    """
    if value is None:
        return ""
    btec = [one for one in criteria if _CODE.fullmatch(one.code)]
    if not btec and not item:
        return f"{value.normalize():f}"
    reached = _level(btec) if btec else _WORDS.get(item.casefold(), item)
    if reached:
        return reached
    if not is_submitted:
        return FAILED
    return REFERRED_AGAIN if attempt else REFERRED


def _level(btec: Sequence[Criterion]) -> str:
    """Return the highest level that was reached; levels without criteria are skipped."""
    reached = ""
    for level in LEVELS:
        of_level = [one.is_achieved for one in btec if one.code.startswith(level)]
        if not all(of_level):
            break
        if of_level:
            reached = level
    return reached
