"""Switch readers to a new release.

Every change of what readers see happens under one lock, in an order that keeps every
link valid: lessons first, then the plan's directory by one rename, then the tables.
Each change has a number, written to disk before it begins and to the tables with it. A
process that stops in between is therefore detected later
(`publishing.storage.recovery`). See docs/architecture.md, "Releases".
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
    PlanLesson,
    Publication,
    PublishedDocument,
    ReleaseCounters,
)
from publishing.storage import file_store, open_lessons

log = structlog.get_logger(__name__)

_BATCH_SIZE = 500


class SupersededError(Exception):
    """A newer build has claimed the plan and will publish its sources."""


class StaleSnapshotError(Exception):
    """Shared lessons changed since the snapshot was read: read a new snapshot."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a build did; ``generation`` is the one that readers now see."""

    generation: int | None
    written: int
    unchanged: int
    removed: int


@dataclass(frozen=True, slots=True)
class Release:
    """The release that a build has made.

    ``documents`` are all documents made, ``to_write`` those that differ from the disk,
    and ``confirmed`` unchanged lessons whose record has changed. ``kept`` are the paths
    of plan files that stay, ``gone`` of those to remove. ``plan_lessons`` are the
    lessons, id to "offered openly"; None: unchanged.
    """

    plan_id: str
    documents: Mapping[str, BuiltDocument]
    to_write: Mapping[str, BuiltDocument]
    confirmed: Mapping[str, BuiltDocument]
    kept: Collection[str]
    gone: Collection[str]
    plan_lessons: Mapping[str, bool] | None
    built_from: staleness.Sources
    removals: int

    @property
    def size(self) -> int:
        """The number of bytes to write."""
        return sum(len(document.data) for document in self.to_write.values())


def stage_and_switch(
    publication: Publication, release: Release, *, now: datetime
) -> Outcome:
    """Write a generation beside the current one, then switch under the switch lock.

    Raises:
        SupersededError, StaleSnapshotError, OSError: readers still see the old release.
    """
    plan_id, number = release.plan_id, publication.build_number
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
            counters = _lock_for_switch(publication, release)
            newest = _still_newest({**lesson_changes, **release.confirmed})
            replaced = {
                path: document
                for path, document in newest.items()
                if path in lesson_changes
            }
            confirmed = [newest[path] for path in newest.keys() - replaced.keys()]
            if release.to_write or release.gone:
                versions = [doc.record.version for doc in release.to_write.values()]
                counters.newest_version = max([counters.newest_version, *versions])
                begin_switch(counters)
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
    with suppress(OSError):  # `publishing.storage.cleanup` removes it later
        file_store.delete_prepared(lesson_changes.keys() - replaced.keys(), token)
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

    `publishing.storage.cleanup` removes later what cannot be removed now. The error of
    the build itself is the one reported.
    """
    plan_id, number = publication.plan_public_id, publication.build_number
    with suppress(OSError):
        file_store.delete_prepared(lessons, token)
        file_store.delete_generation(plan_id, number)


def take_switch_lock() -> ReleaseCounters:
    """Take the lock on changes of what readers see, until the transaction ends.

    Returns:
        The locked row.
    """
    ReleaseCounters.objects.get_or_create(pk=ReleaseCounters.ROW)
    return ReleaseCounters.objects.select_for_update().get(pk=ReleaseCounters.ROW)


def has_incomplete_switch(counters: ReleaseCounters) -> bool:
    """Return whether a process stopped between changing the disk and the commit.

    Only the holder of the switch lock can tell; without it, a switch may be in progress.
    """
    return file_store.switches() != counters.switches


def begin_switch(counters: ReleaseCounters) -> None:
    """Record a change of what readers see before it begins, on disk first.

    The tables record it with the caller's commit. If the caller stops in between,
    `has_incomplete_switch` detects it.
    """
    counters.switches += 1
    file_store.begin_switch(counters.switches)
    counters.save(update_fields=["switches", "newest_version"])


def _lock_for_switch(publication: Publication, release: Release) -> ReleaseCounters:
    """Take the switch lock, and check that this is still the plan's newest build.

    Raises:
        SupersededError: a newer build has claimed the plan, or it was withdrawn.
        StaleSnapshotError: lesson files were deleted since the snapshot, or a switch
            is incomplete.
    """
    counters = take_switch_lock()
    current = Publication.objects.select_for_update().filter(pk=publication.pk).first()
    if current is None:
        raise SupersededError("the plan was withdrawn")
    if current.build_number != publication.build_number:
        raise SupersededError(
            f"build {current.build_number} is newer than {publication.build_number}"
        )
    if counters.removals != release.removals:
        raise StaleSnapshotError("lesson files were deleted meanwhile")
    if has_incomplete_switch(counters):
        raise StaleSnapshotError("a build died while it put its files in place")
    publication.generation = current.generation
    return counters


def _still_newest(changes_of: Mapping[str, BuiltDocument]) -> dict[str, BuiltDocument]:
    """Return the lessons to replace, without those another plan's build has renewed.

    A topic may name an older version than the lesson file has, never a newer one, and
    a file's version only grows.

    Raises:
        StaleSnapshotError: neither version is compatible with this build's documents.
    """
    rows = _lesson_rows(list(changes_of))
    replaced = {}
    for path, document in changes_of.items():
        built, before, stored = document.record, document.before, rows.get(path)
        if stored is not None and (before is None or not stored.is_of(before)):
            same = stored.fingerprint == built.fingerprint
            if stored.source_revision > built.source_revision and not same:
                if stored.version < built.version:
                    raise StaleSnapshotError(path)
                continue
            if not same and stored.version >= built.version:
                raise StaleSnapshotError(path)
            if same and stored.version > built.version:
                continue
        replaced[path] = document
    return replaced


class _LessonRow(NamedTuple):
    """The fields of a lesson file's record in which two builds can differ."""

    fingerprint: str
    version: int
    source_revision: int

    def is_of(self, record: Record) -> bool:
        """Return whether the file has not been renewed since ``record`` was read."""
        return self == (record.fingerprint, record.version, record.source_revision)


