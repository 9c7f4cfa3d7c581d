"""Build a plan: from a plan that differs from its release to a new release.

A build reads one snapshot and records the revisions in it. An edit made during the
build leaves the plan pending, and the same builder runs again. Each build claims a
number (a fencing token) and stops when a newer build has claimed the plan. Wherever a process
stops, readers keep a complete release and the next build continues
(`publishing.storage.activation`). See docs/architecture.md, "Builds".
"""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial

import structlog
from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from core.db import retry_on_conflict
from plans.models import AcademicPlan
from publishing import queue, staleness, sync_log
from publishing.building import releases, snapshot, unpublish
from publishing.cdn import sync
from publishing.format.incremental import UnreadableReleaseError
from publishing.format.validation import validate_documents
from publishing.models import Publication, SyncLog
from publishing.storage import activation, cleanup, file_store, recovery
from publishing.storage.activation import (
    Outcome,
    StaleSnapshotError,
    SupersededError,
)

log = structlog.get_logger(__name__)

_SNAPSHOT_ATTEMPTS = 3
_MAX_BUILDS = 10
LOCK_WAIT_SECONDS = 90.0
"""Seconds after which a crashed builder's lock has expired and a live one is done."""


class BuildInProgressError(Exception):
    """Another builder holds the plan's lock, and did so for the whole wait."""


def publish_plan(
    plan_pk: int, *, trigger: str = "queue", wait_seconds: float | None = None
) -> SyncLog | None:
    """Build a plan if it is published and differs from its release; then upload it.

    Args:
        wait_seconds: how many seconds to wait for another builder of the plan. None: do not
            wait; the other builder also builds what changed in the meantime.

    Returns:
        The sync log entry of this run; None when there was nothing to do or another
        builder holds the lock. A failed build raises nothing: the entry has the error
        and the time of the next attempt, and the published release is unchanged.

    Raises:
        BuildInProgressError: the other builder took longer than ``wait_seconds``.
    """
    entry = build_plan(plan_pk, trigger=trigger, wait_seconds=wait_seconds)
    if sync.distribute() and entry is not None:
        entry.refresh_from_db()
    return entry


def build_plan(
    plan_pk: int, *, trigger: str = "queue", wait_seconds: float | None = None
) -> SyncLog | None:
    """As `publish_plan`, but leave the upload to `publishing.cdn.sync.distribute`."""
    entry = None
    for _turn in range(_MAX_BUILDS):
        with queue.build_lock(plan_pk, wait_seconds=wait_seconds or 0) as held:
            if held:
                made = _build_once(plan_pk, trigger=trigger)
                entry = made or entry
        if not held:
            if wait_seconds is not None:
                raise BuildInProgressError(_("It is being built elsewhere."))
            return entry
        # Checked after the lock is free: a builder that found the lock held has
        # returned, and its edit must be built by this run.
        if plan_pk not in staleness.pending([plan_pk]):
            queue.remove([plan_pk])
            return entry
        if made is not None and made.built_at is None:
            break  # the build failed: its entry has the time of the next attempt
    queue.add([plan_pk])
    return entry


def _build_once(plan_pk: int, *, trigger: str) -> SyncLog | None:
    """Run one build if the plan is pending; the caller holds the plan's lock."""
    sources = staleness.pending([plan_pk]).get(plan_pk)
    if sources is None:
        return None
    now = timezone.now()
    claim = _claim(plan_pk, sources, trigger=trigger, now=now)
    if claim is None:
        return None
    publication, entry = claim
    try:
        _skip_numbers_on_disk(publication)
        with _no_garbage_collection():
            outcome = _build_with_retries(publication, now=now)
    except Exception as error:  # noqa: BLE001 - every failure becomes a log entry
        sync_log.record_failure(entry, error)
    else:
        sync_log.record_success(entry, outcome)
    return entry


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
            build_plan(plan_pk, trigger=trigger)
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


def _claim(
    plan_pk: int, sources: staleness.Sources, *, trigger: str, now: datetime
) -> tuple[Publication, SyncLog] | None:
    """Claim the plan's next build number and open its log entry.

    MariaDB may abort a claim that waits for a row locked by an editor. The claim is
    then retried.

    Returns:
        The publication and its log entry; None when the plan has been deleted or
        unpublished in the meantime.
    """
    claim_once = partial(_claim_once, plan_pk, sources, trigger=trigger, now=now)
    return retry_on_conflict(claim_once)


def _claim_once(
    plan_pk: int, sources: staleness.Sources, *, trigger: str, now: datetime
) -> tuple[Publication, SyncLog] | None:
    with transaction.atomic():
        published = AcademicPlan.objects.filter(is_published=True)
        plan = published.select_for_update().filter(pk=plan_pk).first()
        if plan is None:
            return None
        rows = Publication.objects.select_for_update()
        publication = rows.filter(plan_public_id=plan.public_id).first()
        if publication is None:
            publication = Publication.objects.create(
                plan_public_id=plan.public_id,
                build_number=unpublish.newest_withdrawn_number(),
            )
        if publication.plan_id != plan.pk:
            # The release belongs to a deleted plan; its revisions do not apply here.
            publication.plan, publication.built_from = plan, {}
        publication.build_number += 1
        publication.save(update_fields=["plan", "build_number", "built_from"])
        entry = sync_log.open_entry(plan, sources, trigger=trigger, now=now)
    return publication, entry


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Turn the garbage collector off during a build.

    A build holds hundreds of thousands of objects until its end. Scanning them for
    garbage takes a third of the build's time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _skip_numbers_on_disk(publication: Publication) -> None:
    """Skip the numbers of generations on disk that a lost database had claimed.

    Raises:
        SupersededError: a newer build has claimed the plan.
        OSError: the disk cannot be read.
    """
    on_disk = max(file_store.kept_generations(publication.plan_public_id), default=0)
    if on_disk < publication.build_number:
        return
    mine = Publication.objects.filter(
        pk=publication.pk, build_number=publication.build_number
    )
    if not mine.update(build_number=on_disk + 1):
        raise SupersededError("a newer build has claimed the plan")
    publication.build_number = on_disk + 1


def _build_with_retries(publication: Publication, *, now: datetime) -> Outcome:
    """Build, and try again when another plan's build made the snapshot stale.

    Raises:
        StaleSnapshotError: all three attempts were stale.
    """
    for _attempt in range(_SNAPSHOT_ATTEMPTS - 1):
        with suppress(StaleSnapshotError):
            return _build(publication, now=now)
    return _build(publication, now=now)


def _build(publication: Publication, *, now: datetime) -> Outcome:
    """Read a snapshot, make the documents, validate them, write them and switch.

    Raises:
        InvalidDocumentError, StagingError, OSError, SupersededError,
        StaleSnapshotError: the build failed; readers see no change.
    """
    assert publication.plan_id is not None
    taken = snapshot.take(publication.plan_id)
    if taken.switches != file_store.switches():
        recovery.recover()
        taken = snapshot.take(publication.plan_id)
    try:
        made = releases.make(taken, now=now)
    except UnreadableReleaseError:
        # Damaged files are written again by a full build.
        taken = snapshot.take(publication.plan_id, full=True)
        made = releases.make(taken, now=now)
    validate_documents(made.to_write.values())
    file_store.require_space(
        needed=sum(len(document.data) for document in made.to_write.values()),
        min_free_percent=taken.settings.min_free_disk_percent,
    )
    return activation.stage_and_switch(publication, made, now=now)
