"""Make a plan's release from a snapshot, in memory; nothing is written here."""

from collections.abc import Mapping, Set
from datetime import datetime
from urllib.parse import urljoin

from publishing.building.current_release import CurrentRelease
from publishing.building.snapshot import Snapshot
from publishing.content_urls import gated_lesson_url, local_base_url
from publishing.format import locations
from publishing.format.documents import DocumentMaker
from publishing.format.incremental import (
    ChangedSubject,
    ReleaseAssembler,
    UnreadableReleaseError,
)
from publishing.format.validation import validate_progress_bits
from publishing.format.versioning import BuiltDocument, DocumentVersioner
from publishing.models import PublishingSettings
from publishing.signing import links
from publishing.storage.activation import Release


def make(snapshot: Snapshot, *, now: datetime) -> Release:
    """Make the release of this snapshot.

    Raises:
        BitConflictError: two lessons share a progress bit.
        UnreadableReleaseError: a file that the release would reuse is missing or
            damaged.
    """
    old = CurrentRelease(snapshot.plan.id, snapshot.previous)
    _validate_progress_bits(snapshot, old)
    maker = _document_maker(snapshot, old, now=now)
    threshold = snapshot.settings.search_shard_threshold
    plan_lessons = ReleaseAssembler(maker, old, threshold).build(
        snapshot.subjects, same_trees=not snapshot.mode.changes_trees
    )
    documents = maker.versioner.documents
    made = {path for path, doc in documents.items() if doc.schema != "lesson"}
    files = snapshot.mode.plan_files(old, made=made, plan_lessons=plan_lessons)
    reused = _reused_lessons(snapshot, plan_lessons)
    to_write = _to_write(documents, reused, old)
    return Release(
        plan_id=snapshot.plan.id,
        documents=documents,
        to_write=to_write,
        confirmed=_confirmed(documents, to_write),
        kept=[path for path in files.kept if path not in to_write],
        gone=files.gone,
        plan_lessons=files.plan_lessons,
        built_from=snapshot.built_from,
        removals=snapshot.removals,
    )


def _validate_progress_bits(snapshot: Snapshot, old: CurrentRelease) -> None:
    """Refuse a progress bit that two lessons share, now or over time.

    See docs/architecture.md, "Progress bits".

    Raises:
        BitConflictError: names the subject's bitmap and both lessons.
    """
    for subject in snapshot.subjects:
        if isinstance(subject, ChangedSubject):
            path = locations.bitmap(snapshot.plan.id, subject.root.id)
            validate_progress_bits(path, subject.root, old.bits(path))


def _document_maker(
    snapshot: Snapshot, old: CurrentRelease, *, now: datetime
) -> DocumentMaker:
    settings, newest_version = snapshot.settings, snapshot.newest_version
    records = old.records
    if snapshot.mode.compares_with_disk:
        records = old.verified_records(newest_version=newest_version)
    return DocumentMaker(
        plan=snapshot.plan,
        links=SettingsLinks(
            settings, base_url=snapshot.built_from["settings"]["base_url"]
        ),
        versioner=DocumentVersioner(
            previous=records, now=int(now.timestamp()), newest_version=newest_version
        ),
        signer=links.video_signer(settings) if settings.embed_signed_urls else None,
        is_gated=lambda lesson_id: lesson_id not in snapshot.open_elsewhere,
        lesson_sources=snapshot.lesson_sources,
    )


def _reused_lessons(snapshot: Snapshot, plan_lessons: Mapping[str, bool]) -> set[str]:
    """Return the paths of the offered lessons whose files stay as they are."""
    return {
        locations.lesson(lesson_id)
        for subject in snapshot.subjects
        if isinstance(subject, ChangedSubject)
        for lesson_id in subject.reusable & plan_lessons.keys()
    }


def _to_write(
    documents: Mapping[str, BuiltDocument], reused: Set[str], old: CurrentRelease
) -> dict[str, BuiltDocument]:
    """Return the documents that have changed or whose file is missing.

    Raises:
        UnreadableReleaseError: the file of a reused lesson is missing.
    """
    missing = old.missing(documents.keys() | reused)
    if lost := missing & reused:
        raise UnreadableReleaseError(min(lost))
    return {
        path: document
        for path, document in documents.items()
        if document.changed or path in missing
    }


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
