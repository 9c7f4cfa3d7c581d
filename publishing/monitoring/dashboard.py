"""The state of publishing in one value, for the dashboard and the metrics.

`publishing.monitoring.status` gives the queue. This module adds the size and build time
of each plan's release, the last day's runs, the disk, the last health check and the
open alerts.
"""

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import Coalesce, TruncHour
from django.utils import timezone

from content.models import Node
from plans.models import AcademicPlan
from publishing import content_urls, sync_log
from publishing.models import (
    Alert,
    HealthReport,
    Publication,
    PublishedDocument,
    PublishingSettings,
    SyncLog,
    SyncStatus,
    SyncStep,
)
from publishing.monitoring import lateness, silence, status
from publishing.monitoring.status import QueueStatus, Run
from publishing.storage import file_store

HOURS = 24
_STRUCTURE = re.compile(r"_[hb]\Z")


class PlanState(StrEnum):
    """The state of a plan's release; states that need a person come first."""

    DEAD_LETTER = "dead_letter"
    UPLOAD_FAILED = "upload_failed"
    RETRYING = "retrying"
    PAUSED = "paused"
    BUILDING = "building"
    WITHDRAWING = "withdrawing"
    WAITING = "waiting"
    UPLOADING = "uploading"
    ROLLED_BACK = "rolled_back"
    UP_TO_DATE = "up_to_date"


_URGENCY = {state: place for place, state in enumerate(PlanState)}


class CdnState(StrEnum):
    """The state of a plan's release on the CDN; those that need a person come first."""

    FAILED = "failed"
    RETRYING = "retrying"
    UPLOADING = "uploading"
    WAITING = "waiting"
    UP_TO_DATE = "up_to_date"


@dataclass(frozen=True, slots=True)
class Size:
    """A number of published files and their size in bytes."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Running:
    """A plan that is being built or uploaded."""

    plan: str
    title: str
    plan_pk: int | None
    since: datetime | None
    attempt: int
    is_upload: bool
    sent: Size
    """The files and bytes that an upload has sent so far."""
    is_alive: bool | None
    """Whether the builder still holds its lock; None for an upload, or if Redis is
    away."""


@dataclass(frozen=True, slots=True)
class FailureLocation:
    """The node in the content tree where a failure can be corrected."""

    pk: int
    title: str
    kind: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed run: the error, its place, and the next attempt."""

    entry: int
    plan: str
    title: str
    plan_pk: int | None
    error: str
    document: str
    json_path: str
    place: FailureLocation | None
    attempts: int
    failed_at: datetime | None
    next_attempt_at: datetime | None
    is_upload: bool
    is_paused: bool
    """The build waits for disk space; it has no error."""
    can_retry: bool


@dataclass(frozen=True, slots=True)
class Hour:
    """The builds of one hour, by their present state."""

    start: datetime
    published: int = 0
    retrying: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.published + self.retrying + self.failed


