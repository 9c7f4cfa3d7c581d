"""Progress's periodic tasks."""

from celery import shared_task
from django.utils import timezone

from progress.services import (
    lesson_counting,
    reconciliation,
    snapshots,
    sync_events,
)


@shared_task(name="progress.tasks.sync_pending_bitmaps", ignore_result=True)
def sync_pending_bitmaps() -> None:
    """Write changed progress to the database. Every 30 seconds; safe to run twice."""
    snapshots.sync_pending()


@shared_task(name="progress.tasks.reconcile_records", ignore_result=True)
def reconcile_records() -> None:
    """Drop records that differ from the ledger. Every minute; safe to run twice."""
    reconciliation.reconcile_recent(timezone.now())


@shared_task(name="progress.tasks.apply_held_events", ignore_result=True)
def apply_held_events() -> None:
    """Apply held events of published lessons. Every 5 minutes; safe to run twice."""
    sync_events.apply_all_held(timezone.now())


@shared_task(name="progress.tasks.count_lessons", ignore_result=True)
def count_lessons() -> None:
    """Count new attempts in the statistics. Every 5 minutes; safe to run twice."""
    lesson_counting.sync_pending()
