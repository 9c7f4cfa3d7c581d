"""Putting a release in front of readers, and taking one away.

Everything here that changes what readers see happens under one lock, in the order that
keeps every link whole: lessons first, then the plan's directory by one rename, then the
tables. Each change is numbered, on the disk before it begins and in the tables with
it, so a death in between is seen by whoever comes next (`publishing.mending`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

import structlog
from django.db import DatabaseError, transaction
from django.db.models import Exists, OuterRef

from content.upsert import upsert
from plans.models import AcademicPlan
from publishing import changes, encoding, gates, locations, staging
from publishing.models import (
    LessonOffer,
    Publication,
    PublishedDocument,
    PublishingSettings,
    SwitchLock,
)
from publishing.sealing import Sealed

log = structlog.get_logger(__name__)


class SupersededError(Exception):
    """A newer build has claimed the plan; it will do the work."""


class StaleSnapshotError(Exception):
    """Another plan's build changed shared lessons meanwhile: read again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a build did; ``generation`` is the one readers now see."""

    generation: int | None
    written: int
    unchanged: int
    removed: int


@dataclass(frozen=True, slots=True)
class Release:
    """What a build wants readers to have.

    ``documents`` are all those it made, ``to_write`` those that differ from the disk,
    ``kept`` the paths of plan files that stay as they are, ``gone`` of those that do
    not. ``offers`` are the plan's lessons, id to "offered openly"; None: as before.
    """

    plan_id: str
    documents: Mapping[str, Sealed]
    to_write: Mapping[str, Sealed]
    kept: Collection[str]
    gone: Collection[str]
    offers: Mapping[str, bool] | None
    built_from: changes.Sources
    removals: int


def stage_and_switch(
    publication: Publication, release: Release, *, now: datetime
) -> Outcome:
    """Write beside the release, then replace it in one step under the switch lock.

    Raises:
        SupersededError, StaleSnapshotError, OSError: readers still have the old one.
    """
    plan_id, number = release.plan_id, publication.fence
    plan_changes: dict[str, Sealed] = {}
    lesson_changes: dict[str, Sealed] = {}
    for path, document in release.to_write.items():
        group = plan_changes if locations.lesson_id_of(path) is None else lesson_changes
        group[path] = document
    token = f"{plan_id}.{number}"
    try:
        staging.prepare_lessons(
            {path: doc.data for path, doc in lesson_changes.items()}, token
        )
        if plan_changes or release.gone:
            staging.write_generation(
                plan_id=plan_id,
                number=number,
                written={path: doc.data for path, doc in plan_changes.items()},
                kept=release.kept,
                previous=staging.current_generation(plan_id),
            )
        with transaction.atomic():
            lock = _lock_for_switch(publication, release)
            replaced = _still_newest(lesson_changes)
            if release.to_write or release.gone:
                versions = [doc.record.version for doc in release.to_write.values()]
                lock.newest_version = max([lock.newest_version, *versions])
                begin_switch(lock)
            staging.replace_lessons(replaced, token)
            if plan_changes or release.gone:
                staging.switch(plan_id, number)
                publication.generation = number
            written = [*replaced.values(), *plan_changes.values()]
            flipped, dropped = _record_release(publication, release, written, now=now)
    except BaseException:
        _drop_unfinished(publication, lesson_changes, token)
        raise
    if flipped:
        settle_gates_or_later(flipped)
    removed = _tidied(lesson_changes.keys() - replaced.keys(), token, dropped)
    return Outcome(
        generation=publication.generation,
        written=len(written),
        unchanged=len(release.documents) - len(written),
        removed=len(release.gone) + removed,
    )


def _drop_unfinished(
    publication: Publication, lessons: Collection[str], token: str
) -> None:
    """Remove what a failed build wrote: a full disk needs the space.

    What cannot be removed waits for `collect`; the failure's own reason comes first.
    """
    plan_id, number = publication.plan_public_id, publication.fence
    with suppress(OSError, DatabaseError):
        staging.drop_prepared(lessons, token)
        # Withdrawn and published again, a plan counts from 1: a number may be another
        # build's by now.
        if Publication.objects.filter(pk=publication.pk).exists():
            staging.drop_generation(plan_id, number)


