"""Progress's periodic work."""

from celery import shared_task

from progress.services import snapshots


@shared_task(name="progress.tasks.sync_pending_bitmaps", ignore_result=True)
def sync_pending_bitmaps() -> None:
    """Write changed progress back; every 30 seconds, and safe to run twice."""
    snapshots.sync_pending()
