"""Compute which files the CDN should have, and how its recorded state differs.

The CDN should have every file of every release: open lessons in the public target,
gated ones in the private target or nowhere (docs/architecture.md, "Uploads"). This
module reads the database only and sends nothing to the CDN.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from core.db import consistent_read
from publishing.cdn.backends.base import Target
from publishing.cdn.backends.storage import Targets
from publishing.format import locations
from publishing.models import (
    PlanLesson,
    Publication,
    PublishedDocument,
    ReleaseCounters,
    UploadedDocument,
)

_LESSONS, _LEAVES, _INDEXES, _MANIFEST = LAYERS = range(4)
"""Upload in this order and delete in reverse, so no file links to a missing one."""
_OTHER_ENCODING = "otherwise"


def layer_of(path: str) -> int:
    """Return the upload layer of a file: all its links lead to earlier layers."""
    if locations.lesson_id_of(path) is not None:
        return _LESSONS
    if path.endswith("/manifest.json"):
        return _MANIFEST
    if path.endswith(("_h.json", "/search_index.json")):
        return _INDEXES
    return _LEAVES


@dataclass(frozen=True, slots=True)
class DesiredFile:
    """A file that the CDN should have; ``source`` is its path on the local disk."""

    path: str
    sha256: str
    source: str
    target: Target


@dataclass(slots=True)
class DesiredFiles:
    """The files the CDN should have at one moment, and the recorded state of each.

    ``switch_number`` is the number of switches up to that moment. ``held`` maps target id and
    path to the recorded hash: "" if the outcome of an upload is unknown,
    `_OTHER_ENCODING` if the file is compressed and should not be, or the reverse.
    """

    switch_number: int
    files: list[DesiredFile] = field(default_factory=list)
    held: dict[tuple[str, str], str] = field(default_factory=dict)

    def layers(self) -> Iterator[list[DesiredFile]]:
        """Yield the files by layer, in the order of upload."""
        sorted_out: list[list[DesiredFile]] = [[] for _layer in LAYERS]
        for file in self.files:
            sorted_out[layer_of(file.path)].append(file)
        yield from sorted_out

    def is_there(self, file: DesiredFile) -> bool:
        return self.held.get((file.target.id, file.path)) == file.sha256

    def is_doubtful(self, file: DesiredFile) -> bool:
        """Whether an upload was started whose outcome is unknown."""
        return self.held.get((file.target.id, file.path)) == ""


def of_release(publication_pk: int, targets: Targets) -> DesiredFiles:
    """Return the files of one plan's release with its lessons; none if withdrawn."""
    with consistent_read():
        publication = Publication.objects.filter(pk=publication_pk).first()
        found = DesiredFiles(_switch_number())
        if publication is None or publication.generation is None:
            return found
        plan_lessons = PlanLesson.objects.filter(publication=publication)
        rows = PublishedDocument.objects.filter(
            Q(publication=publication)
            | Q(lesson_id__in=plan_lessons.values("lesson_id"))
        )
        folder = f"{locations.plan_folder(publication.plan_public_id)}/"
        under = Q(path__startswith=folder) | Q(path__startswith="lessons/")
        _fill(found, rows, under, targets)
    return found


def of_everything(targets: Targets) -> DesiredFiles:
    """Return every file of every release."""
    with consistent_read():
        found = DesiredFiles(_switch_number())
        plan_lessons = PlanLesson.objects.values("lesson_id")
        rows = PublishedDocument.objects.filter(
            Q(lesson_id="") | Q(lesson_id__in=plan_lessons)
        )
        _fill(found, rows, Q(), targets)
    return found


def _fill(
    found: DesiredFiles,
    rows: QuerySet[PublishedDocument],
    under: Q,
    targets: Targets,
) -> None:
    open_lessons = _open_lessons()
    for path, digest, lesson_id, plan_id, generation in rows.values_list(
        "path",
        "sha256",
        "lesson_id",
        "publication__plan_public_id",
        "publication__generation",
    ):
        target: Target | None = targets.public
        source = path
        if lesson_id:
            target = targets.public if lesson_id in open_lessons else targets.private
        else:
            name = path.removeprefix(f"{locations.plan_folder(plan_id)}/")
            source = f"{locations.GENERATIONS}/{plan_id}/{generation}/{name}"
        if target is not None:
            found.files.append(DesiredFile(path, digest, source, target))
    compresses = {target.id: target.compresses for target in targets.all()}
    uploaded = UploadedDocument.objects.filter(under, target__in=list(compresses))
    for place, path, digest, gzipped in uploaded.values_list(
        "target", "path", "sha256", "gzipped"
    ):
        is_as_desired = not digest or gzipped == compresses[place]
        found.held[place, path] = digest if is_as_desired else _OTHER_ENCODING


