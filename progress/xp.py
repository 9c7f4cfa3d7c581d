"""The XP of a completion; see docs/architecture.md, "XP". No Django imports.

The caller passes the numbers from the settings.
"""

from dataclasses import dataclass

MAX_HEARTS = 5


@dataclass(frozen=True, slots=True)
class Rates:
    """The numbers of the XP formula."""

    per_heart: int
    first_completion: int
    new_record: int


def is_record(*, hearts: int, best_hearts: int) -> bool:
    """Return whether this is a new record: more hearts than ever on this lesson."""
    return hearts > best_hearts


def earned(
    *, base_xp: int, hearts: int, is_first: bool, is_record: bool, rates: Rates
) -> int:
    """Return the XP of one completion: base, hearts, first completion and record."""
    total = base_xp + rates.per_heart * hearts
    if is_first:
        total += rates.first_completion
    if is_record:
        total += rates.new_record
    return total
