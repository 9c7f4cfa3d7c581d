"""How publishing is, in one value: for the dashboard and for the metrics.

The queue itself is `publishing.status`'s; here stand beside it what a plan's release
weighs and took, the last day's runs, the disk, the last check and the open alerts.
"""

import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from content.models import Node
from plans.models import AcademicPlan
from publishing import content_urls, queue, staging, status, sync_log
from publishing.models import (
    Alert,
    HealthReport,
    Publication,
    PublishedDocument,
    PublishingSettings,
    SyncLog,
    SyncStatus,
)
from publishing.status import SUCCEEDED, QueueStatus, Run

HOURS = 24
_STRUCTURE = re.compile(r"_[hb]\Z")


class PlanState(StrEnum):
    """How a plan's release stands; what needs people comes first."""

    DEAD_LETTER = "dead_letter"
    RETRYING = "retrying"
    PAUSED = "paused"
    BUILDING = "building"
    WITHDRAWING = "withdrawing"
    WAITING = "waiting"
    ROLLED_BACK = "rolled_back"
    UP_TO_DATE = "up_to_date"


_URGENCY = {state: place for place, state in enumerate(PlanState)}


@dataclass(frozen=True, slots=True)
class Building:
    """A plan in a builder's hands."""

    plan: str
    title: str
    plan_pk: int | None
    since: datetime | None
    attempt: int
    is_alive: bool | None
    """Whether the builder still holds its lock; None when Redis cannot say."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node in the content tree: where a failure can be corrected."""

    pk: int
    title: str
    kind: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that failed: what, where, and what happens next."""

    entry: int
    plan: str
    title: str
    plan_pk: int | None
    error: str
    document: str
    json_path: str
    place: Place | None
    attempts: int
    failed_at: datetime | None
    next_attempt_at: datetime | None
    is_paused: bool
    """It waits for space on the disk: nobody's fault."""
    can_retry: bool


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour's builds, by how they stand now."""

    start: datetime
    published: int = 0
    retrying: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.published + self.retrying + self.failed


@dataclass(frozen=True, slots=True)
class Size:
    """Published files and their bytes."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class PlanRelease:
    """A plan that is published, or whose files are still here."""

    pk: int | None
    plan: str
    title: str
    state: PlanState
    generation: int | None
    published_at: datetime | None
    last_build: datetime | None
    seconds: float | None
    """How long the last build that succeeded took."""
    size: Size
    """Of the plan's own files; lessons are shared."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The content root's disk, in bytes and percents."""

    free: int
    total: int
    least_percent: int
    """Below this much free, publishing pauses."""

    @property
    def free_percent(self) -> float:
        return self.free * 100 / self.total

    @property
    def is_low(self) -> bool:
        return self.free_percent < self.least_percent


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Everything at one moment."""

    now: datetime
    queue: QueueStatus
    building: tuple[Building, ...]
    dead_letters: tuple[Failure, ...]
    failures: tuple[Failure, ...]
    """Those that are tried again by themselves, and uploads that wait for a Retry."""
    hours: tuple[Hour, ...]
    """The last 24, oldest first."""
    plans: tuple[PlanRelease, ...]
    """What needs people first, then by title."""
    lessons: Size
    disk: Disk | None
    """None when the disk cannot be read."""
    base_url: str
    """Where students read."""
    is_on_cdn: bool
    health: HealthReport | None
    alerts: tuple[Alert, ...]
    heartbeat: datetime | None
    redis_answers: bool

    @property
    def oldest_wait(self) -> datetime | None:
        """Since when the plan waits that waits longest, as far as the watch saw it."""
        return min((w.since for w in self.queue.pending if w.since), default=None)

    @property
    def worker_is_alive(self) -> bool:
        """Beat sends work and a worker does it."""
        silent = timedelta(seconds=settings.HEALTH_SILENT_SECONDS)
        return self.heartbeat is not None and self.now - self.heartbeat < silent


