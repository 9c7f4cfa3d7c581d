"""The sync log of uploads: the second step of a run, with its own attempts.

After the switch on this server, a run waits in ``Queued`` with the step ``Upload``; it
ends in Success. A failed upload is retried with the delays of builds, continued to
about an hour. Then its status is Failed and an alert is raised, until a user chooses
Retry or a new release is published. A new run has all attempts again; its alert is
then raised when all uploads of the plan, of any run, have failed for an hour.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db.models import Exists, F, Max, Min, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from core.errors import MemoraError
from publishing import alerts
from publishing.models import (
    Alert,
    AlertKind,
    Publication,
    SyncLog,
    SyncStatus,
    SyncStep,
)

log = structlog.get_logger(__name__)

TRIGGER = "cdn"
"""The trigger of an upload without a build: a repair or a renewed signature."""
_OPEN = (SyncStatus.QUEUED, SyncStatus.PROCESSING)
_TOO_LONG = timedelta(hours=1)


def open_entry(publication: Publication, *, now: datetime) -> SyncLog:
    """Return the entry of an upload that begins: the waiting one, or a new one."""
    waiting = SyncLog.objects.filter(
        plan_public_id=publication.plan_public_id,
        step=SyncStep.UPLOAD,
        status__in=_OPEN,
    )
    entry = waiting.order_by("-pk").first()
    if entry is not None and _take(entry, now):
        return entry
    return SyncLog.objects.create(
        plan_id=publication.plan_id,
        plan_public_id=publication.plan_public_id,
        status=SyncStatus.PROCESSING,
        step=SyncStep.UPLOAD,
        trigger=TRIGGER,
        sources=publication.built_from,
        generation=publication.generation,
        attempts=1,
        created_at=now,
        started_at=now,
    )


def _take(entry: SyncLog, now: datetime) -> bool:
    """Claim this entry; return False when a build has changed it in the meantime."""
    same = SyncLog.objects.filter(
        pk=entry.pk, step=SyncStep.UPLOAD, started_at=entry.started_at
    )
    entry.attempts += 1
    if entry.attempts > 1:  # the first attempt is timed together with the build
        entry.started_at = now
    entry.status, entry.next_attempt_at = SyncStatus.PROCESSING, None
    entry.finished_at = None
    return bool(
        same.update(
            attempts=entry.attempts,
            started_at=entry.started_at,
            status=entry.status,
            next_attempt_at=None,
            finished_at=None,
        )
    )


def note_progress(entry: SyncLog, *, files: int, size: int) -> None:
    """Record how much this attempt has sent so far; `close` records the final count."""
    SyncLog.objects.filter(
        pk=entry.pk, status=SyncStatus.PROCESSING, started_at=entry.started_at
    ).update(
        files_uploaded=entry.files_uploaded + files,
        bytes_uploaded=entry.bytes_uploaded + size,
    )


def close(
    entry: SyncLog,
    failure: Exception | None,
    *,
    files: int,
    size: int,
    seconds: float,
) -> None:
    """Record the result and the next attempt, unless a later run has begun.

    Args:
        size: bytes sent in this attempt.
    """
    now = timezone.now()
    entry.files_uploaded += files
    entry.bytes_uploaded += size
    entry.upload_seconds += seconds
    entry.finished_at = now
    entry.next_attempt_at = None
    if failure is None:
        entry.status, entry.error = SyncStatus.SUCCESS, ""
    else:
        entry.error = describe_failure(failure)
        entry.failing_since = entry.failing_since or now
        delays = settings.UPLOAD_RETRY_DELAYS
        if entry.attempts > len(delays):
            entry.status = SyncStatus.FAILED
        else:
            entry.status = SyncStatus.QUEUED
            delay = timedelta(seconds=delays[entry.attempts - 1])
            entry.next_attempt_at = now + delay
    SyncLog.objects.filter(
        pk=entry.pk, step=SyncStep.UPLOAD, started_at=entry.started_at
    ).update(
        status=entry.status,
        error=entry.error,
        next_attempt_at=entry.next_attempt_at,
        failing_since=entry.failing_since,
        finished_at=now,
        files_uploaded=entry.files_uploaded,
        bytes_uploaded=entry.bytes_uploaded,
        upload_seconds=entry.upload_seconds,
    )
    _alert(entry, failure, files)


def hand_over(entry: SyncLog, *, files: int, size: int, seconds: float) -> None:
    """Record that another distributor continues this upload: it is not an attempt."""
    running = SyncLog.objects.filter(
        pk=entry.pk, step=SyncStep.UPLOAD, status=SyncStatus.PROCESSING
    )
    running.filter(attempts__gt=0).update(attempts=F("attempts") - 1)
    # If the other distributor did not claim this entry, it waits and is closed later.
    now = timezone.now()
    running.filter(started_at=entry.started_at).update(
        status=SyncStatus.QUEUED,
        next_attempt_at=now,
        finished_at=now,
        files_uploaded=entry.files_uploaded + files,
        bytes_uploaded=entry.bytes_uploaded + size,
        upload_seconds=entry.upload_seconds + seconds,
    )
    log.info("plan_upload_overtaken", plan=entry.plan_public_id, files=files)


def supersede(entry: SyncLog) -> None:
    """Close the plan's earlier waiting uploads: this run uploads their files, too.

    A running upload is not changed; it ends by itself.
    """
    SyncLog.objects.filter(
        plan_public_id=entry.plan_public_id,
        step=SyncStep.UPLOAD,
        status=SyncStatus.QUEUED,
        pk__lt=entry.pk,
    ).update(status=SyncStatus.SUPERSEDED, next_attempt_at=None)


def running_uploads() -> bool:
    """Return whether any upload is running or waiting for its next attempt."""
    entries = SyncLog.objects.filter(step=SyncStep.UPLOAD, status__in=_OPEN)
    return entries.exists()


def failures() -> list[SyncLog]:
    """Return the failed uploads that need a user: no later release of their plan."""
    failed = SyncLog.objects.filter(
        step=SyncStep.UPLOAD, status=SyncStatus.FAILED, plan__isnull=False
    )
    later = SyncLog.objects.filter(
        Q(built_at__isnull=False) | Q(step=SyncStep.UPLOAD),
        plan_public_id=OuterRef("plan_public_id"),
        pk__gt=OuterRef("pk"),
    )
    return list(failed.exclude(Exists(later)).order_by("pk"))


def _alert(entry: SyncLog, failure: Exception | None, files: int) -> None:
    if failure is None:
        alerts.resolve(kind=AlertKind.UPLOAD_FAILED, key=entry.plan_public_id)
        log.info("plan_uploaded", plan=entry.plan_public_id, files=files)
        return
    log.error(
        "plan_upload_failed",
        plan=entry.plan_public_id,
        attempt=entry.attempts,
        status=entry.status,
        files=files,
        error=entry.error,
        exc_info=None if isinstance(failure, MemoraError) else failure,
    )
    if entry.status == SyncStatus.FAILED:
        _raise_failed(entry)
    elif _failing_since(entry) < timezone.now() - _TOO_LONG:
        _raise_failing(entry)


def _failing_since(entry: SyncLog) -> datetime:
    """Return when the first upload failed since the plan's last successful run."""
    runs = SyncLog.objects.filter(plan_public_id=entry.plan_public_id).order_by()
    good = runs.filter(status__in=[SyncStatus.SUCCESS, SyncStatus.LOCAL_ONLY])
    last = good.aggregate(last=Max("finished_at"))["last"]
    failed = runs.filter(failing_since__gt=last) if last else runs
    first = failed.aggregate(first=Min("failing_since"))["first"]
    return first or timezone.now()


