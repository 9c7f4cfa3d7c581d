"""The sync log: each run of a plan, its failures and the time of its next attempt."""

import errno
from collections import defaultdict
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db.models import Max, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy

from plans.models import AcademicPlan
from publishing import alerts, attempts, staleness, upload_log
from publishing.format.validation import InvalidDocumentError
from publishing.models import (
    AlertKind,
    Publication,
    PublishingSettings,
    SyncLog,
    SyncStatus,
    SyncStep,
)
from publishing.staleness import Sources
from publishing.storage import disk, file_store
from publishing.storage.activation import Outcome, SupersededError
from publishing.storage.file_store import DiskLowError, StagingError

log = structlog.get_logger(__name__)

_DISK_RECHECK = timedelta(minutes=1)
_RETENTION = timedelta(days=90)
_AT_ONCE = 500
_FINISHED = (
    SyncStatus.SUCCESS,
    SyncStatus.LOCAL_ONLY,
    SyncStatus.FAILED,
    SyncStatus.SUPERSEDED,
)
_RESULT_FIELDS = (
    "status",
    "step",
    "attempts",
    "next_attempt_at",
    "disk_needed",
    "built_at",
    "build_seconds",
    "generation",
    "files_written",
    "files_unchanged",
    "files_removed",
    "error",
    "error_document",
    "error_json_path",
    "finished_at",
)
"""Fields set at the end of an attempt. Not the plan, which may be deleted by then."""


_DEAD_LETTER = gettext_lazy(
    "Publishing the plan %(plan)s failed %(attempts)d times and is not retried: "
    "%(error)s\n"
    "Students keep reading its last release. Correct the error (this starts a new "
    "build), or choose Retry in the sync log."
)


def open_entry(
    plan: AcademicPlan, sources: Sources, *, trigger: str, now: datetime
) -> SyncLog:
    """Return the entry of a build that begins: the plan's unfinished one, or a new one.

    An unfinished entry keeps its first trigger. One in Processing belongs to a builder
    that stopped. Attempts are counted from the start when the sources have changed. An
    entry waiting for its upload belongs to an earlier build and is not reused.
    """
    unfinished = SyncLog.objects.filter(
        plan=plan, step=SyncStep.BUILD, status__in=attempts.UNFINISHED
    )
    entry = unfinished.order_by("-pk").first() or SyncLog(
        plan=plan, plan_public_id=plan.public_id, trigger=trigger, created_at=now
    )
    if entry.sources != sources:
        entry.attempts = 0
    entry.sources = sources
    attempts.begin(entry, now)
    entry.save()
    return entry


def record_request(plan_pk: int, *, trigger: str, by: int) -> SyncLog | None:
    """Record the user who requests a build of a plan; the next run gets their name.

    Args:
        by: the user's primary key.

    Returns:
        The entry of that run; None when the plan needs no build.
    """
    if plan_pk not in staleness.pending([plan_pk]):
        return None
    waiting = SyncLog.objects.filter(
        plan_id=plan_pk,
        step=SyncStep.BUILD,
        status__in=[SyncStatus.QUEUED, SyncStatus.DEAD_LETTER],
    )
    if waiting.update(trigger=trigger, started_by_id=by):
        return waiting.order_by("-pk").first()
    plan = AcademicPlan.objects.filter(pk=plan_pk).first()
    return plan and SyncLog.objects.create(
        plan=plan,
        plan_public_id=plan.public_id,
        status=SyncStatus.QUEUED,
        trigger=trigger,
        started_by_id=by,
        created_at=timezone.now(),
    )


def after_switch(now: datetime) -> dict[str, Any]:
    """Return an entry's fields after the switch: finished, or queued for the upload."""
    if not PublishingSettings.get_solo().cdn_enabled:
        return {"built_at": now, "status": SyncStatus.LOCAL_ONLY}
    return {
        "built_at": now,
        "status": SyncStatus.QUEUED,
        "step": SyncStep.UPLOAD,
        "attempts": 0,
        "next_attempt_at": now,
    }


