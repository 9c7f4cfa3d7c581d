"""The sync log: each run of a plan, its failures, and when to try again."""

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
from publishing import alerts, staleness, upload_log
from publishing.format.validation import InvalidDocumentError
from publishing.models import (
    Alert,
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
_KEPT = timedelta(days=90)
_AT_ONCE = 500
_OVER = (
    SyncStatus.SUCCESS,
    SyncStatus.LOCAL_ONLY,
    SyncStatus.FAILED,
    SyncStatus.SUPERSEDED,
)
_ENDING = (
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
"""What the end of an attempt decides. Not the plan: it may be deleted by then."""


def open_entry(
    plan: AcademicPlan, sources: Sources, *, trigger: str, now: datetime
) -> SyncLog:
    """The entry of a build that begins; the plan's unfinished one goes on, if any.

    Who asked for it first stays its trigger. One left in Processing is a dead
    builder's. Attempts count from the start when the sources have changed since the
    last. An upload that waits is an earlier build's.
    """
    unfinished = SyncLog.objects.filter(
        plan=plan,
        step=SyncStep.BUILD,
        status__in=[SyncStatus.QUEUED, SyncStatus.PROCESSING, SyncStatus.DEAD_LETTER],
    )
    entry = unfinished.order_by("-pk").first() or SyncLog(
        plan=plan, plan_public_id=plan.public_id, trigger=trigger, created_at=now
    )
    if entry.sources != sources:
        entry.attempts = 0
    entry.sources = sources
    entry.status = SyncStatus.PROCESSING
    entry.attempts += 1
    entry.started_at, entry.finished_at = now, None
    entry.next_attempt_at = entry.disk_needed = None
    entry.save()
    return entry


def note_request(plan_pk: int, *, trigger: str, by: int) -> None:
    """Write down who asks for a plan to be built: the run that follows is theirs.

    Nothing is written where there is nothing to build.

    Args:
        by: the user's key.
    """
    if plan_pk not in staleness.pending([plan_pk]):
        return
    waiting = SyncLog.objects.filter(
        plan_id=plan_pk,
        step=SyncStep.BUILD,
        status__in=[SyncStatus.QUEUED, SyncStatus.DEAD_LETTER],
    )
    if waiting.update(trigger=trigger, started_by_id=by):
        return
    for plan in AcademicPlan.objects.filter(pk=plan_pk):
        SyncLog.objects.create(
            plan=plan,
            plan_public_id=plan.public_id,
            status=SyncStatus.QUEUED,
            trigger=trigger,
            started_by_id=by,
            created_at=timezone.now(),
        )


def _close(entry: SyncLog) -> None:
    """Write down how this attempt ended; not over a later one.

    A builder that was overtaken shares the entry with the one that overtook it.
    """
    mine = SyncLog.objects.filter(pk=entry.pk, started_at=entry.started_at)
    mine.update(**{name: getattr(entry, name) for name in _ENDING})


def after_switch(now: datetime) -> dict[str, Any]:
    """How an entry goes on once readers here have the release: done, or the CDN."""
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
    """Write down that readers here have the release; an upload may be next."""
    entry.generation = outcome.generation
    entry.files_written = outcome.written
    entry.files_unchanged = outcome.unchanged
    entry.files_removed = outcome.removed
    entry.error = entry.error_document = entry.error_json_path = ""
    entry.finished_at = timezone.now()
    entry.build_seconds = entry.duration_seconds
    for name, value in after_switch(entry.finished_at).items():
        setattr(entry, name, value)
    _close(entry)
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
    """Write down that readers here have nothing of the plan any more.

    What the CDN has of it leaves with the next distribution.

    Args:
        plan: None where it is deleted.
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
    """Write the failure down, with when to try again (spec 4's schedule)."""
    now = timezone.now()
    entry.error = str(error) or type(error).__name__
    if isinstance(error, InvalidDocumentError):
        entry.error_document = error.document
        entry.error_json_path = error.json_path[:255]
    delays = settings.PUBLISH_RETRY_DELAYS
    if isinstance(error, SupersededError):
        entry.status = SyncStatus.SUPERSEDED
    elif (needed := _disk_needed(error)) is not None:
        # Not the build's fault: it waits as long as it takes.
        entry.status, entry.attempts = SyncStatus.QUEUED, entry.attempts - 1
        entry.next_attempt_at = now + _DISK_RECHECK
        entry.disk_needed = needed
    elif entry.attempts > len(delays):
        entry.status = SyncStatus.DEAD_LETTER
    else:
        entry.status = SyncStatus.QUEUED
        entry.next_attempt_at = now + timedelta(seconds=delays[entry.attempts - 1])
    entry.finished_at = now
    _close(entry)
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
        _raise_dead_letter(entry)


def _disk_needed(error: Exception) -> int | None:
    """The bytes a build wanted that the disk had no room for; None for other faults.

    0 where nobody knows: the disk, or somebody's share of it, was full in the middle.
    """
    if isinstance(error, DiskLowError):
        return error.needed
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return 0 if full else None


def _raise_dead_letter(entry: SyncLog) -> None:
    alerts.raise_alert(
        kind=AlertKind.DEAD_LETTER,
        key=entry.plan_public_id,
        message=gettext_lazy(
            "Publishing the plan %(plan)s failed %(attempts)d times and is not tried "
            "again: %(error)s\nStudents keep reading its last release. Correct what is "
            "wrong (that alone builds it again), or choose Retry in the sync log."
        ),
        values={
            "plan": entry.plan_public_id,
            "attempts": entry.attempts,
            "error": entry.error,
        },
    )


def backing_off(now: datetime) -> dict[int, Sources]:
    """Plans that may not be tried yet, with the sources their failure was made of."""
    waiting = Q(status=SyncStatus.QUEUED, next_attempt_at__gt=now)
    return dict(
        SyncLog.objects.filter(
            waiting | Q(status=SyncStatus.DEAD_LETTER),
            step=SyncStep.BUILD,
            plan__isnull=False,
        )
        .order_by("pk")
        .values_list("plan_id", "sources")
    )


def due(now: datetime) -> list[int]:
    """The plans whose next attempt has come; those short of disk wait for the watch."""
    return list(
        SyncLog.objects.filter(
            status=SyncStatus.QUEUED,
            step=SyncStep.BUILD,
            next_attempt_at__lte=now,
            disk_needed__isnull=True,
            plan__isnull=False,
        )
        .order_by("next_attempt_at")
        .values_list("plan_id", flat=True)
        .distinct()
    )


def retry(entry: SyncLog) -> None:
    """Let a failed or dead entry be tried again at once, with all its attempts."""
    _again(SyncLog.objects.filter(pk=entry.pk))


def retry_all() -> int:
    """Let every dead letter and failed upload be tried again; how many there were."""
    failed_uploads = Q(pk__in=[entry.pk for entry in upload_log.failures()])
    return _again(
        SyncLog.objects.filter(Q(status=SyncStatus.DEAD_LETTER) | failed_uploads)
    )


def can_retry(entry: SyncLog) -> bool:
    """Whether `retry` would do anything for this entry."""
    waits = entry.status in (SyncStatus.QUEUED, SyncStatus.DEAD_LETTER)
    failed = entry.status == SyncStatus.FAILED and entry.step == SyncStep.UPLOAD
    return entry.plan_id is not None and (waits or failed)


def _again(entries: QuerySet[SyncLog]) -> int:
    return entries.filter(
        Q(status__in=[SyncStatus.QUEUED, SyncStatus.DEAD_LETTER])
        | Q(status=SyncStatus.FAILED, step=SyncStep.UPLOAD)
    ).update(status=SyncStatus.QUEUED, attempts=0, next_attempt_at=timezone.now())


def _close_abandoned() -> None:
    """Close the entries of builders that died with their work done, or taken away.

    A living one whose plan is built already is about to write the same, and more.
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
            continue  # the next build goes on with it
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
    """Delete the runs that ended long ago; how many.

    Each plan's last build stays, and those that made the generations still here. So do
    all runs of a plan whose folder cannot be read now.
    """
    builds = SyncLog.objects.filter(built_at__isnull=False).order_by()
    newest = builds.values_list("plan_public_id").annotate(Max("pk"))
    kept = {pk for _plan_id, pk in newest}
    kept |= {entry.pk for entry in upload_log.failures()}
    old = SyncLog.objects.filter(created_at__lt=now - _KEPT, status__in=_OVER)
    runs: dict[str, dict[int, int | None]] = defaultdict(dict)
    for pk, plan_id, number in old.values_list("pk", "plan_public_id", "generation"):
        runs[plan_id][pk] = number
    doomed: list[int] = []
    for plan_id, made in runs.items():
        with suppress(OSError):
            here = file_store.kept_generations(plan_id)
            doomed += [pk for pk in made if pk not in kept and made[pk] not in here]
    for start in range(0, len(doomed), _AT_ONCE):
        SyncLog.objects.filter(pk__in=doomed[start : start + _AT_ONCE]).delete()
    return len(doomed)


def close_stale() -> None:
    """Close what nobody waits for any more.

    An entry whose plan is up to date, a draft or gone needs no further attempt, and a
    dead letter's alert ends with the dead letter.
    """
    _close_abandoned()
    open_entries = SyncLog.objects.filter(
        status__in=[SyncStatus.QUEUED, SyncStatus.DEAD_LETTER], step=SyncStep.BUILD
    )
    if open_entries.exists():
        # Read before what is pending: an entry opened since is not looked at.
        pks = list(open_entries.values_list("pk", flat=True))
        open_entries.filter(pk__in=pks).exclude(plan__in=staleness.pending()).update(
            status=SyncStatus.SUPERSEDED, next_attempt_at=None, disk_needed=None
        )
    dead = SyncLog.objects.filter(status=SyncStatus.DEAD_LETTER)
    over = Alert.objects.filter(
        kind=AlertKind.DEAD_LETTER, open_key__isnull=False
    ).exclude(key__in=dead.values("plan_public_id"))
    for key in list(over.values_list("key", flat=True)):
        alerts.resolve(kind=AlertKind.DEAD_LETTER, key=key)