def describe_failure(failure: Exception) -> str:
    """Return the reason; only the class of unexpected errors, which may quote keys."""
    if isinstance(failure, MemoraError):
        return failure.message
    if isinstance(failure, OSError) and failure.strerror:
        return failure.strerror
    return type(failure).__name__


def _raise_failed(entry: SyncLog) -> None:
    alerts.raise_alert(
        kind=AlertKind.UPLOAD_FAILED,
        key=entry.plan_public_id,
        message=gettext_lazy(
            "Uploading the plan %(plan)s to the CDN failed %(attempts)d times and is "
            "not tried again: %(error)s\nThis server has the new release; students who "
            "read from the CDN keep an older one. “Test connection” in the publishing "
            "settings says more. Then choose Retry in the sync log, or turn on local "
            "fallback mode."
        ),
        values={
            "plan": entry.plan_public_id,
            "attempts": entry.attempts,
            "error": entry.error,
        },
    )


def _raise_failing(entry: SyncLog) -> None:
    alerts.raise_alert(
        kind=AlertKind.UPLOAD_FAILED,
        key=entry.plan_public_id,
        message=gettext_lazy(
            "Every upload of the plan %(plan)s to the CDN has failed for more than an "
            "hour: %(error)s\nIt is still tried again. This server has the new release; "
            "students who read from the CDN keep an older one. “Test connection” in the "
            "publishing settings says more. If the CDN stays away, turn on local "
            "fallback mode."
        ),
        values={"plan": entry.plan_public_id, "error": entry.error},
    )