def record_success(entry: SyncLog, outcome: Outcome) -> None:
    """Record that readers on this server have the release; an upload may follow."""
    entry.generation = outcome.generation
    entry.files_written = outcome.written
    entry.files_unchanged = outcome.unchanged
    entry.files_removed = outcome.removed
    entry.error = entry.error_document = entry.error_json_path = ""
    entry.finished_at = timezone.now()
    entry.build_seconds = entry.duration_seconds
    for name, value in after_switch(entry.finished_at).items():
        setattr(entry, name, value)
    attempts.save(entry, _RESULT_FIELDS)
    upload_log.supersede(entry)
    alerts.resolve(kind=AlertKind.DEAD_LETTER, key=entry.plan_public_id)
    log.info(
        "plan_published",
        plan=entry.plan_public_id,
        generation=outcome.generation,
        written=outcome.written,
        unchanged=outcome.unchanged,
        removed=outcome.removed,
    )


def record_withdrawal(
    plan_public_id: str, plan: AcademicPlan | None, *, files: int, began: datetime
) -> None:
    """Record that readers on this server have no file of the plan any more.

    The next distribution deletes the plan's files on the CDN.

    Args:
        plan: None if it is deleted.
    """
    has_cdn = PublishingSettings.get_solo().cdn_enabled
    SyncLog.objects.create(
        plan=plan,
        plan_public_id=plan_public_id,
        status=SyncStatus.SUCCESS if has_cdn else SyncStatus.LOCAL_ONLY,
        trigger=SyncLog.WITHDRAWAL,
        attempts=1,
        files_removed=files,
        created_at=began,
        started_at=began,
        finished_at=timezone.now(),
    )


def record_failure(entry: SyncLog, error: Exception) -> None:
    """Record the failure and the time of the next attempt."""
    now = timezone.now()
    entry.error = str(error) or type(error).__name__
    if isinstance(error, InvalidDocumentError):
        entry.error_document = error.document
        entry.error_json_path = error.json_path[:255]
    if isinstance(error, SupersededError):
        entry.status = SyncStatus.SUPERSEDED
    elif (needed := _disk_needed(error)) is not None:
        # A full disk is not counted as a failed attempt.
        entry.status, entry.attempts = SyncStatus.QUEUED, entry.attempts - 1
        entry.next_attempt_at = now + _DISK_RECHECK
        entry.disk_needed = needed
    else:
        attempts.fail(
            entry,
            now,
            delays=settings.PUBLISH_RETRY_DELAYS,
            exhausted=SyncStatus.DEAD_LETTER,
        )
    entry.finished_at = now
    attempts.save(entry, _RESULT_FIELDS)
    log.error(
        "plan_publish_failed",
        plan=entry.plan_public_id,
        attempt=entry.attempts,
        status=entry.status,
        error=entry.error,
        exc_info=not isinstance(error, (InvalidDocumentError, StagingError)),
    )
    if entry.disk_needed is not None:
        least = PublishingSettings.get_solo().min_free_disk_percent
        disk.raise_low(least=least, needed=entry.disk_needed)
    elif entry.status == SyncStatus.DEAD_LETTER:
        attempts.raise_alert(entry, AlertKind.DEAD_LETTER, _DEAD_LETTER)


def _disk_needed(error: Exception) -> int | None:
    """Return the bytes for which a build lacked disk space; None for other errors.

    0 if unknown: the disk, or a quota on it, became full during the build.
    """
    if isinstance(error, DiskLowError):
        return error.needed
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return 0 if full else None


def plans_in_backoff(now: datetime) -> dict[int, Sources]:
    """Return plans that must not be tried yet, with the sources of their failure."""
    return dict(
        SyncLog.objects.filter(
            attempts.waiting(now) | Q(status=SyncStatus.DEAD_LETTER),
            step=SyncStep.BUILD,
            plan__isnull=False,
        )
        .order_by("pk")
        .values_list("plan_id", "sources")
    )


def plans_due(now: datetime) -> list[int]:
    """Return plans whose next attempt is due; not those paused for a full disk."""
    return list(
        SyncLog.objects.filter(
            attempts.due(now),
            step=SyncStep.BUILD,
            disk_needed__isnull=True,
            plan__isnull=False,
        )
        .order_by("next_attempt_at")
        .values_list("plan_id", flat=True)
        .distinct()
    )


def retry(entry: SyncLog) -> None:
    """Queue an entry for an immediate attempt, with all attempts available again."""
    _requeue(SyncLog.objects.filter(pk=entry.pk))


