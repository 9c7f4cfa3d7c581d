"""The checks of a health check: files, releases and orphaned files.

The tables are compared with the disk without a lock. Suspected faults are checked again
under the switch lock, so that a release switched in during the check is not reported.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from content.json_errors import path_text
from content.media import faults as media_faults
from content.models import LessonStage, Node
from content.stage_configs import (
    TYPES_WITH_ITEMS,
    repeated_item_fault,
    repeated_items,
)
from core.batches import batches
from core.errors import MemoraError
from publishing import staleness
from publishing.format import encoding, locations
from publishing.models import FaultKind, PlanLesson, Publication, PublishedDocument
from publishing.storage import activation, cleanup, file_store
from publishing.storage.link_check import Fault, read_release

log = structlog.get_logger(__name__)

Progress = Callable[[int, int], None]
"""Called with the number of finished files and the total."""

UNDER_LOCK = 200
"""How many files are checked again while switches are blocked."""
_BATCH_SIZE = 500


@dataclass(slots=True)
class Found:
    """One fault: its object, its reason, and the plans whose build would repair it."""

    kind: FaultKind
    what: str
    why: str
    plans: frozenset[int] = frozenset()
    repaired: bool = False


@dataclass(slots=True)
class Check:
    """The input and the results of one running check."""

    full: bool
    plans: frozenset[str]
    now: datetime
    progress: Progress
    found: list[Found] = field(default_factory=list)
    files_checked: int = 0

    def add(
        self, kind: FaultKind, what: str, why: str, plans: Iterable[int] = ()
    ) -> None:
        self.found.append(Found(kind, what, why, frozenset(plans)))

    @property
    def is_about_everything(self) -> bool:
        return not self.plans


# --- Incomplete switches --------------------------------------------------------------


def check_switch(current: Check) -> None:
    """Check for a switch that changed the disk but was never recorded."""
    with transaction.atomic():
        if activation.has_incomplete_switch(activation.take_switch_lock()):
            why = _(
                "a build stopped after it changed the disk and before it "
                "recorded the change"
            )
            current.add(FaultKind.INCOMPLETE_SWITCH, "", why)


# --- Files against their records ------------------------------------------------------


def check_files(current: Check) -> None:
    rows = _documents(current)
    total = len(rows)
    suspects = []
    for number, (path, digest) in enumerate(rows, start=1):
        if _file_fault(path, digest) is not None:
            suspects.append(path)
        if number % 100 == 0 or number == total:
            current.progress(number, total)
    current.files_checked = total
    for chunk in batches(suspects, UNDER_LOCK):
        with transaction.atomic():
            activation.take_switch_lock()
            faults = faulty(chunk)
            builders = _builders_of([row for row, _kind, _why in faults])
        for row, kind, why in faults:
            current.add(kind, row.path, why, builders[row.path])


def faulty(paths: Sequence[str]) -> list[tuple[PublishedDocument, FaultKind, str]]:
    """Return those recorded files that differ from their record. One query."""
    found = []
    for row in PublishedDocument.objects.filter(path__in=paths).order_by("path"):
        fault = _file_fault(row.path, row.sha256)
        if fault is not None:
            found.append((row, *fault))
    return found


def _documents(current: Check) -> Sequence[tuple[str, str]]:
    """Return the path and hash of every file to check.

    Files of plans to withdraw are left out because they may be deleted at any moment.
    Lessons that no plan offers are left out too: a rollback checks them.
    """
    rows = PublishedDocument.objects.exclude(publication__in=staleness.to_withdraw())
    rows = rows.exclude(pk__in=cleanup.unoffered_lessons())
    if current.plans:
        offered = PlanLesson.objects.filter(
            publication__plan_public_id__in=current.plans
        )
        rows = rows.filter(
            Q(publication__plan_public_id__in=current.plans)
            | Q(lesson_id__in=offered.values("lesson_id"))
        )
    if not current.full:
        # Sample the keys first, so that the database need not sort all rows.
        keys = list(rows.values_list("pk", flat=True))
        chosen = random.sample(keys, min(settings.HEALTH_SAMPLE_FILES, len(keys)))
        rows = PublishedDocument.objects.filter(pk__in=chosen)
    return list(rows.order_by("path").values_list("path", "sha256"))


def _file_fault(path: str, digest: str) -> tuple[FaultKind, str] | None:
    try:
        data = file_store.read(path)
        has_valid_copy = data is None or file_store.has_valid_compressed_copy(
            path, data
        )
    except OSError as error:
        return FaultKind.CORRUPT, _unreadable(error)
    if data is None:
        return FaultKind.MISSING, _("there is no such file")
    if encoding.sha256(data) != digest:
        return FaultKind.CORRUPT, _("its content does not match what was published")
    if not has_valid_copy:
        return FaultKind.CORRUPT, _("its compressed copy has different content")
    return None


def _unreadable(error: OSError) -> str:
    return _("it cannot be read: %(why)s") % {"why": error.strerror or error}


def _builders_of(rows: Sequence[PublishedDocument]) -> dict[str, set[int]]:
    """Return by path the publications whose build writes the file. One query."""
    lessons = {row.lesson_id: row.path for row in rows if row.lesson_id}
    builders = {row.path: {row.publication_id} - {None} for row in rows}
    plan_lessons = PlanLesson.objects.filter(lesson_id__in=lessons)
    for lesson_id, publication_pk in plan_lessons.values_list(
        "lesson_id", "publication_id"
    ):
        builders[lessons[lesson_id]].add(publication_pk)
    return {path: {pk for pk in found if pk} for path, found in builders.items()}


# --- Releases as a whole --------------------------------------------------------------


def check_releases(current: Check) -> None:
    publications = _publications(current)
    versions = lesson_versions()
    suspects = [
        publication
        for publication in publications
        if next(release_faults(publication, versions), None) is not None
    ]
    for publication in suspects:
        with transaction.atomic():
            activation.take_switch_lock()
            reloaded = Publication.objects.filter(pk=publication.pk).first()
            if reloaded is None:
                continue
            for kind, what, why in release_faults(reloaded):
                current.add(kind, what, why, [reloaded.pk])


def _publications(current: Check) -> list[Publication]:
    rows = Publication.objects.exclude(pk__in=staleness.to_withdraw()).order_by("pk")
    if current.plans:
        rows = rows.filter(plan_public_id__in=current.plans)
    found = list(rows)
    if current.full:
        return found
    return random.sample(found, min(settings.HEALTH_SAMPLE_PLANS, len(found)))


def lesson_versions() -> dict[str, int]:
    """Return the version of every lesson's file, by path."""
    rows = PublishedDocument.objects.filter(lesson_id__gt="")
    return dict(rows.values_list("path", "version"))