def _tidied(unused: Collection[str], token: str, dropped: Collection[str]) -> int:
    """Remove what the new release does not need; how many lessons.

    Readers have the release already: what cannot be removed now is left to `collect`.
    """
    try:
        staging.drop_prepared(unused, token)
        return remove_unoffered_lessons(dropped) if dropped else 0
    except OSError as error:
        log.warning("tidying_left_to_collection", error=str(error))
        return 0


def take_switch_lock() -> SwitchLock:
    """Be the only one who changes what readers see, until the transaction ends."""
    SwitchLock.objects.get_or_create(pk=SwitchLock.ROW)
    return SwitchLock.objects.select_for_update().get(pk=SwitchLock.ROW)


def is_torn(lock: SwitchLock) -> bool:
    """Whether somebody died between changing the disk and writing it down.

    Only who holds the lock can tell: else somebody may be at it.
    """
    return staging.switches() != lock.switches


def begin_switch(lock: SwitchLock) -> None:
    """Say, on the disk first, that what readers see is about to change.

    The tables say so with the caller's commit. Whatever ends the caller in between is
    seen by `is_torn`.
    """
    lock.switches += 1
    staging.begin_switch(lock.switches)
    lock.save(update_fields=["switches", "newest_version"])


def _lock_for_switch(publication: Publication, release: Release) -> SwitchLock:
    """Be the only one who switches, and still the newest builder of this plan.

    Raises:
        SupersededError: a newer build has claimed the plan, or it was withdrawn.
        StaleSnapshotError: lesson files were deleted since the snapshot, or somebody
            died while changing what it saw.
    """
    lock = take_switch_lock()
    current = Publication.objects.select_for_update().filter(pk=publication.pk).first()
    if current is None:
        raise SupersededError("the plan was withdrawn")
    if current.fence != publication.fence:
        raise SupersededError(
            f"build {current.fence} is newer than {publication.fence}"
        )
    if lock.removals != release.removals:
        raise StaleSnapshotError("lesson files were deleted meanwhile")
    if is_torn(lock):
        raise StaleSnapshotError("a build died while it put its files in place")
    publication.generation = current.generation
    return lock


def _still_newest(changes_of: Mapping[str, Sealed]) -> dict[str, Sealed]:
    """The lessons to replace: not those another plan's build has renewed meanwhile.

    A topic may name an older version than the lesson file has, never a newer one, and
    a file's version only grows.

    Raises:
        StaleSnapshotError: neither can be kept with what this build made.
    """
    rows = PublishedDocument.objects.filter(lesson_id__gt="").in_bulk(
        list(changes_of), field_name="path"
    )
    replaced = {}
    for path, document in changes_of.items():
        ours, theirs = document.record, rows.get(path)
        if theirs is not None:
            same = theirs.fingerprint == ours.fingerprint
            if theirs.source_revision > ours.source_revision and not same:
                if theirs.version < ours.version:
                    raise StaleSnapshotError(path)
                continue
            if not same and theirs.version >= ours.version:
                raise StaleSnapshotError(path)
            if same and theirs.version > ours.version:
                continue
        replaced[path] = document
    return replaced


def _record_release(
    publication: Publication,
    release: Release,
    written: Sequence[Sealed],
    *,
    now: datetime,
) -> tuple[set[str], set[str]]:
    """Write down what readers now see, in the transaction that holds the locks.

    Returns:
        As `record_offers`.
    """
    PublishedDocument.objects.filter(path__in=release.gone).delete()
    upsert_documents(
        PublishedDocument(
            path=document.path,
            lesson_id=(lesson_id := locations.lesson_id_of(document.path) or ""),
            publication=None if lesson_id else publication,
            fingerprint=document.record.fingerprint,
            version=document.record.version,
            sha256=document.record.sha256,
            size=document.record.size,
            signed_until=document.record.signed_until,
            source_revision=document.record.source_revision,
        )
        for document in written
    )
    flipped: set[str] = set()
    dropped: set[str] = set()
    if release.offers is not None:
        flipped, dropped = record_offers(publication, release.offers)
    publication.built_from = release.built_from
    publication.switching = publication.rolled_back_at = None
    if written or release.gone:
        publication.published_at = now
    publication.save(
        update_fields=[
            "generation",
            "switching",
            "built_from",
            "published_at",
            "rolled_back_at",
        ]
    )
    # Whether a lesson is gated stands in the topics of every plan that has it.
    AcademicPlan.touch(changes.plans_with_lessons(flipped, besides=publication))
    return flipped, dropped


