"""What completing a lesson earns (DESIGN 7; spec 4, XP Calculator).

Plain rules: no Django here; the numbers come from the settings.
"""

from dataclasses import dataclass

MAX_HEARTS = 5


@dataclass(frozen=True, slots=True)
class Rates:
    """The numbers of the formula."""

    per_heart: int
    first_completion: int
    new_record: int


def is_record(*, hearts: int, best_hearts: int) -> bool:
    """More hearts than ever before on this lesson; the first success is one."""
    return hearts > best_hearts


def earned(
    *, base_xp: int, hearts: int, is_first: bool, is_record: bool, rates: Rates
) -> int:
    """XP of one completion: base + hearts, + first, + record."""
    total = base_xp + rates.per_heart * hearts
    if is_first:
        total += rates.first_completion
    if is_record:
        total += rates.new_record
    return total
