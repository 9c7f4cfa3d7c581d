"""Build all plans that need it, and withdraw those no longer published."""

from collections.abc import Iterable

import structlog
from django.db import DatabaseError
from django.utils import timezone

from publishing import queue, staleness, sync_log
from publishing.building import builds, unpublish
from publishing.storage import cleanup, recovery

log = structlog.get_logger(__name__)


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
    work = staleness.pending()
    in_backoff = sync_log.plans_in_backoff(timezone.now())
    ready = [pk for pk, now in work.items() if in_backoff.get(pk) != now]
    queue.remove(queue.pending_plans() - work.keys())
    build_plans(ready[:limit])
    _remove_deleted_lessons()
    return max(len(ready) - limit, 0)


def build_plans(plan_pks: Iterable[int], *, trigger: str = "queue") -> None:
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
        log.exception("mending_failed")


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
