"""How publishing stands: what waits, what runs, what failed. For API, command, admin."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, Q
from django.utils import timezone

from plans.models import AcademicPlan
from publishing import changes, queue, sync_log
from publishing.models import Publication, SyncLog, SyncStatus, SyncStep, WaitingPlan

_RECENT = timedelta(hours=24)
_MOST_FAILURES = 20
SUCCEEDED = (SyncStatus.SUCCESS, SyncStatus.LOCAL_ONLY)
_BUILT = Q(status__in=SUCCEEDED) | Q(step=SyncStep.UPLOAD)
"""Entries whose release readers here have, whatever became of the upload."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A plan whose release differs from what it would be now."""

    plan: str
    title: str
    since: datetime | None
    """None until the watch has seen it, which takes up to a minute."""


@dataclass(frozen=True, slots=True)
class Run:
    """A sync log entry that is not over, or ended badly.

    ``at`` is when it began, is tried again or failed.
    """

    entry: int
    plan: str
    trigger: str
    attempts: int
    at: datetime | None
    error: str
    document: str
    json_path: str
    is_alive: bool | None = None
    """For a running build: whether its builder still holds the lock; None unknown."""


@dataclass(frozen=True, slots=True)
class PlanState:
    """A published plan's last release."""

    plan: str
    generation: int | None
    published_at: datetime | None
    last_success: datetime | None
    rolled_back_at: datetime | None


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """Everything `get_queue_status` of spec 4 tells, and more."""

    now: datetime
    pending: list[Waiting]
    building: list[Run]
    retries: list[Run]
    dead_letters: list[Run]
    failed_uploads: list[Run]
    recent_failures: list[Run]
    plans: list[PlanState]
    last_processed: datetime | None
    heartbeat: datetime | None

    @property
    def oldest_seconds(self) -> float | None:
        """How long the plan has waited that waits longest; None when none does."""
        since = [plan.since for plan in self.pending if plan.since is not None]
        return (self.now - min(since)).total_seconds() if since else None

    @property
    def needs_somebody(self) -> bool:
        """Something will not go on by itself."""
        return bool(self.dead_letters or self.failed_uploads)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the lists, their sizes and the oldest age in seconds."""
        return {
            "pending_plans": len(self.pending),
            "oldest_seconds": self.oldest_seconds,
            "dead_letter_count": len(self.dead_letters),
            "failed_upload_count": len(self.failed_uploads),
            **asdict(self),
        }


def queue_status(now: datetime | None = None) -> QueueStatus:
    """The state of the queue; 13 queries, however many plans there are."""
    now = now or timezone.now()
    running = _runs(SyncLog.objects.filter(status=SyncStatus.PROCESSING), "started_at")
    waiting_again = SyncLog.objects.filter(
        status=SyncStatus.QUEUED, next_attempt_at__isnull=False
    )
    dead = SyncLog.objects.filter(status=SyncStatus.DEAD_LETTER)
    failed = SyncLog.objects.filter(FAILED, finished_at__gt=now - _RECENT).order_by(
        "-finished_at"
    )[:_MOST_FAILURES]
    beat = queue.last_beat()
    return QueueStatus(
        now=now,
        pending=_pending(),
        building=running,
        retries=_runs(waiting_again.order_by("next_attempt_at"), "next_attempt_at"),
        dead_letters=_runs(dead.order_by("pk"), "finished_at"),
        failed_uploads=_runs(sync_log.upload_failures(), "finished_at"),
        recent_failures=_runs(failed, "finished_at"),
        plans=_plans(),
        last_processed=SyncLog.objects.aggregate(last=Max("finished_at"))["last"],
        heartbeat=datetime.fromtimestamp(beat, now.tzinfo) if beat else None,
    )


FAILED = Q(status__in=[SyncStatus.FAILED, SyncStatus.DEAD_LETTER]) | (
    Q(status=SyncStatus.QUEUED) & ~Q(error="") & Q(disk_needed__isnull=True)
)
"""Entries whose last attempt failed; waiting for disk space is no failure."""


def failure_rate(now: datetime) -> tuple[int, int]:
    """How many of the last 24 hours' runs failed, and how many there were."""
    runs = SyncLog.objects.filter(finished_at__gt=now - _RECENT).exclude(
        status=SyncStatus.SUPERSEDED
    )
    return runs.filter(FAILED).count(), runs.count()


def ready(now: datetime) -> list[int]:
    """The plans that could be built now: those that differ and do not rest."""
    resting = sync_log.resting(now)
    return [pk for pk, found in changes.pending().items() if resting.get(pk) != found]


def note_waiting(now: datetime) -> None:
    """Write down since when each plan waits; the watch calls it every minute.

    A plan that was built since and differs again waits from that build on.
    """
    pending = changes.pending().keys()
    noted = {row.plan_id: row for row in WaitingPlan.objects.all()}
    WaitingPlan.objects.filter(plan__in=noted.keys() - pending).delete()
    built = dict(
        SyncLog.objects.filter(_BUILT, plan__in=noted.keys() & pending)
        .values_list("plan_id")
        .annotate(Max("started_at"))
    )
    for plan_pk in noted.keys() & pending:
        last = built.get(plan_pk)
        if last is not None and last > noted[plan_pk].since:
            WaitingPlan.objects.filter(plan=plan_pk).update(since=last)
    WaitingPlan.objects.bulk_create(
        [WaitingPlan(plan_id=pk, since=now) for pk in pending if pk not in noted],
        ignore_conflicts=True,
    )


def _pending() -> list[Waiting]:
    plans = AcademicPlan.objects.filter(pk__in=changes.pending()).select_related(
        "waiting"
    )
    return sorted(
        (
            Waiting(
                plan=plan.public_id,
                title=plan.title,
                since=plan.waiting.since if hasattr(plan, "waiting") else None,
            )
            for plan in plans
        ),
        key=lambda waiting: (waiting.since is None, waiting.since or 0, waiting.plan),
    )


def _runs(entries: Any, moment: str) -> list[Run]:
    entries = list(entries)
    running = [entry.plan_id for entry in entries if _is_building(entry)]
    alive = queue.being_built(running) if running else set()
    return [
        Run(
            entry=entry.pk,
            plan=entry.plan_public_id,
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


def _is_building(entry: SyncLog) -> bool:
    """Whether a builder is at it, or died there; uploads have a lock of their own."""
    return entry.status == SyncStatus.PROCESSING and entry.step == SyncStep.BUILD


def _plans() -> list[PlanState]:
    success = dict(
        SyncLog.objects.filter(status__in=SUCCEEDED)
        .exclude(trigger=SyncLog.ROLLBACK)
        .values_list("plan_public_id")
        .annotate(Max("finished_at"))
    )
    return [
        PlanState(
            plan=publication.plan_public_id,
            generation=publication.generation,
            published_at=publication.published_at,
            last_success=success.get(publication.plan_public_id),
            rolled_back_at=publication.rolled_back_at,
        )
        for publication in Publication.objects.order_by("plan_public_id")
    ]
