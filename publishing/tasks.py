"""Celery tasks of publishing. Every task may run twice."""

import time

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from plans import scheduling
from publishing import alerts, queue
from publishing.building import builds, sweep
from publishing.cdn import sync
from publishing.monitoring import health, lateness, outside, silence, status
from publishing.signing import renewal
from publishing.storage import activation, disk


@shared_task
def process_pending() -> None:
    """Build one batch of pending plans; beat sends it every five minutes."""
    left = sweep.process_pending(limit=settings.PUBLISH_BATCH_SIZE)
    # A separate task: an upload may take hours, and the next batch must not wait.
    distribute.delay()
    if left:
        process_pending.delay()


@shared_task
def apply_scheduled_changes() -> None:
    """Make the scheduled changes that are due, then build the plans; every minute."""
    if scheduling.apply_due(timezone.now()):
        process_pending.delay()


@shared_task
def publish_plan(plan_pk: int, trigger: str, by: int | None = None) -> None:
    """Build one plan now ("Publish now"), unless it is held.

    Args:
        by: primary key of the user who requested it.
    """
    builds.publish_now(plan_pk, trigger=trigger, by=by, upload=False)
    distribute.delay()


@shared_task
def prune_generations() -> None:
    """Delete old generations, leftovers and old sync log entries."""
    sweep.prune(timezone.now())


@shared_task
def renew_signatures() -> None:
    """Sign videos again before half the lifetime of a signature has passed."""
    renewal.renew_signatures(int(time.time()))


@shared_task
def reconcile_open_lessons() -> None:
    """Complete opening and closing lessons after a process stopped; every minute."""
    activation.reconcile_open_lessons()


@shared_task
def heartbeat() -> None:
    """Record that beat sends tasks and a worker runs them; every minute."""
    queue.record_beat_heartbeat(time.time())
    now = timezone.now()
    silence.check_heartbeats(now)
    lateness.check(now)
    outside.check(now)


@shared_task
def watch_disk() -> None:
    """Pause or resume publishing by free disk space; resend e-mails. Every minute."""
    alerts.send_unsent()
    if disk.watch():
        process_pending.delay()


@shared_task
def watch_queue() -> None:
    """Retry due builds and record the waiting plans; every half minute."""
    now = timezone.now()
    status.record_pending_since(now)
    sweep.retry_due(now)


@shared_task
def distribute() -> None:
    """Upload, delete and retry whatever the CDN needs; every half minute."""
    sync.distribute()


@shared_task
def check_health() -> None:
    """Run the hourly sample or the nightly full check, if one is due this hour."""
    health.check_if_due(timezone.now())
