"""Progress's periodic tasks."""

from celery import shared_task

from progress.services import snapshots


@shared_task(name="progress.tasks.sync_pending_bitmaps", ignore_result=True)
def sync_pending_bitmaps() -> None:
    """Write changed progress to the database. Every 30 seconds; safe to run twice."""
    snapshots.sync_pending()
