"""Putting a release in front of readers.

Everything here that changes what readers see happens under one lock, in the order that
keeps every link whole: lessons first, then the plan's directory by one rename, then the
tables. Each change is numbered, on the disk before it begins and in the tables with
it, so a death in between is seen by whoever comes next (`publishing.storage.recovery`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import structlog
from django.db import DatabaseError, transaction

from core.upsert import upsert
from publishing import staleness
from publishing.format import encoding, locations
from publishing.format.versioning import BuiltDocument, Record
from publishing.models import (
    LessonOffer,
    Publication,
    PublishedDocument,
    SwitchLock,
)
from publishing.storage import file_store, open_lessons

log = structlog.get_logger(__name__)

_AT_ONCE = 500


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
    ``confirmed`` those that do not but were made of something newer, ``kept`` the paths
    of plan files that stay as they are, ``gone`` of those that do not. ``offers`` are
    the plan's lessons, id to "offered openly"; None: as before.
    """

    plan_id: str
    documents: Mapping[str, BuiltDocument]
    to_write: Mapping[str, BuiltDocument]
    confirmed: Mapping[str, BuiltDocument]
    kept: Collection[str]
    gone: Collection[str]
    offers: Mapping[str, bool] | None
    built_from: staleness.Sources
    removals: int


def stage_and_switch(
    publication: Publication, release: Release, *, now: datetime
) -> Outcome:
    """Write beside the release, then replace it in one step under the switch lock.

    Raises:
        SupersededError, StaleSnapshotError, OSError: readers still have the old one.
    """
    plan_id, number = release.plan_id, publication.fence
    plan_changes: dict[str, BuiltDocument] = {}
    lesson_changes: dict[str, BuiltDocument] = {}
    for path, document in release.to_write.items():
        group = lesson_changes if document.schema == "lesson" else plan_changes
        group[path] = document
    token = f"{plan_id}.{number}"
    try:
        file_store.prepare_lessons(
            {path: doc.data for path, doc in lesson_changes.items()}, token
        )
        if plan_changes or release.gone:
            file_store.write_generation(
                plan_id=plan_id,
                number=number,
                written={path: doc.data for path, doc in plan_changes.items()},
                versions={p: doc.record.version for p, doc in plan_changes.items()},
                kept=release.kept,
                previous=file_store.current_generation(plan_id),
            )
        with transaction.atomic():
            lock = _lock_for_switch(publication, release)
            newest = _still_newest({**lesson_changes, **release.confirmed})
            replaced = {
                path: document
                for path, document in newest.items()
                if path in lesson_changes
            }
            confirmed = [newest[path] for path in newest.keys() - replaced.keys()]
            if release.to_write or release.gone:
                versions = [doc.record.version for doc in release.to_write.values()]
                lock.newest_version = max([lock.newest_version, *versions])
                begin_switch(lock)
            file_store.replace_lessons(
                {path: doc.record.version for path, doc in replaced.items()}, token
            )
            if plan_changes or release.gone:
                file_store.switch(plan_id, number)
                publication.generation = number
            written = [*replaced.values(), *plan_changes.values()]
            upsert_documents(map(_row, confirmed))
            flipped = _record_release(publication, release, written, now=now)
    except BaseException:
        _drop_unfinished(publication, lesson_changes, token)
        raise
    if flipped:
        reconcile_open_lessons_quietly(flipped)
    with suppress(OSError):  # it waits for `publishing.storage.cleanup`
        file_store.drop_prepared(lesson_changes.keys() - replaced.keys(), token)
    return Outcome(
        generation=publication.generation,
        written=len(written),
        unchanged=len(release.documents) - len(written),
        removed=len(release.gone),
    )


def _drop_unfinished(
    publication: Publication, lessons: Collection[str], token: str
) -> None:
    """Remove what a failed build wrote: a full disk needs the space.

    What cannot be removed waits for `publishing.storage.cleanup`; the failure's own
    reason comes first.
    """
    plan_id, number = publication.plan_public_id, publication.fence
    with suppress(OSError):
        file_store.drop_prepared(lessons, token)
        file_store.drop_generation(plan_id, number)


def take_switch_lock() -> SwitchLock:
    """Be the only one who changes what readers see, until the transaction ends."""
    SwitchLock.objects.get_or_create(pk=SwitchLock.ROW)
    return SwitchLock.objects.select_for_update().get(pk=SwitchLock.ROW)


def has_incomplete_switch(lock: SwitchLock) -> bool:
    """Whether somebody died between changing the disk and writing it down.

    Only who holds the lock can tell: else somebody may be at it.
    """
    return file_store.switches() != lock.switches


def begin_switch(lock: SwitchLock) -> None:
    """Say, on the disk first, that what readers see is about to change.

    The tables say so with the caller's commit. Whatever ends the caller in between is
    seen by `has_incomplete_switch`.
    """
    lock.switches += 1
    file_store.begin_switch(lock.switches)
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
    if has_incomplete_switch(lock):
        raise StaleSnapshotError("a build died while it put its files in place")
    publication.generation = current.generation
    return lock


