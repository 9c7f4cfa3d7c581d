"""Build all plans that need it, withdraw those no longer published, and clean up."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _

from plans.models import AcademicPlan
from publishing import queue, staleness, sync_log
from publishing.building import builds, unpublish
from publishing.cdn import sync
from publishing.models import Publication, SyncLog
from publishing.storage import cleanup, recovery
from publishing.storage.cleanup import Collected

log = structlog.get_logger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PlanRun:
    """What became of a waiting plan (its public id); without an entry, why it failed."""

    plan_id: str
    entry: SyncLog | None
    error: str


def process_pending(*, limit: int) -> int:
    """Build up to ``limit`` pending plans; withdraw unpublished plans first.

    The files of permanently deleted lessons are removed last. Uploads are left to
    `publishing.cdn.sync.distribute`.

    A failed plan is skipped until its next attempt is due, and a plan in Dead Letter
    until its run is retried. A plan whose sources changed since then is built at once.

    Returns:
        The number of plans that are ready to build and were left out by ``limit``.
    """
    _recover()
    _unpublish_all()
    ready = _ready_plans()
    _build_plans(ready[:limit])
    _remove_deleted_lessons()
    return max(len(ready) - limit, 0)


def publish_pending(*, trigger: str, progress: Progress) -> Iterator[PlanRun]:
    """As `process_pending`, but without a limit, with uploads, and plan by plan.

    Waits for other builders of the plans. A failed plan does not stop the others.

    Args:
        progress: called with the number of plans done and of all plans to build.
    """
    process_pending(limit=0)  # only the withdrawals
    left = Publication.objects.filter(pk__in=staleness.to_withdraw())
    for plan_id in left.values_list("plan_public_id", flat=True):
        yield PlanRun(plan_id, None, _("it could not be withdrawn; see the log"))
    ready = _ready_plans()
    ids = dict(AcademicPlan.objects.filter(pk__in=ready).values_list("pk", "public_id"))
    for done, plan_pk in enumerate(ready):
        progress(done, len(ready))
        try:
            entry = builds.publish_plan(
                plan_pk, trigger=trigger, wait_seconds=builds.LOCK_WAIT_SECONDS
            )
        except builds.BuildInProgressError as error:
            yield PlanRun(ids[plan_pk], None, str(error))
            continue
        if entry is not None:  # else another builder has built it since
            yield PlanRun(ids[plan_pk], entry, entry.error)
    progress(len(ready), len(ready))
    sync.distribute()  # delete withdrawn files from the CDN


def retry_due(now: datetime) -> None:
    """Build the failed plans whose next attempt is due; close runs that need none."""
    sync_log.close_stale()
    _build_plans(sync_log.plans_due(now), trigger="retry")


def prune(
    now: datetime, *, progress: Progress = lambda _done, _of: None
) -> tuple[Collected, int]:
    """Delete old generations, leftovers, unneeded lessons and old log entries.

    The log keeps the builds of generations on disk, so it is pruned last.

    Args:
        progress: called with the number of plans done and the number on disk.

    Returns:
        What was deleted from the disk, and the number of log entries deleted.
    """
    return cleanup.collect(progress), sync_log.prune(now)


def _ready_plans() -> list[int]:
    """Return the plans to build now: out of date and not waiting for a retry.

    Plans that are up to date are removed from the set of waiting plans.
    """
    work = staleness.pending()
    in_backoff = sync_log.plans_in_backoff(timezone.now())
    queue.remove(queue.pending_plans() - work.keys())
    return [pk for pk, sources in work.items() if in_backoff.get(pk) != sources]


def _build_plans(plan_pks: Iterable[int], *, trigger: str = "queue") -> None:
    """Call `build_plan` for each plan; a failing plan does not stop the others."""
    for plan_pk in plan_pks:
        try:
            builds.build_plan(plan_pk, trigger=trigger)
        except DatabaseError:
            # Only the claim fails here: a failed build is in the sync log.
            log.exception("plan_not_claimed", plan=plan_pk)


def _recover() -> None:
    """Recover before anything is removed: files unknown to the tables may be needed."""
    try:
        recovery.recover_if_incomplete()
    except Exception:
        # Each build tries again and records why it fails.
        log.exception("recovery_failed")


def _unpublish_all() -> None:
    """Withdraw plans that are no longer published; failures are tried again later."""
    for publication_pk in staleness.to_withdraw():
        try:
            unpublish.unpublish(publication_pk)
        except Exception:
            # The disk or the database failed: the builds continue without it.
            log.exception("plan_withdrawal_failed", publication=publication_pk)


def _remove_deleted_lessons() -> None:
    """Remove the files of permanently deleted lessons that no release names."""
    try:
        cleanup.remove_deleted_lessons()
    except (OSError, DatabaseError):
        log.exception("deleted_lessons_left_to_collection")
