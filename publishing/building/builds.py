"""Build a plan: from a plan that differs from its release to a new release.

A build reads one snapshot and records the revisions in it. Each build claims a number
(a fencing token) and stops when a newer build has claimed the plan. Wherever a process
stops, readers keep a complete release and the next build continues
(`publishing.storage.activation`). What is repeated, and when, is listed in
docs/architecture.md, "Retries".
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

import structlog
from django.utils import timezone
from django.utils.translation import gettext as _

from core.db import retry_on_conflict
from publishing import queue, staleness, sync_log
from publishing.building import claims, releases, snapshot
from publishing.cdn import sync
from publishing.format.incremental import UnreadableReleaseError
from publishing.format.validation import validate_documents
from publishing.models import Publication, SyncLog
from publishing.storage import activation, file_store, recovery
from publishing.storage.activation import Outcome, StaleSnapshotError

log = structlog.get_logger(__name__)

_MAX_RUNS = 10
_MAX_ATTEMPTS = 3
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


def publish_now(
    plan_pk: int,
    *,
    trigger: str,
    by: int | None = None,
    full: bool = False,
    wait_seconds: float | None = None,
    upload: bool = True,
) -> SyncLog | None:
    """Publish a plan because a user requests it; a held plan is left alone.

    Args:
        by: primary key of the user; the run gets their name.
        full: compare every file with the disk, even if nothing differs.
        upload: False leaves the upload to `publishing.cdn.sync.distribute`.

    Otherwise as `publish_plan`.
    """
    if full:
        publications = Publication.objects.filter(plan=plan_pk)
        activation.mark_for_full_build(publications.values_list("pk", flat=True))
    if by is not None:
        sync_log.record_request(plan_pk, trigger=trigger, by=by)
    publish = publish_plan if upload else build_plan
    return publish(plan_pk, trigger=trigger, wait_seconds=wait_seconds)


def build_plan(
    plan_pk: int, *, trigger: str = "queue", wait_seconds: float | None = None
) -> SyncLog | None:
    """As `publish_plan`, but leave the upload to `publishing.cdn.sync.distribute`.

    An edit that is saved during a build leaves the plan pending, so it is built again;
    after ten runs that is left to the next task.
    """
    entry = None
    for _run in range(_MAX_RUNS):
        with queue.build_lock(plan_pk, wait_seconds=wait_seconds or 0) as held:
            if held:
                made = _build_once(plan_pk, trigger=trigger)
                entry = made or entry
        if not held:
            if wait_seconds is not None:
                raise BuildInProgressError(_("Another process is building this plan."))
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
    claim = retry_on_conflict(
        partial(claims.claim, plan_pk, sources, trigger=trigger, now=now)
    )
    if claim is None:
        return None
    publication, entry = claim
    try:
        claims.skip_numbers_on_disk(publication)
        with _no_garbage_collection():
            outcome = _build(publication, now=now)
    except Exception as error:  # noqa: BLE001 - every failure becomes a log entry
        sync_log.record_failure(entry, error)
    else:
        sync_log.record_success(entry, outcome)
    return entry


def _build(publication: Publication, *, now: datetime) -> Outcome:
    """Build and switch; begin again when what was read is no longer there.

    Raises:
        StaleSnapshotError: all three attempts read something that changed.
        InvalidDocumentError, StagingError, OSError, SupersededError: the build failed.
            After every error, readers see no change.
    """
    assert publication.plan_id is not None
    attempts, full = 0, False
    while True:
        attempts += 1
        recovery.recover_if_incomplete()
        try:
            taken = snapshot.take(publication.plan_id, full=full)
            made = releases.make(taken, now=now)
            validate_documents(made.to_write.values())
            file_store.require_space(
                needed=made.size,
                min_free_percent=taken.settings.min_free_disk_percent,
            )
            return activation.stage_and_switch(publication, made, now=now)
        except (StaleSnapshotError, UnreadableReleaseError) as error:
            if attempts == _MAX_ATTEMPTS:
                raise
            # Damaged files are written again by a full build.
            full = full or isinstance(error, UnreadableReleaseError)


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