@dataclass(frozen=True, slots=True)
class PlanRelease:
    """A plan that is published, or whose files are still on disk."""

    pk: int | None
    plan: str
    title: str
    state: PlanState
    generation: int | None
    published_at: datetime | None
    last_build: datetime | None
    seconds: float | None
    """The duration of the last successful build."""
    size: Size
    """Of the plan's own files; lessons are shared by plans and not counted."""
    cdn: CdnState | None
    """None if the CDN is off, and before the first release."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Files uploaded to the CDN and the duration."""

    files: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of the content root; sizes in bytes."""

    free: int
    total: int
    least_percent: int
    """Publishing pauses while less than this percentage is free."""

    @property
    def free_percent(self) -> float:
        return self.free * 100 / self.total

    @property
    def is_low(self) -> bool:
        return self.free_percent < self.least_percent


@dataclass(frozen=True, slots=True)
class Dashboard:
    """All facts at one moment."""

    now: datetime
    queue: QueueStatus
    running: tuple[Running, ...]
    """Builds first, then uploads."""
    dead_letters: tuple[Failure, ...]
    failed_uploads: tuple[Failure, ...]
    """Like dead letters, they stay until somebody presses "Retry"."""
    failures: tuple[Failure, ...]
    """Runs that will be retried automatically."""
    hours: tuple[Hour, ...]
    """The last 24 hours, oldest first."""
    plans: tuple[PlanRelease, ...]
    """Sorted by urgency, then by title."""
    lessons: Size
    disk: Disk | None
    """None if the disk cannot be read."""
    base_url: str
    """The URL that students read from."""
    is_on_cdn: bool
    """Whether `base_url` leads to the CDN."""
    uploaded: Uploaded | None
    """In the last 24 hours; None if the CDN is off."""
    health: HealthReport | None
    alerts: tuple[Alert, ...]
    fault: silence.Fault | None
    """Why pending changes are not published automatically."""
    jobs: tuple[lateness.JobLag, ...] = ()
    """The periodic jobs of other apps."""

    @property
    def redis_answers(self) -> bool:
        return self.fault is not silence.Fault.REDIS

    @property
    def oldest_wait(self) -> datetime | None:
        """Since when the longest-waiting plan waits, as recorded by `note_waiting`."""
        return min((w.since for w in self.queue.pending if w.since), default=None)

    @property
    def on_cdn(self) -> Counter[CdnState]:
        """Return the number of plans in each CDN state; empty while the CDN is off."""
        return Counter(row.cdn for row in self.plans if row.cdn is not None)


def load(now: datetime | None = None) -> Dashboard:
    """Return the current state. Eleven queries besides those of `queue_status`.

    Redis and the disk may be unavailable.

    Raises:
        django.db.Error: the database is unavailable.
    """
    now = now or timezone.now()
    current = PublishingSettings.get_solo()
    queued = status.queue_status(now)
    running = queued.building + queued.uploading
    failed_runs = queued.retries + queued.dead_letters + queued.failed_uploads
    entries = _entries(running + failed_runs)
    places = _failure_locations(entry.error_document for entry in entries.values())
    failures = {run.entry: _failure(entries[run.entry], places) for run in failed_runs}
    states = _states(queued, failures)
    on_cdn = _on_cdn(queued) if current.cdn_enabled else None
    sizes = _sizes()
    return Dashboard(
        now=now,
        queue=queued,
        running=tuple(_running(run, entries[run.entry]) for run in running),
        dead_letters=tuple(failures[run.entry] for run in queued.dead_letters),
        failed_uploads=tuple(failures[run.entry] for run in queued.failed_uploads),
        failures=tuple(failures[run.entry] for run in queued.retries),
        hours=_hours(now),
        plans=_plans(states, on_cdn, sizes),
        lessons=sizes.get(None, Size()),
        disk=_disk(current.min_free_disk_percent),
        base_url=content_urls.content_base_url(current),
        is_on_cdn=current.cdn_enabled and not current.local_fallback_mode,
        uploaded=_uploaded(now) if current.cdn_enabled else None,
        health=HealthReport.objects.filter(plans=[]).first(),
        alerts=tuple(Alert.objects.filter(open_key__isnull=False)),
        fault=silence.fault(now),
        jobs=lateness.load(now),
    )


# --- Runs -----------------------------------------------------------------------------


def _entries(runs: Iterable[Run]) -> dict[int, SyncLog]:
    """Return the sync log entries of these runs with their plans. One query."""
    return SyncLog.objects.select_related("plan").in_bulk([run.entry for run in runs])


def _running(run: Run, entry: SyncLog) -> Running:
    return Running(
        plan=entry.plan_public_id,
        title=_title(entry),
        plan_pk=entry.plan_id,
        since=entry.started_at,
        attempt=entry.attempts,
        is_upload=entry.step == SyncStep.UPLOAD,
        sent=Size(entry.files_uploaded, entry.bytes_uploaded),
        is_alive=run.is_alive,
    )


def _failure(entry: SyncLog, places: Mapping[str, FailureLocation]) -> Failure:
    return Failure(
        entry=entry.pk,
        plan=entry.plan_public_id,
        title=_title(entry),
        plan_pk=entry.plan_id,
        error=entry.error,
        document=entry.error_document,
        json_path=entry.error_json_path,
        place=places.get(_node_id(entry.error_document)),
        attempts=entry.attempts,
        failed_at=entry.finished_at,
        next_attempt_at=entry.next_attempt_at,
        is_upload=entry.step == SyncStep.UPLOAD,
        is_paused=entry.disk_needed is not None,
        can_retry=sync_log.can_retry(entry),
    )


def _title(entry: SyncLog) -> str:
    return entry.plan.title if entry.plan else entry.plan_public_id


def _node_id(document: str) -> str:
    """Return the public id of a document's node; "" if it concerns a whole plan."""
    path = PurePosixPath(document)
    if path.name in ("", "manifest.json", "search_index.json"):
        return ""
    return _STRUCTURE.sub("", path.stem)