def look(now: datetime | None = None) -> Dashboard:
    """The facts as they are; ten queries beside those of `queue_status`, at any size.

    Raises:
        django.db.Error: the database does not answer. Redis and the disk may be away.
    """
    now = now or timezone.now()
    current = PublishingSettings.get_solo()
    queued = status.queue_status(now)
    failed = [run for run in queued.recent_failures if _needs_upload(run, queued)]
    entries = _entries([queued.building, queued.retries, queued.dead_letters, failed])
    places = _places(entry.error_document for entry in entries.values())
    failures = [_failure(entries[run.entry], places) for run in queued.retries + failed]
    dead = [_failure(entries[run.entry], places) for run in queued.dead_letters]
    building = [_building(run, entries[run.entry]) for run in queued.building]
    sizes = _sizes()
    return Dashboard(
        now=now,
        queue=queued,
        building=tuple(building),
        dead_letters=tuple(dead),
        failures=tuple(failures),
        hours=_hours(now),
        plans=_plans(queued, building, failures, dead, sizes),
        lessons=sizes.get(None, Size()),
        disk=_disk(current.min_free_disk_percent),
        base_url=content_urls.content_base_url(current),
        is_on_cdn=current.cdn_enabled and not current.local_fallback_mode,
        health=HealthReport.objects.filter(plans=[]).first(),
        alerts=tuple(Alert.objects.filter(open_key__isnull=False)),
        heartbeat=queued.heartbeat,
        redis_answers=queue.answers(),
    )


# --- Runs -----------------------------------------------------------------------------


def _needs_upload(run: Run, queued: QueueStatus) -> bool:
    """Failed for good, but neither tried again nor a dead letter."""
    known = {other.entry for other in (*queued.retries, *queued.dead_letters)}
    return run.entry not in known


def _entries(lists: Iterable[list[Run]]) -> dict[int, SyncLog]:
    """The log entries of these runs with their plans. One query."""
    pks = [run.entry for runs in lists for run in runs]
    return SyncLog.objects.select_related("plan").in_bulk(pks)


def _building(run: Run, entry: SyncLog) -> Building:
    return Building(
        plan=entry.plan_public_id,
        title=_title(entry),
        plan_pk=entry.plan_id,
        since=entry.started_at,
        attempt=entry.attempts,
        is_alive=run.is_alive,
    )


def _failure(entry: SyncLog, places: Mapping[str, Place]) -> Failure:
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
        is_paused=entry.disk_needed is not None,
        can_retry=sync_log.can_retry(entry),
    )


def _title(entry: SyncLog) -> str:
    return entry.plan.title if entry.plan else entry.plan_public_id


def _node_id(document: str) -> str:
    """The id of the node a document is about; "" where it is about a whole plan."""
    path = PurePosixPath(document)
    if path.name in ("", "manifest.json", "search_index.json"):
        return ""
    return _STRUCTURE.sub("", path.stem)


def _places(documents: Iterable[str]) -> dict[str, Place]:
    """By public id, the nodes that documents are about. One query."""
    ids = {_node_id(document) for document in documents} - {""}
    rows = Node.objects.filter(public_id__in=ids).order_by()
    return {
        public_id: Place(pk, title, kind)
        for public_id, pk, title, kind in rows.values_list(
            "public_id", "pk", "title", "kind"
        )
    }


def _hours(now: datetime) -> tuple[Hour, ...]:
    """The last day's builds, hour by hour; empty hours too. One query."""
    this = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    starts = [this - timedelta(hours=back) for back in reversed(range(HOURS))]
    rows = (
        SyncLog.objects.filter(finished_at__gte=starts[0])
        .exclude(trigger=SyncLog.ROLLBACK)
        # Hours of UTC need no time zone tables, which MariaDB has only if loaded.
        .annotate(hour=TruncHour("finished_at", tzinfo=UTC))
        .order_by()
        .values_list("hour")
        .annotate(
            published=Count("pk", filter=Q(status__in=SUCCEEDED)),
            retrying=Count("pk", filter=status.FAILED & Q(status=SyncStatus.QUEUED)),
            failed=Count("pk", filter=status.FAILED & ~Q(status=SyncStatus.QUEUED)),
        )
    )
    found = {start: Hour(start, *counts) for start, *counts in rows}
    return tuple(found.get(start, Hour(start)) for start in starts)