_DOCUMENT_COLUMNS = (
    "path",
    "lesson_id",
    "publication_id",
    "fingerprint",
    "version",
    "sha256",
    "size",
    "signed_until",
    "source_revision",
)


def upsert_documents(documents: Iterable[PublishedDocument]) -> None:
    """Write down these files as they are now."""
    values = attrgetter(*_DOCUMENT_COLUMNS)
    upsert(
        PublishedDocument,
        _DOCUMENT_COLUMNS,
        [values(document) for document in documents],
        key=("path",),
    )


def record_offers(
    publication: Publication, offers: Mapping[str, bool]
) -> tuple[set[str], set[str]]:
    """Replace the plan's offers. Lessons that become gated are so from here on.

    Returns:
        The lessons that thereby became gated or stopped being so, for other plans to
        know and for `settle_gates` after the commit; and those this plan no longer
        offers.
    """
    before = dict(publication.lesson_offers.values_list("lesson_id", "is_open"))
    differing = {
        lesson_id
        for lesson_id in before.keys() | offers.keys()
        if before.get(lesson_id) != offers.get(lesson_id)
    }
    if not differing:
        return set(), set()
    publication.lesson_offers.filter(lesson_id__in=before.keys() - offers).delete()
    upsert(
        LessonOffer,
        ("publication_id", "lesson_id", "is_open"),
        [(publication.pk, key, offers[key]) for key in offers if key in differing],
        key=("publication_id", "lesson_id"),
    )
    turned = {
        lesson_id
        for lesson_id in differing
        if before.get(lesson_id, False) != offers.get(lesson_id, False)
    }
    open_elsewhere = set(
        LessonOffer.objects.filter(lesson_id__in=turned, is_open=True)
        .exclude(publication=publication)
        .values_list("lesson_id", flat=True)
    )
    flipped = turned - open_elsewhere
    gates.shut(lesson_id for lesson_id in flipped if not offers.get(lesson_id))
    return flipped, before.keys() - offers.keys()


def settle_gates(among: Collection[str] | None = None) -> tuple[int, int]:
    """Make the disk say of lessons what the tables say: open, or gated.

    Called after the commit that opened some, and every minute for all: whoever died in
    between left a lesson that asks for a token it no longer needs.

    Args:
        among: look at these lessons only; None looks at all.

    Returns:
        How many were opened and how many shut.
    """
    with transaction.atomic():
        lock = take_switch_lock()
        offered = gates.offered_openly(among)
        there = gates.opened()
        if among is not None:
            there &= set(among)
        # Of a release the tables do not know yet, nothing is opened.
        late = set() if is_torn(lock) else offered - there
        gates.shut(there - offered)
        gates.open_up(late)
    return len(late), len(there - offered)


def settle_gates_or_later(among: Collection[str] | None = None) -> None:
    """`settle_gates`, where the work it follows is done whatever becomes of it."""
    try:
        settle_gates(among)
    except (OSError, DatabaseError) as error:
        log.warning("gates_left_to_watch", error=str(error))


def resign_lessons(
    made: Mapping[str, bytes],
    read: Mapping[str, PublishedDocument],
    *,
    signed_until: int,
    token: str,
) -> int:
    """Replace lesson files by the same ones with new signatures, by path.

    Versions, times and ``.prev`` files stay. A file that a build has replaced since it
    was ``read`` is left alone.

    Args:
        token: the caller's own, as for `staging.prepare_lessons`.

    Returns:
        How many were replaced.
    """
    try:
        staging.prepare_lessons(made, token)
        with transaction.atomic():
            lock = take_switch_lock()
            if is_torn(lock):
                return 0
            rows = PublishedDocument.objects.in_bulk(list(made), field_name="path")
            replaced = [
                row for path, row in rows.items() if row.sha256 == read[path].sha256
            ]
            if not replaced:
                return 0
            begin_switch(lock)
            paths = [row.path for row in replaced]
            staging.replace_lessons(paths, token, keep_previous=False)
            for row in replaced:
                row.sha256 = encoding.sha256(made[row.path])
                row.size = len(made[row.path])
                row.signed_until = signed_until
            PublishedDocument.objects.bulk_update(
                replaced, ["sha256", "size", "signed_until"], batch_size=100
            )
        return len(replaced)
    finally:
        with suppress(OSError):
            staging.drop_prepared(made, token)