def _failure_locations(documents: Iterable[str]) -> dict[str, FailureLocation]:
    """Return the nodes that these documents concern, by public id. One query."""
    ids = {_node_id(document) for document in documents} - {""}
    rows = Node.objects.filter(public_id__in=ids).order_by()
    return {
        public_id: FailureLocation(pk, title, kind)
        for public_id, pk, title, kind in rows.values_list(
            "public_id", "pk", "title", "kind"
        )
    }


def _hours(now: datetime) -> tuple[Hour, ...]:
    """Return the last day's builds per hour, including empty hours. One query."""
    this = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    starts = [this - timedelta(hours=hours_ago) for hours_ago in reversed(range(HOURS))]
    unbuilt = Q(built_at__isnull=True, finished_at__gte=starts[0])
    rows = (
        SyncLog.objects.filter(Q(built_at__gte=starts[0]) | unbuilt)
        .exclude(trigger__in=[SyncLog.ROLLBACK, SyncLog.WITHDRAWAL])
        # UTC hours need no time zone tables, which MariaDB has only if loaded.
        .annotate(hour=TruncHour(Coalesce("built_at", "finished_at"), tzinfo=UTC))
        .order_by()
        .values_list("hour")
        .annotate(
            published=Count("pk", filter=status.BUILT & ~status.FAILED),
            retrying=Count("pk", filter=status.FAILED & Q(status=SyncStatus.QUEUED)),
            failed=Count("pk", filter=status.FAILED & ~Q(status=SyncStatus.QUEUED)),
        )
    )
    found = {start: Hour(start, *counts) for start, *counts in rows}
    return tuple(found.get(start, Hour(start)) for start in starts)


# --- Plans ----------------------------------------------------------------------------


def _states(
    queued: QueueStatus, failures: Mapping[int, Failure]
) -> dict[str, PlanState]:
    """Return each plan's most urgent state, by plan id; a running build overrides."""
    states = [(plan.plan, PlanState.WAITING) for plan in queued.pending]
    uploads = queued.uploading + queued.waiting_uploads
    states += [(run.plan, PlanState.UPLOADING) for run in uploads]
    states += [(run.plan, PlanState.UPLOAD_FAILED) for run in queued.failed_uploads]
    states += [(run.plan, PlanState.DEAD_LETTER) for run in queued.dead_letters]
    for run in queued.retries:
        paused = failures[run.entry].is_paused
        states.append((run.plan, PlanState.PAUSED if paused else PlanState.RETRYING))
    states.sort(key=lambda pair: _URGENCY[pair[1]], reverse=True)
    alive = [run for run in queued.building if run.is_alive is not False]
    return dict(states) | {run.plan: PlanState.BUILDING for run in alive}


def _on_cdn(queued: QueueStatus) -> dict[str, CdnState]:
    """Return by plan id the state of plans that are not up to date on the CDN."""
    retries = [run for run in queued.retries if run.step == SyncStep.UPLOAD]
    return (
        {run.plan: CdnState.WAITING for run in queued.waiting_uploads}
        | {run.plan: CdnState.FAILED for run in queued.failed_uploads}
        | {run.plan: CdnState.RETRYING for run in retries}
        | {run.plan: CdnState.UPLOADING for run in queued.uploading}
    )


