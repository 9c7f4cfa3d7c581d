"""The server's calendar: which day it is for streaks."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings


def day_of(now: datetime) -> date:
    """The date in ``settings.STREAK_TIME_ZONE`` at that aware time."""
    return now.astimezone(ZoneInfo(settings.STREAK_TIME_ZONE)).date()
