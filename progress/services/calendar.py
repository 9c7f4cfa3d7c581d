"""The days of streaks, in the time zone of the settings."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from django.conf import settings


def day_of(now: datetime) -> date:
    """Return the date in ``settings.STREAK_TIME_ZONE`` at that aware time."""
    return now.astimezone(ZoneInfo(settings.STREAK_TIME_ZONE)).date()


def beginning_of(day: date) -> datetime:
    """Return the start of that day in ``settings.STREAK_TIME_ZONE``, in UTC."""
    zone = ZoneInfo(settings.STREAK_TIME_ZONE)
    return datetime.combine(day, time.min, zone).astimezone(UTC)