def backing_off(now: datetime, plans: Collection[str]) -> set[str]:
    """Return those of these plans, by id, that must not be uploaded yet.

    They wait for their next attempt or, when the last run ended in Failed, for a Retry.
    """
    entries = SyncLog.objects.filter(step=SyncStep.UPLOAD, plan_public_id__in=plans)
    newest = entries.values("plan_public_id").annotate(last=Max("pk"))
    failed = entries.filter(pk__in=list(newest.values_list("last", flat=True)))
    rest = set(
        failed.filter(status=SyncStatus.FAILED).values_list("plan_public_id", flat=True)
    )
    queued = entries.filter(status=SyncStatus.QUEUED)
    waiting = queued.filter(next_attempt_at__gt=now)
    due = queued.filter(next_attempt_at__lte=now)
    rest |= set(waiting.values_list("plan_public_id", flat=True))
    return rest - set(due.values_list("plan_public_id", flat=True))


def close_stale(find_out_of_sync: Callable[[], Collection[int] | None]) -> None:
    """Close entries and alerts that need no further attempt.

    Args:
        find_out_of_sync: returns the publications that the CDN does not have
            completely; None when the CDN is off.
    """
    # Read first, so that an entry opened since is not closed.
    entries = list(SyncLog.objects.filter(step=SyncStep.UPLOAD, status__in=_OPEN))
    entries += failures()
    told = Alert.objects.filter(kind=AlertKind.UPLOAD_FAILED, open_key__isnull=False)
    if not entries and not told.exists():
        return
    out_of_sync = find_out_of_sync()
    late = Publication.objects.filter(pk__in=out_of_sync or ())
    late_plans = set(late.values_list("plan_public_id", flat=True))
    known = set(Publication.objects.values_list("plan_public_id", flat=True))
    for entry in entries:
        if entry.plan_public_id in late_plans:
            continue
        if entry.plan_public_id not in known:
            status = SyncStatus.SUPERSEDED
        elif out_of_sync is None:
            status = SyncStatus.LOCAL_ONLY
        else:
            status = SyncStatus.SUCCESS
        SyncLog.objects.filter(
            pk=entry.pk, step=SyncStep.UPLOAD, started_at=entry.started_at
        ).filter(status=entry.status).update(
            status=status, error="", next_attempt_at=None, finished_at=timezone.now()
        )
    over = told.exclude(key__in=late_plans)
    if out_of_sync is not None:
        over = over.exclude(key="")  # obsolete files: see `publishing.cdn.sync`
    for key in list(over.values_list("key", flat=True)):
        alerts.resolve(kind=AlertKind.UPLOAD_FAILED, key=key)
