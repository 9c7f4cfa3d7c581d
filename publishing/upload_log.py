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
from publishing import alerts, attempts
from publishing.models import (
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
_RESULT_FIELDS = (
    "status",
    "error",
    "next_attempt_at",
    "failing_since",
    "finished_at",
    "files_uploaded",
    "bytes_uploaded",
    "upload_seconds",
)
"""Fields set at the end of an attempt."""


_ALL_FAILED = gettext_lazy(
    "Uploading the plan %(plan)s to the CDN failed %(attempts)d times and is not "
    "retried: %(error)s\n"
    "This server has the new release; students who read from the CDN keep an older "
    "one. “Test connection” in the publishing settings shows the cause. Then choose "
    "Retry in the sync log, or turn on local fallback mode."
)
_STILL_FAILING = gettext_lazy(
    "Every upload of the plan %(plan)s to the CDN has failed for more than an hour: "
    "%(error)s\n"
    "Uploads are still retried. This server has the new release; students who read "
    "from the CDN keep an older one. “Test connection” in the publishing settings "
    "shows the cause. If the CDN stays unavailable, turn on local fallback mode."
)


def open_entry(publication: Publication, *, now: datetime) -> SyncLog:
    """Return the entry of an upload that begins: the waiting one, or a new one."""
    waiting = SyncLog.objects.filter(
        plan_public_id=publication.plan_public_id,
        step=SyncStep.UPLOAD,
        status__in=_OPEN,
    )
    entry = waiting.order_by("-pk").first()
    # The first attempt is timed together with the build.
    if entry and attempts.claim(entry, now if entry.attempts else entry.started_at):
        return entry
    entry = SyncLog(
        plan_id=publication.plan_id,
        plan_public_id=publication.plan_public_id,
        step=SyncStep.UPLOAD,
        trigger=TRIGGER,
        sources=publication.built_from,
        generation=publication.generation,
        created_at=now,
    )
    attempts.begin(entry, now)
    entry.save()
    return entry


def note_progress(entry: SyncLog, *, files: int, size: int) -> None:
    """Record how much this attempt has sent so far; `close` records the final count."""
    attempts.row_of(entry).filter(status=SyncStatus.PROCESSING).update(
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
    if failure is None:
        entry.status, entry.error, entry.next_attempt_at = SyncStatus.SUCCESS, "", None
    else:
        entry.error = describe_failure(failure)
        entry.failing_since = entry.failing_since or now
        attempts.fail(
            entry,
            now,
            delays=settings.UPLOAD_RETRY_DELAYS,
            exhausted=SyncStatus.FAILED,
        )
    attempts.save(entry, _RESULT_FIELDS)
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
    attempts.supersede(
        SyncLog.objects.filter(
            plan_public_id=entry.plan_public_id,
            step=SyncStep.UPLOAD,
            status=SyncStatus.QUEUED,
            pk__lt=entry.pk,
        )
    )


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
        attempts.raise_alert(entry, AlertKind.UPLOAD_FAILED, _ALL_FAILED)
    elif _failing_since(entry) < timezone.now() - _TOO_LONG:
        attempts.raise_alert(entry, AlertKind.UPLOAD_FAILED, _STILL_FAILING)


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
    waiting, due = (
        entries.filter(attempts.waiting(now)),
        entries.filter(attempts.due(now)),
    )
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
    told = alerts.open_alerts(AlertKind.UPLOAD_FAILED)
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
        attempts.row_of(entry).filter(status=entry.status).update(
            status=status, error="", next_attempt_at=None, finished_at=timezone.now()
        )
    over = told.exclude(key__in=late_plans)
    if out_of_sync is not None:
        over = over.exclude(key="")  # obsolete files: `publishing.cdn.uploader`
    alerts.resolve_all(over)