def _lesson_rows(paths: Sequence[str]) -> dict[str, _LessonRow]:
    """Return the records of these lessons, by path; one query per 500 paths."""
    found = {}
    for start in range(0, len(paths), _BATCH_SIZE):
        rows = PublishedDocument.objects.filter(
            path__in=paths[start : start + _BATCH_SIZE]
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
    """Record what readers now see, in the transaction that holds the locks.

    Returns:
        As `record_plan_lessons`.
    """
    PublishedDocument.objects.filter(path__in=release.gone).delete()
    upsert_documents(_row(document, publication) for document in written)
    flipped: set[str] = set()
    if release.plan_lessons is not None:
        flipped = record_plan_lessons(publication, release.plan_lessons)
    publication.built_from = release.built_from
    publication.needs_full_build_since = None
    if written or release.gone:
        publication.published_at = now
    publication.save(
        update_fields=[
            "generation",
            "needs_full_build_since",
            "built_from",
            "published_at",
        ]
    )
    staleness.mark_plans_for_rebuild(flipped, besides=publication)
    return flipped


class DocumentRow(NamedTuple):
    """A row of `PublishedDocument`, without the cost of a model instance."""

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
    review_items: str = ""
    search_words: str = ""


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
        *(record.review_items, record.search_words),
    )


def upsert_documents(rows: Iterable[DocumentRow]) -> None:
    """Insert or update the records of these files."""
    upsert(PublishedDocument, DocumentRow._fields, rows, key=("path",))