def retry_all() -> int:
    """Queue every Dead Letter and failed upload again; return how many."""
    failed_uploads = Q(pk__in=[entry.pk for entry in upload_log.failures()])
    return _requeue(
        SyncLog.objects.filter(Q(status=SyncStatus.DEAD_LETTER) | failed_uploads)
    )


def can_retry(entry: SyncLog) -> bool:
    """Return whether `retry` would change this entry."""
    waits = entry.status in (SyncStatus.QUEUED, SyncStatus.DEAD_LETTER)
    failed = entry.status == SyncStatus.FAILED and entry.step == SyncStep.UPLOAD
    return entry.plan_id is not None and (waits or failed)


def _requeue(entries: QuerySet[SyncLog]) -> int:
    return entries.filter(
        Q(status__in=[SyncStatus.QUEUED, SyncStatus.DEAD_LETTER])
        | Q(status=SyncStatus.FAILED, step=SyncStep.UPLOAD)
    ).update(status=SyncStatus.QUEUED, attempts=0, next_attempt_at=timezone.now())


def _close_abandoned() -> None:
    """Close entries of stopped builders whose plan no longer needs a build.

    A running builder whose plan is already built is about to record the same result, in
    more detail.
    """
    abandoned = SyncLog.objects.filter(
        status=SyncStatus.PROCESSING, step=SyncStep.BUILD
    )
    entries = list(abandoned)
    if not entries:
        return
    pending = staleness.pending()
    made = {found.plan_id: found for found in Publication.objects.all()}
    now = timezone.now()
    for entry in entries:
        if entry.plan_id in pending:
            continue  # the next build reuses it
        publication = made.get(entry.plan_id)
        built = publication is not None and publication.built_from == entry.sources
        abandoned.filter(pk=entry.pk, attempts=entry.attempts).update(
            error="",
            error_document="",
            error_json_path="",
            generation=publication.generation if built and publication else None,
            finished_at=now,
            **(after_switch(now) if built else {"status": SyncStatus.SUPERSEDED}),
        )


def prune(now: datetime) -> int:
    """Delete runs that ended long ago; return how many.

    Each plan's last build stays, and so do the builds of the generations on disk. All
    runs of a plan stay while its folder cannot be read.
    """
    builds = SyncLog.objects.filter(built_at__isnull=False).order_by()
    newest = builds.values_list("plan_public_id").annotate(Max("pk"))
    kept = {pk for _plan_id, pk in newest}
    kept |= {entry.pk for entry in upload_log.failures()}
    old = SyncLog.objects.filter(created_at__lt=now - _RETENTION, status__in=_FINISHED)
    runs: dict[str, dict[int, int | None]] = defaultdict(dict)
    for pk, plan_id, number in old.values_list("pk", "plan_public_id", "generation"):
        runs[plan_id][pk] = number
    expired: list[int] = []
    for plan_id, made in runs.items():
        with suppress(OSError):
            here = file_store.kept_generations(plan_id)
            expired += [pk for pk in made if pk not in kept and made[pk] not in here]
    for start in range(0, len(expired), _AT_ONCE):
        SyncLog.objects.filter(pk__in=expired[start : start + _AT_ONCE]).delete()
    return len(expired)


def close_stale() -> None:
    """Close entries and alerts that need no further attempt.

    An entry is closed when its plan is up to date, unpublished or deleted. An alert
    about a Dead Letter is resolved when no such entry is left for the plan.
    """
    _close_abandoned()
    open_entries = SyncLog.objects.filter(
        status__in=[SyncStatus.QUEUED, SyncStatus.DEAD_LETTER], step=SyncStep.BUILD
    )
    if open_entries.exists():
        # Read before the pending plans, so that an entry opened since is not closed.
        pks = list(open_entries.values_list("pk", flat=True))
        attempts.supersede(
            open_entries.filter(pk__in=pks).exclude(plan__in=staleness.pending())
        )
    dead = SyncLog.objects.filter(status=SyncStatus.DEAD_LETTER)
    told = alerts.open_alerts(AlertKind.DEAD_LETTER)
    alerts.resolve_all(told.exclude(key__in=dead.values("plan_public_id")))
