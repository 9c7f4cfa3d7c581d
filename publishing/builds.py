"""The story of one build: from a plan that differs to a release students read.

A build reads one snapshot and records the revisions it saw, so an edit made meanwhile
leaves the plan pending and builds again. It claims a number (the fence) and gives up
when a newer build has claimed the plan. Whatever dies where, readers keep a whole
release and the next build goes on (`publishing.release`).
"""

import json
from collections.abc import Mapping, Set
from contextlib import suppress
from datetime import datetime
from urllib.parse import urljoin

import orjson
import structlog
from django.db import OperationalError, transaction
from django.utils import timezone

from content import stage_configs
from content.fields import CanonicalJSONEncoder
from content.services import is_lost_race
from content.stage_types import SCHEMAS
from content.tree import Stage
from plans.models import AcademicPlan
from publishing import (
    changes,
    distribution,
    inventory,
    locations,
    mending,
    queue,
    release,
    signing,
    staging,
    sync_log,
)
from publishing.assembly import Assembly, Fresh, UnreadableReleaseError
from publishing.content_urls import (
    content_base_url,
    gated_lesson_url,
    local_base_url,
)
from publishing.documents import DocumentMaker
from publishing.models import Publication, PublishingSettings, SyncLog
from publishing.release import Outcome, Release, StaleSnapshotError
from publishing.sealing import Sealer
from publishing.snapshot import Snapshot, take
from publishing.validation import require_sound_bits, require_valid

log = structlog.get_logger(__name__)

_SNAPSHOT_ATTEMPTS = 3
_CLAIM_ATTEMPTS = 5


def publish_plan(plan_pk: int, *, trigger: str = "queue") -> SyncLog | None:
    """Build a plan now, if it is published and differs from its release; upload it.

    Returns:
        The sync log entry of this run; None when there was nothing to do or another
        builder is at it. A failure is in the entry, with the time of the next attempt:
        nothing is raised for it, and the published release is as it was.
    """
    entry = build_plan(plan_pk, trigger=trigger)
    if distribution.distribute() and entry is not None:
        entry.refresh_from_db()
    return entry


def build_plan(plan_pk: int, *, trigger: str = "queue") -> SyncLog | None:
    """As `publish_plan`, but the upload is left for `distribution.distribute`."""
    with queue.build_lock(plan_pk) as held:
        sources = changes.pending([plan_pk]).get(plan_pk) if held else None
        if sources is None:
            return None
        now = timezone.now()
        claim = _claim(plan_pk, sources, trigger=trigger, now=now)
        if claim is None:
            return None
        publication, entry = claim
        try:
            outcome = _build_fresh(publication, now=now)
        except Exception as error:  # noqa: BLE001 - every failure becomes a log entry
            sync_log.record_failure(entry, error)
        else:
            sync_log.record_success(entry, outcome)
    if plan_pk in changes.pending([plan_pk]):
        queue.add([plan_pk])
    else:
        queue.remove([plan_pk])
    return entry


def process_pending(*, limit: int) -> int:
    """Bring up to ``limit`` plans up to date, withdrawals first.

    A plan that failed waits for its next attempt, one in Dead Letter for somebody's
    Retry; neither waits when its sources have changed since.

    Returns:
        How many plans are left that could be built now.
    """
    _mend()
    _withdraw_all()
    work = changes.pending()
    resting = sync_log.resting(timezone.now())
    ready = [pk for pk, now in work.items() if resting.get(pk) != now]
    queue.remove(queue.waiting() - work.keys())
    for plan_pk in ready[:limit]:
        build_plan(plan_pk)
    # Readers here have them all before the first waits for the CDN.
    distribution.distribute()
    return max(len(ready) - limit, 0)


def _mend() -> None:
    """Before anything is taken away: what the tables do not know may need it."""
    try:
        mending.mend_if_torn()
    except Exception:
        # Each build tries again, and writes down why it cannot.
        log.exception("mending_failed")


def _withdraw_all() -> None:
    """Take away what is no longer published; what cannot be now waits its turn."""
    for publication_pk in changes.to_withdraw():
        try:
            release.withdraw(publication_pk)
        except Exception:
            # The disk or the database refused: builds need not wait for it.
            log.exception("plan_withdrawal_failed", publication=publication_pk)


def _claim(
    plan_pk: int, sources: changes.Sources, *, trigger: str, now: datetime
) -> tuple[Publication, SyncLog] | None:
    """Take the plan's next number, and open its log entry.

    MariaDB may end a claim that waits for an editor's row, to let the editor go on:
    then it is made again.

    Returns:
        None when the plan has been deleted or unpublished meanwhile.
    """
    for _lost in range(_CLAIM_ATTEMPTS - 1):
        try:
            return _claim_once(plan_pk, sources, trigger=trigger, now=now)
        except OperationalError as error:
            if not is_lost_race(error):
                raise
    return _claim_once(plan_pk, sources, trigger=trigger, now=now)


