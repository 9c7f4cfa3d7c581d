"""The rules of streaks, by the settings."""

from collections.abc import Sequence
from functools import lru_cache

from django.conf import settings

from players.local_days import LocalDays
from progress import days_off
from progress.days_off import DaysOff
from progress.streak import Rules


def rules(days: LocalDays) -> Rules:
    """Return the days off of a player and how freezes are earned.

    By the settings of now. A date that the player's zone passes over is off, too.
    """
    off = _days_off(tuple(settings.STREAK_DAYS_OFF))
    return Rules(
        is_off=lambda day: day in off or days.is_skipped(day),
        freeze_every=settings.STREAK_FREEZE_EVERY_DAYS,
        most_freezes=settings.STREAK_MOST_FREEZES,
    )


@lru_cache(maxsize=4)
def _days_off(entries: Sequence[str]) -> DaysOff:
    return days_off.parse(entries)
