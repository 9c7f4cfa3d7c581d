"""The status of publishing: waiting plans, running and failed runs."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Annotated

from django.conf import settings
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.api_types import Field
from plans.models import AcademicPlan
from publishing import attempts, queue, staleness, upload_log
from publishing.models import Publication, SyncLog, SyncStatus, SyncStep, WaitingPlan

_RECENT = timedelta(hours=24)
_MAX_FAILURES = 20
BUILT = Q(built_at__isnull=False) & ~Q(trigger=SyncLog.ROLLBACK)
"""Builds whose release is on the local disk, whatever the state of its upload."""


_PlanId = Annotated[str, Field(_("The plan's id in the published files."), "PLAN-5")]
_NOW = "2026-11-29T17:03:05Z"


@dataclass(frozen=True, slots=True)
class PendingPlan:
    """A plan whose release is out of date, or should be withdrawn."""

    plan: _PlanId
    title: Annotated[str, Field(_("The plan's title."), "Grade 5")]
    since: Annotated[
        datetime | None,
        Field(
            _("Since when it waits; null for up to half a minute after an edit."), _NOW
        ),
    ]
    """None until `record_pending_since` has recorded it."""


@dataclass(frozen=True, slots=True)
class Run:
    """A sync log entry that is unfinished or has failed; ``step`` is a `SyncStep`."""

    entry: Annotated[int, Field(_("The number of the entry in the sync log."), 1204)]
    plan: _PlanId
    step: Annotated[str, Field(_("The step: build or upload."), "build")]
    trigger: Annotated[str, Field(_("What started the run."), "edit")]
    attempts: Annotated[int, Field(_("How often it was tried."), 1)]
    at: Annotated[
        datetime | None,
        Field(_("When it started, is tried again, or failed."), _NOW),
    ]
    error: Annotated[str, Field(_("Why it failed; else empty."), "")]
    document: Annotated[
        str, Field(_("The document in which the error is, if any."), "")
    ]
    json_path: Annotated[str, Field(_("The place of the error in that document."), "")]
    is_alive: Annotated[
        bool | None,
        Field(
            _(
                "For a running build: whether its builder still works; null: unknown "
                "or not a running build."
            ),
            True,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class PlanState:
    """The last release of a published plan."""

    plan: _PlanId
    generation: Annotated[
        int | None, Field(_("The number of its current release; null: none."), 812)
    ]
    published_at: Annotated[
        datetime | None, Field(_("When that release was published."), _NOW)
    ]
    last_success: Annotated[
        datetime | None, Field(_("When its last successful build ended."), _NOW)
    ]
    rolled_back_at: Annotated[
        datetime | None, Field(_("When it was rolled back; null: it was not."), None)
    ]


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The state of the publishing queue and the last release of each plan."""

    now: Annotated[datetime, Field(_("The server's time."), _NOW)]
    pending: Annotated[list[PendingPlan], Field(_("The plans that wait for a build."))]
    withdrawing: Annotated[
        list[PendingPlan],
        Field(_("Plans to withdraw whose files are still on disk.")),
    ]
    building: Annotated[list[Run], Field(_("Running builds."))]
    uploading: Annotated[list[Run], Field(_("Running uploads."))]
    waiting_uploads: Annotated[
        list[Run], Field(_("Uploads that wait for their first attempt."))
    ]
    retries: Annotated[
        list[Run],
        Field(_("Failed builds and uploads that will be retried automatically.")),
    ]
    dead_letters: Annotated[
        list[Run], Field(_("Builds that failed in all attempts and need a person."))
    ]
    failed_uploads: Annotated[
        list[Run], Field(_("Uploads that failed in all attempts."))
    ]
    recent_failures: Annotated[
        list[Run], Field(_("The last failures of the last 24 hours, at most 20."))
    ]
    plans: Annotated[
        list[PlanState], Field(_("The last release of each published plan."))
    ]
    last_processed: Annotated[
        datetime | None, Field(_("When the last run ended."), _NOW)
    ]
    worker_seen: Annotated[
        datetime | None, Field(_("The time of a worker's last heartbeat."), _NOW)
    ]
    beat_seen: Annotated[
        datetime | None,
        Field(_("When a worker last ran a task sent by beat."), _NOW),
    ]

    @property
    def worker_is_alive(self) -> bool:
        return self._is_recent(self.worker_seen)

    @property
    def beat_is_alive(self) -> bool:
        """False also if it is unknown because no worker runs the tasks of beat."""
        return self._is_recent(self.beat_seen)

    def _is_recent(self, seen: datetime | None) -> bool:
        silent = timedelta(seconds=settings.HEARTBEAT_TIMEOUT_SECONDS)
        return seen is not None and self.now - seen < silent

    @property
    def waiting_seconds(self) -> float | None:
        """How long the longest-waiting plan has waited; None if no plan waits."""
        since = [plan.since for plan in self.pending if plan.since is not None]
        return (self.now - min(since)).total_seconds() if since else None

    def overdue(self, plans: Iterable[PendingPlan]) -> list[PendingPlan]:
        """Return the plans that have waited longer than ``HEALTH_STALE_MINUTES``."""
        limit = timedelta(minutes=settings.HEALTH_STALE_MINUTES)
        return [p for p in plans if p.since is not None and self.now - p.since > limit]

    @property
    def needs_attention(self) -> bool:
        """Whether something will not continue without a person."""
        return bool(self.dead_letters or self.failed_uploads)

    def report(self) -> "QueueReport":
        """Return the lists, their sizes and the oldest age."""
        return QueueReport(
            **{field.name: getattr(self, field.name) for field in fields(QueueStatus)},
            pending_plans=len(self.pending),
            oldest_seconds=self.waiting_seconds,
            dead_letter_count=len(self.dead_letters),
            failed_upload_count=len(self.failed_uploads),
        )