def _claim_once(
    plan_pk: int, sources: changes.Sources, *, trigger: str, now: datetime
) -> tuple[Publication, SyncLog] | None:
    with transaction.atomic():
        published = AcademicPlan.objects.filter(is_published=True)
        plan = published.select_for_update().filter(pk=plan_pk).first()
        if plan is None:
            return None
        publication, _made = Publication.objects.get_or_create(
            plan_public_id=plan.public_id, defaults={"plan": plan}
        )
        publication = Publication.objects.select_for_update().get(pk=publication.pk)
        # A number the disk has used already (by a database since lost) stays its own.
        on_disk = max(staging.kept_generations(plan.public_id), default=0)
        publication.plan = plan
        publication.fence = max(publication.fence, on_disk) + 1
        publication.save(update_fields=["plan", "fence"])
        entry = sync_log.open_entry(plan, sources, trigger=trigger, now=now)
    return publication, entry


def _build_fresh(publication: Publication, *, now: datetime) -> Outcome:
    """Build, and again when another plan's build got in between.

    Raises:
        StaleSnapshotError: it did so three times.
    """
    for _attempt in range(_SNAPSHOT_ATTEMPTS - 1):
        with suppress(StaleSnapshotError):
            return _build(publication, now=now)
    return _build(publication, now=now)


def _build(publication: Publication, *, now: datetime) -> Outcome:
    """Read, make, check, write, switch.

    Raises:
        InvalidDocumentError, StagingError, OSError, SupersededError,
        StaleSnapshotError: nothing that readers see has changed.
    """
    assert publication.plan_id is not None
    snapshot = take(publication.plan_id)
    if snapshot.switches != staging.switches():
        mending.mend()
        snapshot = take(publication.plan_id)
    try:
        made = make_release(snapshot, now=now)
    except UnreadableReleaseError:
        snapshot = take(publication.plan_id, full=True)
        made = make_release(snapshot, now=now)
    require_valid(made.to_write.values())
    staging.require_space(
        needed=sum(len(document.data) for document in made.to_write.values()),
        min_free_percent=snapshot.settings.min_free_disk_percent,
    )
    return release.stage_and_switch(publication, made, now=now)


def make_release(snapshot: Snapshot, *, now: datetime) -> Release:
    """The release this snapshot makes; nothing is written yet.

    Raises:
        BitConflictError: two lessons share a progress bit.
        UnreadableReleaseError: what the release would build upon is not there.
    """
    _require_sound_bits(snapshot)
    plan_id, current = snapshot.plan.id, snapshot.settings
    sealer = Sealer(
        previous=inventory.believable(snapshot),
        now=int(now.timestamp()),
        newest_version=snapshot.newest_version,
    )
    old = inventory.ReleaseReader(snapshot.previous)
    maker = DocumentMaker(
        plan=snapshot.plan,
        links=_SettingsLinks(current),
        sealer=sealer,
        signer=signing.video_signer(current) if current.embed_signed_urls else None,
        config_of=_sanitised_config,
        is_gated=lambda lesson_id: lesson_id not in snapshot.open_elsewhere,
    )
    fresh = Assembly(maker, old, current.search_shard_threshold).build(
        snapshot.subjects, same_trees=not (snapshot.is_full or snapshot.whole)
    )
    documents = sealer.sealed
    there = inventory.plan_files(plan_id)
    mine = {path for path in documents if locations.lesson_id_of(path) is None}
    offers: Mapping[str, bool] | None = fresh
    gone: Set[str]
    kept: Set[str]
    if snapshot.is_full:
        known = {p for p in snapshot.previous if locations.lesson_id_of(p) is None}
        gone, kept = known - mine, mine
    elif snapshot.whole:
        replaced = inventory.replaced(snapshot, old)
        gone = (replaced.paths & there) - mine
        kept = (there | mine) - gone
        offers = inventory.offers_with(fresh, plan_id=plan_id, replaced=replaced)
    else:
        gone, kept, offers = set(), there | mine, None
    lost = inventory.missing(documents.keys(), there)
    to_write = {
        path: document
        for path, document in documents.items()
        if document.changed or path in lost
    }
    return Release(
        plan_id=plan_id,
        documents=documents,
        to_write=to_write,
        kept=[path for path in kept if path not in to_write],
        gone=gone,
        offers=offers,
        built_from=snapshot.built_from,
        removals=snapshot.removals,
    )


def _sanitised_config(stage: Stage) -> str:
    """What a student's device may be given: sanitised on saving, and again here."""
    if "<" not in stage.config or stage.type not in SCHEMAS:
        return stage.config
    clean = stage_configs.sanitise(stage.type, orjson.loads(stage.config))
    return json.dumps(clean, cls=CanonicalJSONEncoder)


def _require_sound_bits(snapshot: Snapshot) -> None:
    """Refuse a progress bit that two lessons share, now or over time (DESIGN 2).

    Raises:
        BitConflictError: names the subject's bitmap and both lessons.
    """
    for subject in snapshot.subjects:
        if not isinstance(subject, Fresh):
            continue
        root = subject.root
        path = locations.bitmap(snapshot.plan.id, root.id)
        owners = inventory.published_bits(path) if path in snapshot.previous else {}
        require_sound_bits(path, root, owners)


class _SettingsLinks:
    """Links as the settings of one snapshot make them."""

    def __init__(self, current: PublishingSettings) -> None:
        self._current = current
        self._base = content_base_url(current)

    def content(self, path: str) -> str:
        return self._base + path

    def upload(self, url: str) -> str:
        return urljoin(local_base_url(self._current), url)

    def gated_lesson(self, lesson_id: str) -> str:
        return gated_lesson_url(lesson_id, self._current)
