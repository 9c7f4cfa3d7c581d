"""Build a plan: from a plan that differs from its release to a new release.

A build reads one snapshot and records the revisions in it. An edit made during the
build leaves the plan pending, and the same builder runs again. Each build claims a
number (a fencing token) and stops when a newer build has claimed the plan. Wherever a process
stops, readers keep a complete release and the next build continues
(`publishing.storage.activation`). See docs/architecture.md, "Builds".
"""

import gc
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from urllib.parse import urljoin

import structlog
from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from core.db import retry_on_conflict
from plans.models import AcademicPlan
from publishing import queue, staleness, sync_log
from publishing.building import published_state, unpublish
from publishing.building.snapshot import Snapshot, take
from publishing.cdn import sync
from publishing.content_urls import (
    gated_lesson_url,
    local_base_url,
)
from publishing.format import locations
from publishing.format.documents import DocumentMaker
from publishing.format.incremental import (
    ChangedSubject,
    ReleaseAssembler,
    UnreadableReleaseError,
)
from publishing.format.validation import validate_documents, validate_progress_bits
from publishing.format.versioning import BuiltDocument, DocumentVersioner
from publishing.models import Publication, PublishingSettings, SyncLog
from publishing.signing import links
from publishing.storage import activation, cleanup, file_store, recovery
from publishing.storage.activation import (
    Outcome,
    Release,
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
    resting = sync_log.plans_in_backoff(timezone.now())
    ready = [pk for pk, now in work.items() if resting.get(pk) != now]
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
    snapshot = take(publication.plan_id)
    if snapshot.switches != file_store.switches():
        recovery.recover()
        snapshot = take(publication.plan_id)
    try:
        made = make_release(snapshot, now=now)
    except UnreadableReleaseError:
        # Damaged files are written again by a full build.
        snapshot = replace(take(publication.plan_id, full=True), is_incomplete=True)
        made = make_release(snapshot, now=now)
    validate_documents(made.to_write.values())
    file_store.require_space(
        needed=sum(len(document.data) for document in made.to_write.values()),
        min_free_percent=snapshot.settings.min_free_disk_percent,
    )
    return activation.stage_and_switch(publication, made, now=now)


def make_release(snapshot: Snapshot, *, now: datetime) -> Release:
    """Make the release of this snapshot in memory; nothing is written.

    Raises:
        BitConflictError: two lessons share a progress bit.
        UnreadableReleaseError: a file that the release would reuse is missing or
            damaged.
    """
    old = published_state.ReleaseReader(snapshot.previous)
    _validate_progress_bits(snapshot, old)
    plan_id, current = snapshot.plan.id, snapshot.settings
    versioner = DocumentVersioner(
        previous=published_state.verified_records(snapshot),
        now=int(now.timestamp()),
        newest_version=snapshot.newest_version,
    )
    maker = DocumentMaker(
        plan=snapshot.plan,
        links=SettingsLinks(
            current, base_url=snapshot.built_from["settings"]["base_url"]
        ),
        versioner=versioner,
        signer=links.video_signer(current) if current.embed_signed_urls else None,
        is_gated=lambda lesson_id: lesson_id not in snapshot.open_elsewhere,
        lesson_sources=snapshot.lesson_sources,
    )
    fresh = ReleaseAssembler(maker, old, current.search_shard_threshold).build(
        snapshot.subjects, same_trees=not (snapshot.is_full or snapshot.whole)
    )
    documents = versioner.documents
    there = published_state.plan_files(plan_id)
    mine = {path for path, made in documents.items() if made.schema != "lesson"}
    plan_lessons: Mapping[str, bool] | None = fresh
    gone: Set[str]
    kept: Set[str]
    if snapshot.is_full:
        known = {p for p in snapshot.previous if locations.lesson_id_of(p) is None}
        gone, kept = known - mine, mine
    elif snapshot.whole:
        replaced = published_state.replaced(snapshot, old)
        gone = (replaced.paths & there) - mine
        kept = (there | mine) - gone
        plan_lessons = published_state.plan_lessons_with(
            fresh, plan_id=plan_id, replaced=replaced
        )
    else:
        gone, kept, plan_lessons = set(), there | mine, None
    reusable = {
        locations.lesson(lesson_id)
        for subject in snapshot.subjects
        if isinstance(subject, ChangedSubject)
        for lesson_id in subject.reusable & fresh.keys()
    }
    lost = published_state.missing(documents.keys() | reusable, there)
    if lost & reusable:
        raise UnreadableReleaseError(min(lost))
    to_write = {
        path: document
        for path, document in documents.items()
        if document.changed or path in lost
    }
    return Release(
        plan_id=plan_id,
        documents=documents,
        to_write=to_write,
        confirmed=_confirmed(documents, to_write),
        kept=[path for path in kept if path not in to_write],
        gone=gone,
        plan_lessons=plan_lessons,
        built_from=snapshot.built_from,
        removals=snapshot.removals,
    )


def _confirmed(
    documents: Mapping[str, BuiltDocument], to_write: Mapping[str, BuiltDocument]
) -> dict[str, BuiltDocument]:
    """Return unchanged lessons whose record (revision, source digest) has changed."""
    return {
        path: document
        for path, document in documents.items()
        if path not in to_write
        and document.before is not None
        and document.record.source
        and document.record != document.before
    }


def _validate_progress_bits(
    snapshot: Snapshot, old: published_state.ReleaseReader
) -> None:
    """Refuse a progress bit that two lessons share, now or over time.

    See docs/architecture.md, "Progress bits".

    Raises:
        BitConflictError: names the subject's bitmap and both lessons.
    """
    for subject in snapshot.subjects:
        if not isinstance(subject, ChangedSubject):
            continue
        root = subject.root
        path = locations.bitmap(snapshot.plan.id, root.id)
        validate_progress_bits(path, root, published_state.published_bits(path, old))


class SettingsLinks:
    """Make links from the settings of one snapshot.

    ``base_url`` is the prefix of links to content; it ends in ``/``.
    """

    def __init__(self, current: PublishingSettings, *, base_url: str) -> None:
        self._current = current
        self._base = base_url

    def content(self, path: str) -> str:
        return self._base + path

    def upload(self, url: str) -> str:
        return urljoin(local_base_url(self._current), url)

    def gated_lesson(self, lesson_id: str) -> str:
        return gated_lesson_url(lesson_id, self._current)
