"""The sync log: each run of a plan, its failures, and when to try again."""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from plans.models import AcademicPlan
from publishing.changes import Sources
from publishing.models import SyncLog, SyncStatus
from publishing.release import Outcome, SupersededError
from publishing.staging import DiskLowError, StagingError
from publishing.validation import InvalidDocumentError

log = structlog.get_logger(__name__)

_DISK_RECHECK = timedelta(minutes=1)


def open_entry(
    plan: AcademicPlan, sources: Sources, *, trigger: str, now: datetime
) -> SyncLog:
    """The entry of a run that begins; the plan's unfinished one goes on, if any.

    One left in Processing is a dead builder's. Attempts count from the start when the
    sources have changed since the last.
    """
    unfinished = SyncLog.objects.filter(
        plan=plan,
        status__in=[SyncStatus.QUEUED, SyncStatus.PROCESSING, SyncStatus.DEAD_LETTER],
    )
    entry = unfinished.order_by("-pk").first() or SyncLog(
        plan=plan, plan_public_id=plan.public_id, created_at=now
    )
    if entry.sources != sources:
        entry.attempts = 0
    entry.sources = sources
    entry.status = SyncStatus.PROCESSING
    entry.trigger = trigger
    entry.attempts += 1
    entry.started_at, entry.finished_at = now, None
    entry.next_attempt_at = None
    entry.save()
    return entry


def record_success(entry: SyncLog, outcome: Outcome) -> None:
    entry.status = SyncStatus.LOCAL_ONLY
    entry.generation = outcome.generation
    entry.files_written = outcome.written
    entry.files_unchanged = outcome.unchanged
    entry.files_removed = outcome.removed
    entry.error = entry.error_document = entry.error_json_path = ""
    entry.finished_at = timezone.now()
    entry.save()
    log.info(
        "plan_published",
        plan=entry.plan_public_id,
        generation=outcome.generation,
        written=outcome.written,
        unchanged=outcome.unchanged,
        removed=outcome.removed,
    )


def record_failure(entry: SyncLog, error: Exception) -> None:
    """Write the failure down, with when to try again (spec 4's schedule)."""
    now = timezone.now()
    entry.error = str(error) or type(error).__name__
    if isinstance(error, InvalidDocumentError):
        entry.error_document = error.document
        entry.error_json_path = error.json_path[:255]
    delays = settings.PUBLISH_RETRY_DELAYS
    if isinstance(error, SupersededError):
        entry.status = SyncStatus.SUPERSEDED
    elif isinstance(error, DiskLowError):
        # Not the build's fault: it waits as long as it takes.
        entry.status, entry.attempts = SyncStatus.QUEUED, entry.attempts - 1
        entry.next_attempt_at = now + _DISK_RECHECK
    elif entry.attempts > len(delays):
        entry.status = SyncStatus.DEAD_LETTER
    else:
        entry.status = SyncStatus.QUEUED
        entry.next_attempt_at = now + timedelta(seconds=delays[entry.attempts - 1])
    entry.finished_at = now
    entry.save()
    log.error(
        "plan_publish_failed",
        plan=entry.plan_public_id,
        attempt=entry.attempts,
        status=entry.status,
        error=entry.error,
        exc_info=not isinstance(error, (InvalidDocumentError, StagingError)),
    )


def resting(now: datetime) -> dict[int, Sources]:
    """Plans that may not be tried yet, with the sources their failure was made of."""
    waiting = Q(status=SyncStatus.QUEUED, next_attempt_at__gt=now)
    return dict(
        SyncLog.objects.filter(
            waiting | Q(status=SyncStatus.DEAD_LETTER), plan__isnull=False
        )
        .order_by("pk")
        .values_list("plan_id", "sources")
    )


def retry(entry: SyncLog) -> None:
    """Let a failed or dead entry be tried again at once, with all its attempts."""
    SyncLog.objects.filter(pk=entry.pk).exclude(status=SyncStatus.PROCESSING).update(
        status=SyncStatus.QUEUED, attempts=0, next_attempt_at=None
    )