def _still_newest(changes_of: Mapping[str, BuiltDocument]) -> dict[str, BuiltDocument]:
    """The lessons to replace: not those another plan's build has renewed meanwhile.

    A topic may name an older version than the lesson file has, never a newer one, and
    a file's version only grows.

    Raises:
        StaleSnapshotError: neither can be kept with what this build made.
    """
    rows = _lesson_rows(list(changes_of))
    replaced = {}
    for path, document in changes_of.items():
        ours, before, theirs = document.record, document.before, rows.get(path)
        if theirs is not None and (before is None or not theirs.is_of(before)):
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


class _LessonRow(NamedTuple):
    """What the tables say of a lesson's file, as far as two builds can differ on it."""

    fingerprint: str
    version: int
    source_revision: int

    def is_of(self, record: Record) -> bool:
        """Whether nobody has renewed it since ``record`` was read."""
        return self == (record.fingerprint, record.version, record.source_revision)


def _lesson_rows(paths: Sequence[str]) -> dict[str, _LessonRow]:
    """Those of these lessons that are published; a query per 500."""
    found = {}
    for start in range(0, len(paths), _AT_ONCE):
        rows = PublishedDocument.objects.filter(
            path__in=paths[start : start + _AT_ONCE]
        )
        for path, *fields in rows.values_list("path", *_LessonRow._fields):
            found[path] = _LessonRow._make(fields)
    return found


def _record_release(
    publication: Publication,
    release: Release,
    written: Sequence[BuiltDocument],
    *,
    now: datetime,
) -> set[str]:
    """Write down what readers now see, in the transaction that holds the locks.

    Returns:
        As `record_offers`.
    """
    PublishedDocument.objects.filter(path__in=release.gone).delete()
    upsert_documents(_row(document, publication) for document in written)
    flipped: set[str] = set()
    if release.offers is not None:
        flipped = record_offers(publication, release.offers)
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
    staleness.lessons_flipped(flipped, besides=publication)
    return flipped


class DocumentRow(NamedTuple):
    """A row of `PublishedDocument`, without the cost of an instance."""

    path: str
    lesson_id: str
    publication_id: int | None
    fingerprint: str
    version: int
    sha256: str
    size: int
    signed_until: int | None = None
    source_revision: int = 0
    source: str = ""


def _row(
    document: BuiltDocument, publication: Publication | None = None
) -> DocumentRow:
    path, record = document.path, document.record
    lesson_id = locations.lesson_id_of(path) or ""
    return DocumentRow(
        path,
        lesson_id,
        None if lesson_id or publication is None else publication.pk,
        *(record.fingerprint, record.version, record.sha256, record.size),
        *(record.signed_until, record.source_revision, record.source),
    )


def upsert_documents(rows: Iterable[DocumentRow]) -> None:
    """Write down these files as they are now."""
    upsert(PublishedDocument, DocumentRow._fields, rows, key=("path",))


def record_offers(publication: Publication, offers: Mapping[str, bool]) -> set[str]:
    """Replace the plan's offers. Lessons that become gated are so from here on.

    Returns:
        The lessons that thereby became gated or stopped being so, for other plans to
        know and for `reconcile_open_lessons` after the commit.
    """
    before = dict(publication.lesson_offers.values_list("lesson_id", "is_open"))
    differing = {
        lesson_id
        for lesson_id in before.keys() | offers.keys()
        if before.get(lesson_id) != offers.get(lesson_id)
    }
    if not differing:
        return set()
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
    open_lessons.close_lesson(
        lesson_id for lesson_id in flipped if not offers.get(lesson_id)
    )
    return flipped


def reconcile_open_lessons(among: Collection[str] | None = None) -> tuple[int, int]:
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
        offered = open_lessons.offered_openly(among)
        there = open_lessons.opened()
        if among is not None:
            there &= set(among)
        # Of a release the tables do not know yet, nothing is opened.
        late = set() if has_incomplete_switch(lock) else offered - there
        open_lessons.close_lesson(there - offered)
        open_lessons.open_lesson(late)
    return len(late), len(there - offered)


def reconcile_open_lessons_quietly(among: Collection[str] | None = None) -> None:
    """`reconcile_open_lessons`, where the work it follows is done whatever becomes of it."""
    try:
        reconcile_open_lessons(among)
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
        file_store.prepare_lessons(made, token)
        with transaction.atomic():
            lock = take_switch_lock()
            if has_incomplete_switch(lock):
                return 0
            rows = PublishedDocument.objects.in_bulk(list(made), field_name="path")
            replaced = [
                row for path, row in rows.items() if row.sha256 == read[path].sha256
            ]
            if not replaced:
                return 0
            begin_switch(lock)
            versions = {row.path: row.version for row in replaced}
            file_store.replace_lessons(versions, token, keep_previous=False)
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
            file_store.drop_prepared(made, token)


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
