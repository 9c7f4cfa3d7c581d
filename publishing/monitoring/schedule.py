"""The time of the next scheduled publishing run."""

from datetime import datetime
from typing import Any

from django.conf import settings


def next_run(now: datetime) -> datetime:
    """Return when beat next sends the task that builds waiting plans."""
    entry: Any = settings.CELERY_BEAT_SCHEDULE["process-pending-plans"]
    last, until_next, _now = entry["schedule"].remaining_delta(now)
    due: datetime = last + until_next
    return due