def release_faults(
    publication: Publication, versions: dict[str, int] | None = None
) -> Iterator[tuple[FaultKind, str, str]]:
    """Yield the faults of a release as a whole.

    Args:
        versions: the result of `lesson_versions`; None: query only this release's
        lessons.
    """
    plan_id = publication.plan_public_id
    try:
        number = file_store.current_generation(plan_id)
    except OSError as error:
        yield FaultKind.WRONG_GENERATION, plan_id, _unreadable(error)
        return
    if number != publication.generation:
        yield (
            FaultKind.WRONG_GENERATION,
            plan_id,
            _(
                "generation %(there)s is current on the disk, but the tables have "
                "%(recorded)s"
            )
            % {"there": number, "recorded": publication.generation},
        )
    if number is None:
        return
    closure = read_release(plan_id, number)
    if versions is None:
        versions = _versions_of([lesson.path for lesson in closure.lessons.values()])
    faults: list[Fault] = [*closure.faults, *closure.lesson_faults(versions)]
    for path, why in faults:
        yield FaultKind.BROKEN_LINK, path, why


def _versions_of(paths: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for chunk in batches(paths, _BATCH_SIZE):
        rows = PublishedDocument.objects.filter(path__in=chunk)
        found |= dict(rows.values_list("path", "version"))
    return found


# --- Orphans --------------------------------------------------------------------------


def check_orphans(current: Check) -> None:
    """Find files without a record, and records of lessons that no plan offers."""
    with transaction.atomic():
        counters = activation.take_switch_lock()
        if activation.has_incomplete_switch(counters):
            # Files of an interrupted switch have no record yet, and may have readers.
            return
        for path, why in orphans().items():
            current.add(FaultKind.ORPHANED, path, why)


def orphans() -> dict[str, str]:
    """Return content paths of files and folders without a reader, with the reason."""
    return {
        **dict.fromkeys(_orphaned_lessons(), _("no release contains this lesson")),
        **dict.fromkeys(_orphaned_plan_files(), _("no release contains this file")),
        **dict.fromkeys(
            (file_store.plan_path(plan_id) for plan_id in _orphaned_plans()),
            _("this plan no longer exists"),
        ),
    }


def _orphaned_lessons() -> list[str]:
    """Return lesson files that have no record or are not needed."""
    on_disk = file_store.lesson_files() | file_store.lesson_backups()
    recorded = set(
        PublishedDocument.objects.filter(lesson_id__gt="").values_list(
            "path", flat=True
        )
    )
    unneeded = set(map(locations.lesson, cleanup.unneeded_lessons()))
    return sorted((on_disk - recorded) | (recorded & unneeded))


def _orphaned_plan_files() -> list[str]:
    found: list[str] = []
    for publication in Publication.objects.filter(
        needs_full_build_since__isnull=True, generation__isnull=False
    ).order_by("pk"):
        plan_id = publication.plan_public_id
        try:
            if file_store.current_generation(plan_id) != publication.generation:
                continue  # reported elsewhere; the records are of another generation
            names = file_store.files_of(plan_id, publication.generation)
        except OSError:
            log.exception("release_not_listed", plan=plan_id)
            continue  # a broken link is reported elsewhere, too
        folder = locations.plan_folder(plan_id)
        on_disk = {f"{folder}/{name}" for name in names}
        found += sorted(
            on_disk - set(publication.documents.values_list("path", flat=True))
        )
    return found


def _orphaned_plans() -> list[str]:
    on_disk = file_store.plans_on_disk()
    return sorted(on_disk - cleanup.plans_to_keep(on_disk))


# --- Content --------------------------------------------------------------------------


def check_items(current: Check) -> None:
    """Find lessons in which two stages have the same reviewable item.

    They were stored before this was refused, and students review only one of the two.
    One query; reads the configs of all stages that have items.
    """
    stages = LessonStage.objects.filter(type__in=TYPES_WITH_ITEMS)
    if current.plans:
        offered = PlanLesson.objects.filter(
            publication__plan_public_id__in=current.plans
        )
        stages = stages.filter(lesson__public_id__in=offered.values("lesson_id"))
    rows = (
        stages.order_by("lesson_id", "position", "pk")
        .values_list("lesson__public_id", "lesson__title", "title", "type", "config")
        .iterator(chunk_size=_BATCH_SIZE)
    )
    for (lesson_id, lesson), of_lesson in groupby(rows, key=lambda row: row[:2]):
        found = list(of_lesson)
        titles = [title for _id, _lesson, title, _type, _config in found]
        for repeated in repeated_items(row[3:] for row in found):
            why = repeated_item_fault(repeated, lesson=lesson, stages=titles)
            current.add(FaultKind.REPEATED_ITEM, lesson_id, why)


_MAY_HAVE_MEDIA = (
    Q(type="Video")
    | Q(text__contains="/media/")
    | Q(text__contains="src=")
    | Q(text__contains="](")
)
"""Stages that can name a file of ours; the others are not read."""


def check_media(current: Check) -> None:
    """Find pictures, recordings and videos of published lessons that are not there.

    Three queries, and one request for each video in the bucket. Files on other hosts
    are not requested.
    """
    offered = PlanLesson.objects.all()
    if current.plans:
        offered = offered.filter(publication__plan_public_id__in=current.plans)
    stages = (
        LessonStage.objects.filter(lesson__public_id__in=offered.values("lesson_id"))
        .annotate(text=Cast("config", TextField()))
        .filter(_MAY_HAVE_MEDIA)
        .order_by("lesson_id", "position", "pk")
        .values_list("lesson__public_id", "title", "type", "config")
    )
    try:
        for batch in batches(list(stages), _BATCH_SIZE):
            found = media_faults.of_stages((row[2:] for row in batch), ask_bucket=True)
            for (lesson_id, title, *_row), faults in zip(batch, found, strict=True):
                for path, why in faults:
                    place = f"“{title}”, {path_text(path)}: {why}"
                    current.add(FaultKind.MISSING_MEDIA, lesson_id, place)
    except MemoraError as error:  # the bucket does not answer
        current.add(FaultKind.CDN_SILENT, "", error.message)
    if current.is_about_everything:
        nodes = Node.objects.untrashed().filter(is_published=True).exclude(image="")
        for public_id, image in nodes.order_by("pk").values_list("public_id", "image"):
            if why := media_faults.of_image(image):
                current.add(FaultKind.MISSING_MEDIA, public_id, why)
