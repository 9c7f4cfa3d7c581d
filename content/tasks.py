"""The content's periodic tasks."""

from celery import shared_task
from django.utils import timezone

from content.drafts import storage


@shared_task(name="content.tasks.delete_expired_drafts", ignore_result=True)
def delete_expired_drafts() -> None:
    """Delete old drafts of forms. Every hour; safe to run twice."""
    storage.delete_expired(timezone.now())
