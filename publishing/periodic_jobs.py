"""Periodic work of other apps that monitoring watches (docs/architecture.md, "Layers").

An app adds a function that returns the state of its jobs, in one query.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise

from core.hooks import Registry


@dataclass(frozen=True, slots=True)
class PeriodicJob:
    """A job that beat starts regularly, and until when its work is complete.

    Args:
        name: identifies it in metrics and alerts.
        label: its name for people, lazily translated.
        late_after_seconds: without a complete run for this time it is late.
        complete_until: the start of its last complete run; None before the first one.
    """

    name: str
    label: Promise
    late_after_seconds: int
    complete_until: datetime | None


periodic_jobs: Registry[Callable[[], list[PeriodicJob]]] = Registry()