def _plans(
    states: Mapping[str, PlanState],
    on_cdn: Mapping[str, CdnState] | None,
    sizes: Mapping[int | None, Size],
) -> tuple[PlanRelease, ...]:
    """Return every plan that has a release or should have one. Three queries.

    Args:
        on_cdn: None if the CDN is off.
    """
    builds = _last_builds()
    published = Q(is_published=True) | Q(publication__isnull=False)
    plans = AcademicPlan.objects.filter(published).select_related("publication")
    owned = [(plan, getattr(plan, "publication", None)) for plan in plans.order_by()]
    orphaned = Publication.objects.filter(plan__isnull=True)
    found = [
        _release(plan, publication, states, on_cdn, builds, sizes)
        for plan, publication in [*owned, *((None, left) for left in orphaned)]
    ]
    return tuple(sorted(found, key=lambda row: (_URGENCY[row.state], row.title)))


def _release(
    plan: AcademicPlan | None,
    publication: Publication | None,
    states: Mapping[str, PlanState],
    on_cdn: Mapping[str, CdnState] | None,
    builds: Mapping[str, SyncLog],
    sizes: Mapping[int | None, Size],
) -> PlanRelease:
    owner: Any = plan or publication
    public_id = plan.public_id if plan else owner.plan_public_id
    if plan is None or not plan.is_published:
        state = PlanState.WITHDRAWING
    elif publication is not None and publication.rolled_back_at is not None:
        state = states.get(public_id, PlanState.ROLLED_BACK)
    else:
        state = states.get(public_id, PlanState.UP_TO_DATE)
    build = builds.get(public_id)
    is_out = publication is not None and publication.generation is not None
    cdn = on_cdn.get(public_id, CdnState.UP_TO_DATE) if on_cdn is not None else None
    return PlanRelease(
        pk=plan.pk if plan else None,
        plan=public_id,
        title=plan.title if plan else public_id,
        state=state,
        generation=publication.generation if publication else None,
        published_at=publication.published_at if publication else None,
        last_build=build.built_at if build else None,
        seconds=build.build_seconds if build else None,
        size=sizes.get(publication.pk, Size()) if publication else Size(),
        cdn=cdn if is_out else None,
    )


def _last_builds() -> dict[str, SyncLog]:
    """Return each plan's last successful build, without rollbacks. One query."""
    builds = SyncLog.objects.filter(status.BUILT)
    newest = builds.order_by().values("plan_public_id").annotate(newest=Max("pk"))
    rows = SyncLog.objects.filter(pk__in=newest.values("newest"))
    return {entry.plan_public_id: entry for entry in rows.order_by()}


def _sizes() -> dict[int | None, Size]:
    """Return file sizes by publication; the key None is for lessons. One query."""
    rows = PublishedDocument.objects.order_by().values_list("publication")
    counted = rows.annotate(files=Count("pk"), weight=Sum("size"))
    return {pk: Size(files, int(weight)) for pk, files, weight in counted}


def _uploaded(now: datetime) -> Uploaded:
    """Return what the runs that ended in the last 24 hours uploaded. One query."""
    runs = SyncLog.objects.filter(finished_at__gte=now - timedelta(hours=HOURS))
    found = runs.aggregate(
        files=Sum("files_uploaded", default=0),
        bytes=Sum("bytes_uploaded", default=0),
        seconds=Sum("upload_seconds", default=0.0),
    )
    return Uploaded(int(found["files"]), int(found["bytes"]), float(found["seconds"]))


# --- The disk -------------------------------------------------------------------------


def _disk(least_percent: int) -> Disk | None:
    """Return the disk that the content root is on, or would be on."""
    folder = file_store.root()
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Disk(free=usage.free, total=usage.total, least_percent=least_percent)