@dataclass(frozen=True, slots=True)
class QueueReport(QueueStatus):
    """A `QueueStatus` with its sums, as the staff's API and the command answer it."""

    pending_plans: Annotated[int, Field(_("How many plans wait for a build."), 1)]
    oldest_seconds: Annotated[
        float | None,
        Field(_("How long the longest-waiting plan has waited; null: none waits."), 42),
    ]
    dead_letter_count: Annotated[int, Field(_("The number of dead_letters."), 0)]
    failed_upload_count: Annotated[int, Field(_("The number of failed_uploads."), 0)]


def queue_status(now: datetime | None = None) -> QueueStatus:
    """Return the state of the queue. 11 queries for any number of plans."""
    now = now or timezone.now()
    unfinished = SyncLog.objects.filter(status__in=attempts.UNFINISHED)
    entries = list(unfinished.order_by("next_attempt_at", "pk"))
    running = [entry for entry in entries if entry.status == SyncStatus.PROCESSING]
    queued = [entry for entry in entries if entry.status == SyncStatus.QUEUED]
    dead = [entry for entry in entries if entry.status == SyncStatus.DEAD_LETTER]
    failed = SyncLog.objects.filter(FAILED, finished_at__gt=now - _RECENT).order_by(
        "-finished_at"
    )[:_MAX_FAILURES]
    signs = queue.last_heartbeats()
    publications = list(
        Publication.objects.select_related("plan").order_by("plan_public_id")
    )
    return QueueStatus(
        now=now,
        pending=_pending(),
        withdrawing=[
            found for found in map(_pending_withdrawal, publications) if found
        ],
        building=_runs([e for e in running if not _is_upload(e)], "started_at"),
        uploading=_runs([e for e in running if _is_upload(e)], "started_at"),
        waiting_uploads=_runs(
            [e for e in queued if _is_upload(e) and not e.error], "built_at"
        ),
        retries=_runs([e for e in queued if e.error], "next_attempt_at"),
        dead_letters=_runs(dead, "finished_at"),
        failed_uploads=_runs(upload_log.failures(), "finished_at"),
        recent_failures=_runs(failed, "finished_at"),
        plans=_plans(publications),
        last_processed=SyncLog.objects.aggregate(last=Max("finished_at"))["last"],
        worker_seen=_moment(signs.worker, now),
        beat_seen=_moment(signs.beat, now),
    )


def _moment(unix_time: float | None, now: datetime) -> datetime | None:
    return None if unix_time is None else datetime.fromtimestamp(unix_time, now.tzinfo)


FAILED = Q(status__in=[SyncStatus.FAILED, SyncStatus.DEAD_LETTER]) | (
    Q(status=SyncStatus.QUEUED) & ~Q(error="") & Q(disk_needed__isnull=True)
)
"""Entries whose last attempt failed; waiting for disk space does not count."""


