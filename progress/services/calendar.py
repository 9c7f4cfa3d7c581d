"""The server's calendar: which day it is for streaks."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from django.conf import settings


def day_of(now: datetime) -> date:
    """The date in ``settings.STREAK_TIME_ZONE`` at that aware time."""
    return now.astimezone(ZoneInfo(settings.STREAK_TIME_ZONE)).date()


def beginning_of(day: date) -> datetime:
    """The first instant of that day in ``settings.STREAK_TIME_ZONE``, in UTC."""
    zone = ZoneInfo(settings.STREAK_TIME_ZONE)
    return datetime.combine(day, time.min, zone).astimezone(UTC)