def remove_unoffered_lessons(among: Collection[str] | None = None) -> int:
    """Delete the files of lessons that no release offers any more.

    Args:
        among: look at these lessons only; None looks at all.

    Returns:
        How many were deleted. A death halfway leaves the record of those still there,
        and the next call goes on.
    """
    unoffered = PublishedDocument.objects.filter(lesson_id__gt="").filter(
        ~Exists(LessonOffer.objects.filter(lesson_id=OuterRef("lesson_id")))
    )
    if among is not None:
        unoffered = unoffered.filter(lesson_id__in=among)
    with transaction.atomic():
        lock = take_switch_lock()
        if is_torn(lock):
            # The tables do not know yet what some release offers.
            return 0
        doomed = dict(unoffered.values_list("pk", "path"))
        if doomed:
            begin_switch(lock)
            lock.removals += 1
            lock.save(update_fields=["removals"])
        for path in doomed.values():
            staging.remove_lesson(path)
        PublishedDocument.objects.filter(pk__in=doomed).delete()
    return len(doomed)


def withdraw(publication_pk: int) -> None:
    """Take away the release of a plan that is deleted or no longer published.

    Idempotent; a death halfway leaves the publication, and the next sweep goes on.
    """
    with transaction.atomic():
        lock = take_switch_lock()
        publication = (
            Publication.objects.select_for_update()
            .filter(pk=publication_pk)
            .exclude(plan__is_published=True)
            .first()
        )
        if publication is None:
            return
        flipped, dropped = record_offers(publication, {})
        AcademicPlan.touch(changes.plans_with_lessons(flipped, besides=publication))
        if not is_torn(lock):
            begin_switch(lock)
        staging.withdraw_plan(publication.plan_public_id)
        publication.delete()
    removed = remove_unoffered_lessons(dropped)
    log.info("plan_withdrawn", plan=publication.plan_public_id, lessons_removed=removed)


def distrust(publication_pks: Collection[int]) -> None:
    """Have these plans rebuilt in full, every file compared with the disk.

    A build under way gives up: what it read may be what is wrong.
    """
    with transaction.atomic():
        publications = Publication.objects.select_for_update().order_by("pk")
        for publication in publications.filter(pk__in=publication_pks):
            publication.fence += 1
            publication.switching = publication.fence
            publication.built_from = {}
            publication.save(update_fields=["fence", "switching", "built_from"])


def end_rollback(plan_pk: int) -> None:
    """Let a plan that was rolled back be built again: somebody publishes it."""
    Publication.objects.filter(plan_id=plan_pk, rolled_back_at__isnull=False).update(
        built_from={}
    )


def _drop_releases_without_plan() -> None:
    """Delete what a withdrawal, or a build overtaken by one, left on the disk.

    Not a release of which a restored database has forgotten: its plan is built anew.
    """
    # Looked for first: a plan is in the tables before anything of it is on the disk.
    there = staging.plans_on_disk()
    known = set(Publication.objects.values_list("plan_public_id", flat=True))
    known |= set(
        AcademicPlan.objects.filter(is_published=True).values_list(
            "public_id", flat=True
        )
    )
    for plan_id in there - known:
        staging.withdraw_plan(plan_id)


def collect() -> dict[str, list[int]]:
    """Delete what no reader needs: old generations, leftovers, unoffered lessons.

    Returns:
        The generations deleted, by plan id.
    """
    keep = PublishingSettings.get_solo().kept_generations
    collected = {}
    _drop_releases_without_plan()
    for plan_id in Publication.objects.values_list("plan_public_id", flat=True):
        if deleted := staging.collect(plan_id, keep=keep):
            collected[plan_id] = deleted
    staging.collect_lessons()
    remove_unoffered_lessons()
    return collected
