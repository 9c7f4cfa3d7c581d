"""The players' tasks: periodic ones, and mail to students."""

from typing import Any

from celery import shared_task
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from players import wallet_sync
from players.errors import StoreAwayError
from players.services import (
    erasure,
    import_runs,
    password_resets,
    photos,
    retention,
    sessions,
)


@shared_task(name="players.tasks.sync_pending_wallets", ignore_result=True)
def sync_pending_wallets() -> None:
    """Write changed wallets to the database. Every 15 minutes; safe to run twice."""
    wallet_sync.sync_pending_wallets()


@shared_task(name="players.tasks.tidy_photos", ignore_result=True)
def tidy_photos() -> None:
    """Delete photos without a player. Every hour; safe to run twice."""
    photos.tidy(now=timezone.now())


@shared_task(name="players.tasks.end_expired_sessions", ignore_result=True)
def end_expired_sessions() -> None:
    """End sessions that have passed an age limit. Every hour; safe to run twice."""
    sessions.end_expired(timezone.now())


@shared_task(name="players.tasks.finish_erasures", ignore_result=True)
def finish_erasures() -> None:
    """Remove what remains of erased students. Every 5 minutes; safe to run twice."""
    erasure.finish_all(now=timezone.now())


@shared_task(name="players.tasks.apply_retention", ignore_result=True)
def apply_retention() -> None:
    """Delete data whose retention time has passed. Every hour; safe to run twice."""
    retention.apply(now=timezone.now())


@shared_task(
    name="players.tasks.send_reset_link", ignore_result=True, bind=True, max_retries=3
)
def send_reset_link(self: Any, user_id: int) -> None:
    """Send a link to set a new password; 0 stands for an unknown account.

    Tries again each minute, three times, while the mail server does not take it. A
    second run sends a second mail.
    """
    if not password_resets.send_link(user_id):
        raise self.retry(countdown=60)


def enqueue_reset_link(user_id: int) -> None:
    """Start `send_reset_link`.

    Raises:
        StoreAwayError: the broker does not answer; no mail is sent.
    """
    try:
        send_reset_link.delay(user_id)
    except OperationalError:
        raise StoreAwayError(
            _("The e-mail cannot be sent at the moment. Please try again shortly.")
        ) from None


@shared_task(name="players.tasks.import_students", ignore_result=True)
def import_students(import_id: int, key: str, language: str) -> None:
    """Run a confirmed import of students; a second run of the same import does nothing.

    Args:
        key: decrypts the file; it is only in the message of this task.
        language: of the reasons in the report.
    """
    import_runs.run(import_id, key=key, language=language)
