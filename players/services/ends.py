"""Until when a product is valid whose last day staff enter."""

from datetime import date, datetime, time, timedelta

from django.utils import timezone

from core.parsing import LATEST


def end_of_day(day: date) -> datetime:
    """Return the end of a day in the current time zone, at most the latest time."""
    try:
        after = datetime.combine(day + timedelta(days=1), time.min)
        return min(timezone.make_aware(after), LATEST)
    except OverflowError:
        return LATEST