# --- Plans ----------------------------------------------------------------------------


def _plans(
    queued: QueueStatus,
    building: Iterable[Building],
    failures: Iterable[Failure],
    dead: Iterable[Failure],
    sizes: Mapping[int | None, Size],
) -> tuple[PlanRelease, ...]:
    """Every plan with a release or due to have one. Three queries."""
    state_of: dict[str, PlanState] = {w.plan: PlanState.WAITING for w in queued.pending}
    for failure in failures:
        paused = failure.is_paused
        state_of[failure.plan] = PlanState.PAUSED if paused else PlanState.RETRYING
    state_of |= {failure.plan: PlanState.DEAD_LETTER for failure in dead}
    state_of |= {
        b.plan: PlanState.BUILDING for b in building if b.is_alive is not False
    }
    builds = _last_builds()
    published = Q(is_published=True) | Q(publication__isnull=False)
    plans = AcademicPlan.objects.filter(published).select_related("publication")
    found = [
        _release(plan, getattr(plan, "publication", None), state_of, builds, sizes)
        for plan in plans.order_by()
    ]
    found += [
        _release(None, publication, state_of, builds, sizes)
        for publication in Publication.objects.filter(plan__isnull=True)
    ]
    return tuple(sorted(found, key=lambda row: (_URGENCY[row.state], row.title)))


def _release(
    plan: AcademicPlan | None,
    publication: Publication | None,
    state_of: Mapping[str, PlanState],
    builds: Mapping[str, SyncLog],
    sizes: Mapping[int | None, Size],
) -> PlanRelease:
    owner: Any = plan or publication
    public_id = plan.public_id if plan else owner.plan_public_id
    if plan is None or not plan.is_published:
        state = PlanState.WITHDRAWING
    elif publication is not None and publication.rolled_back_at is not None:
        state = state_of.get(public_id, PlanState.ROLLED_BACK)
    else:
        state = state_of.get(public_id, PlanState.UP_TO_DATE)
    build = builds.get(public_id)
    return PlanRelease(
        pk=plan.pk if plan else None,
        plan=public_id,
        title=plan.title if plan else public_id,
        state=state,
        generation=publication.generation if publication else None,
        published_at=publication.published_at if publication else None,
        last_build=build.finished_at if build else None,
        seconds=build.duration_seconds if build else None,
        size=sizes.get(publication.pk, Size()) if publication else Size(),
    )


def _last_builds() -> dict[str, SyncLog]:
    """By plan id, the last build that succeeded; going back is none. One query."""
    builds = SyncLog.objects.filter(status__in=SUCCEEDED).exclude(
        trigger=SyncLog.ROLLBACK
    )
    newest = builds.order_by().values("plan_public_id").annotate(newest=Max("pk"))
    rows = SyncLog.objects.filter(pk__in=newest.values("newest"))
    return {entry.plan_public_id: entry for entry in rows.order_by()}


def _sizes() -> dict[int | None, Size]:
    """By publication, what its own files weigh; under None the lessons. One query."""
    rows = PublishedDocument.objects.order_by().values_list("publication")
    counted = rows.annotate(files=Count("pk"), weight=Sum("size"))
    return {pk: Size(files, int(weight)) for pk, files, weight in counted}


# --- The disk -------------------------------------------------------------------------


def _disk(least_percent: int) -> Disk | None:
    """The disk the content root is on, or will be."""
    folder = staging.root()
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Disk(free=usage.free, total=usage.total, least_percent=least_percent)