def is_out(run: SyncLog) -> bool:
    """Whether a run's release is on the local disk and no upload of it has failed."""
    return run.built_at is not None and not run.error


def failure_rate(now: datetime) -> tuple[int, int]:
    """Return the number of failed runs and of all runs in the last 24 hours."""
    runs = SyncLog.objects.filter(finished_at__gt=now - _RECENT).exclude(
        status=SyncStatus.SUPERSEDED
    )
    return runs.filter(FAILED).count(), runs.count()


def record_pending_since(now: datetime) -> None:
    """Record since when each plan waits to be built or withdrawn.

    Called every half minute. A plan that was built since and is out of date again waits
    since that build.
    """
    pending = staleness.pending().keys()
    noted = {row.plan_id: row for row in WaitingPlan.objects.all()}
    WaitingPlan.objects.filter(plan__in=noted.keys() - pending).delete()
    built = dict(
        SyncLog.objects.filter(BUILT, plan__in=noted.keys() & pending)
        .order_by()
        .values_list("plan_id")
        .annotate(Max("built_at"))
    )
    for plan_pk in noted.keys() & pending:
        last = built.get(plan_pk)
        if last is not None and last > noted[plan_pk].since:
            WaitingPlan.objects.filter(plan=plan_pk).update(since=last)
    WaitingPlan.objects.bulk_create(
        [WaitingPlan(plan_id=pk, since=now) for pk in pending if pk not in noted],
        ignore_conflicts=True,
    )
    due = staleness.to_withdraw()
    recorded = Publication.objects.filter(withdrawal_due_since__isnull=False)
    recorded.exclude(pk__in=due).update(withdrawal_due_since=None)
    Publication.objects.filter(pk__in=due, withdrawal_due_since__isnull=True).update(
        withdrawal_due_since=now
    )


def _pending_withdrawal(publication: Publication) -> PendingPlan | None:
    """Return a release that should be withdrawn (see `staleness.to_withdraw`)."""
    plan = publication.plan
    if plan is not None and plan.is_published:
        return None
    return PendingPlan(
        plan=publication.plan_public_id,
        title=plan.title if plan is not None else publication.plan_public_id,
        since=publication.withdrawal_due_since,
    )


def _pending() -> list[PendingPlan]:
    plans = AcademicPlan.objects.filter(pk__in=staleness.pending()).select_related(
        "waiting"
    )
    return sorted(
        (
            PendingPlan(
                plan=plan.public_id,
                title=plan.title,
                since=plan.waiting.since if hasattr(plan, "waiting") else None,
            )
            for plan in plans
        ),
        key=lambda waiting: (waiting.since is None, waiting.since or 0, waiting.plan),
    )


def _runs(entries: Iterable[SyncLog], moment: str) -> list[Run]:
    entries = list(entries)
    running = [
        entry.plan_id
        for entry in entries
        if _is_building(entry) and entry.plan_id is not None
    ]
    alive = queue.locked_plans(running) if running else set()
    return [
        Run(
            entry=entry.pk,
            plan=entry.plan_public_id,
            step=entry.step,
            trigger=entry.trigger,
            attempts=entry.attempts,
            at=getattr(entry, moment),
            error=entry.error,
            document=entry.error_document,
            json_path=entry.error_json_path,
            is_alive=(
                None
                if alive is None or not _is_building(entry)
                else entry.plan_id in alive
            ),
        )
        for entry in entries
    ]


def _is_upload(entry: SyncLog) -> bool:
    return entry.step == SyncStep.UPLOAD


def _is_building(entry: SyncLog) -> bool:
    """Whether a builder runs, or crashed, in this entry; uploads have another lock."""
    return entry.status == SyncStatus.PROCESSING and not _is_upload(entry)


def _plans(publications: Iterable[Publication]) -> list[PlanState]:
    success = dict(
        SyncLog.objects.filter(BUILT)
        .order_by()
        .values_list("plan_public_id")
        .annotate(Max("built_at"))
    )
    return [
        PlanState(
            plan=publication.plan_public_id,
            generation=publication.generation,
            published_at=publication.published_at,
            last_success=success.get(publication.plan_public_id),
            rolled_back_at=publication.rolled_back_at,
        )
        for publication in publications
    ]