def record_plan_lessons(
    publication: Publication, lessons: Mapping[str, bool]
) -> set[str]:
    """Replace the plan's lessons. Those that become gated are closed on disk at once.

    Returns:
        The lessons that became gated or open by this. Plans that offer them need a
        build, and `reconcile_open_lessons` opens the open ones after the commit.
    """
    before = dict(publication.plan_lessons.values_list("lesson_id", "is_open"))
    differing = {
        lesson_id
        for lesson_id in before.keys() | lessons.keys()
        if before.get(lesson_id) != lessons.get(lesson_id)
    }
    if not differing:
        return set()
    publication.plan_lessons.filter(lesson_id__in=before.keys() - lessons).delete()
    upsert(
        PlanLesson,
        ("publication_id", "lesson_id", "is_open"),
        [(publication.pk, key, lessons[key]) for key in lessons if key in differing],
        key=("publication_id", "lesson_id"),
    )
    turned = {
        lesson_id
        for lesson_id in differing
        if before.get(lesson_id, False) != lessons.get(lesson_id, False)
    }
    open_elsewhere = set(
        PlanLesson.objects.filter(lesson_id__in=turned, is_open=True)
        .exclude(publication=publication)
        .values_list("lesson_id", flat=True)
    )
    flipped = turned - open_elsewhere
    open_lessons.close_lesson(
        lesson_id for lesson_id in flipped if not lessons.get(lesson_id)
    )
    return flipped


def reconcile_open_lessons(among: Collection[str] | None = None) -> tuple[int, int]:
    """Set the open lessons on disk to those in the tables.

    Called after a commit that opened lessons, and every minute for all: a process that
    stopped in between left an open lesson that still requires a token.

    Args:
        among: the lessons to check; None checks all.

    Returns:
        The number of lessons opened and the number closed.
    """
    with transaction.atomic():
        counters = take_switch_lock()
        offered = open_lessons.offered_openly(among)
        opened = open_lessons.opened()
        if among is not None:
            opened &= set(among)
        # Nothing is opened for a release that the tables do not record yet.
        to_open = set() if has_incomplete_switch(counters) else offered - opened
        open_lessons.close_lesson(opened - offered)
        open_lessons.open_lesson(to_open)
    return len(to_open), len(opened - offered)


def reconcile_open_lessons_quietly(among: Collection[str] | None = None) -> None:
    """Call `reconcile_open_lessons`; log a failure, as the caller's work is done."""
    try:
        reconcile_open_lessons(among)
    except (OSError, DatabaseError) as error:
        log.warning("gates_left_to_watch", error=str(error))


def replace_signatures(
    renewed: Mapping[str, bytes],
    read: Mapping[str, PublishedDocument],
    *,
    signed_until: int,
    token: str,
) -> int:
    """Replace lesson files with the same files with new signatures, by path.

    Versions, times and ``.prev`` files stay. A file that a build has replaced since it
    was ``read`` is not touched.

    Args:
        token: unique to the caller, as for `file_store.prepare_lessons`.

    Returns:
        The number of files replaced.
    """
    try:
        file_store.prepare_lessons(renewed, token)
        with transaction.atomic():
            counters = take_switch_lock()
            if has_incomplete_switch(counters):
                return 0
            rows = PublishedDocument.objects.in_bulk(list(renewed), field_name="path")
            replaced = [
                row for path, row in rows.items() if row.sha256 == read[path].sha256
            ]
            if not replaced:
                return 0
            begin_switch(counters)
            versions = {row.path: row.version for row in replaced}
            file_store.replace_lessons(versions, token, keep_previous=False)
            for row in replaced:
                row.sha256 = encoding.sha256(renewed[row.path])
                row.size = len(renewed[row.path])
                row.signed_until = signed_until
            PublishedDocument.objects.bulk_update(
                replaced, ["sha256", "size", "signed_until"], batch_size=100
            )
        return len(replaced)
    finally:
        with suppress(OSError):
            file_store.delete_prepared(renewed, token)


def mark_for_full_build(publication_pks: Collection[int]) -> None:
    """Mark these plans for a full build that compares every file with the disk.

    A build in progress gives up: it may have read the damaged files.
    """
    with transaction.atomic():
        publications = Publication.objects.select_for_update().order_by("pk")
        for publication in publications.filter(pk__in=publication_pks):
            publication.build_number += 1
            publication.needs_full_build_since = publication.build_number
            publication.built_from = {}
            publication.save(
                update_fields=["build_number", "needs_full_build_since", "built_from"]
            )
