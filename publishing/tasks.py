"""What the worker does for publishing. Every task can run twice."""

from celery import shared_task
from django.conf import settings

from publishing import builds, release


@shared_task
def process_pending() -> None:
    """Build what differs, a batch at a time; beat calls it every five minutes."""
    if builds.process_pending(limit=settings.PUBLISH_BATCH_SIZE):
        process_pending.delay()


@shared_task
def publish_plan(plan_pk: int, trigger: str) -> None:
    """Build one plan now ("Publish now")."""
    builds.publish_plan(plan_pk, trigger=trigger)


@shared_task
def collect_generations() -> None:
    """Delete old generations and leftovers."""
    release.collect()