def _switch_number() -> int:
    rows = ReleaseCounters.objects.filter(pk=ReleaseCounters.ROW)
    return rows.values_list("switches", flat=True).first() or 0


def _open_lessons() -> set[str]:
    plan_lessons = PlanLesson.objects.filter(is_open=True)
    return set(plan_lessons.values_list("lesson_id", flat=True).distinct())


def gated_paths() -> set[str]:
    """Return the paths of offered lessons that no plan offers openly."""
    rows = PublishedDocument.objects.filter(lesson_id__gt="")
    opened = PlanLesson.objects.filter(is_open=True).values("lesson_id")
    return set(rows.exclude(lesson_id__in=opened).values_list("path", flat=True))


def out_of_sync(targets: Targets) -> set[int]:
    """Return publications with files missing on the CDN or not purged. 4 queries."""
    found: set[int] = set()
    plan_files = PublishedDocument.objects.filter(
        publication__generation__isnull=False
    ).exclude(_uploaded(targets.public))
    found |= set(plan_files.values_list("publication_id", flat=True).distinct())
    lessons = PublishedDocument.objects.filter(lesson_id__gt="")
    opened = PlanLesson.objects.filter(is_open=True).values("lesson_id")
    incomplete = [
        lessons.filter(lesson_id__in=opened).exclude(_uploaded(targets.public))
    ]
    if targets.private is not None:
        gated = lessons.exclude(lesson_id__in=opened)
        incomplete.append(gated.exclude(_uploaded(targets.private, is_cached=False)))
    for rows in incomplete:
        offering = PlanLesson.objects.filter(lesson_id__in=rows.values("lesson_id"))
        found |= set(offering.values_list("publication_id", flat=True).distinct())
    return found


def _uploaded(target: Target, *, is_cached: bool = True) -> Exists:
    """Match documents that ``target`` holds; with ``is_cached``, also purged.

    The private target has no cache, so nothing there needs a purge.
    """
    rows = UploadedDocument.objects.filter(
        target=target.id,
        path=OuterRef("path"),
        sha256=OuterRef("sha256"),
        gzipped=target.compresses,
    )
    return Exists(rows.filter(purge=False) if is_cached else rows)


@dataclass(frozen=True, slots=True)
class ObsoleteFiles:
    """Files to delete from the CDN, as of one switch number; manifests first."""

    switch_number: int
    paths: list[tuple[Target, list[str]]]


def to_delete(targets: Targets) -> ObsoleteFiles:
    """Return the files that can be deleted now.

    - A plan's obsolete files: when its current release is complete on the CDN, or the
      plan has no release.
    - A lesson that no plan offers: when every release is complete on the CDN, because
      an older one may link to it.
    - A lesson that became gated: from the public target at once, whatever else fails.
    """
    with consistent_read():
        switch_number = _switch_number()
        outdated = out_of_sync(targets)
        late_plans = set(
            Publication.objects.filter(pk__in=outdated).values_list(
                "plan_public_id", flat=True
            )
        )
        paths = []
        for target in targets.all():
            obsolete = [
                path
                for path in _obsolete_plan_files(target)
                if path.split("/")[1] not in late_plans
            ]
            obsolete += _obsolete_lessons(targets, target, all_complete=not outdated)
            obsolete.sort(key=lambda path: (-layer_of(path), path))
            if obsolete:
                paths.append((target, obsolete))
    return ObsoleteFiles(switch_number, paths)


def _obsolete_plan_files(target: Target) -> list[str]:
    uploaded = UploadedDocument.objects.filter(
        target=target.id, path__startswith="plans/"
    )
    published = PublishedDocument.objects.filter(path=OuterRef("path"))
    return list(uploaded.exclude(Exists(published)).values_list("path", flat=True))


def _obsolete_lessons(
    targets: Targets, target: Target, *, all_complete: bool
) -> list[str]:
    uploaded = UploadedDocument.objects.filter(
        target=target.id, path__startswith="lessons/"
    )
    plan_lessons: Any = PlanLesson.objects.values("lesson_id")
    opened: Any = PlanLesson.objects.filter(is_open=True).values("lesson_id")
    document = PublishedDocument.objects.filter(path=OuterRef("path"))
    is_open = Exists(document.filter(lesson_id__in=opened))
    is_offered = Exists(document.filter(lesson_id__in=plan_lessons))
    if target.id == targets.public.id:
        obsolete = uploaded.exclude(is_open)
        if not all_complete:
            obsolete = obsolete.filter(is_offered)
    else:
        obsolete = (
            uploaded.filter(is_open | ~is_offered) if all_complete else uploaded.none()
        )
    return list(obsolete.values_list("path", flat=True))
