"""The days of streaks and their rules, by the settings."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.conf import settings

from progress import days_off
from progress.days_off import DaysOff
from progress.streak import Rules


def day_of(now: datetime) -> date:
    """Return the date in ``settings.STREAK_TIME_ZONE`` at that aware time."""
    return now.astimezone(ZoneInfo(settings.STREAK_TIME_ZONE)).date()


def beginning_of(day: date) -> datetime:
    """Return the start of that day in ``settings.STREAK_TIME_ZONE``, in UTC."""
    zone = ZoneInfo(settings.STREAK_TIME_ZONE)
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def rules() -> Rules:
    """Return the days off and how freezes are earned, by the settings of now."""
    return Rules(
        is_off=_days_off(tuple(settings.STREAK_DAYS_OFF)).__contains__,
        freeze_every=settings.STREAK_FREEZE_EVERY_DAYS,
        most_freezes=settings.STREAK_MOST_FREEZES,
    )


@lru_cache(maxsize=4)
def _days_off(entries: Sequence[str]) -> DaysOff:
    return days_off.parse(entries)
