"""Compute what a build would write and remove, without writing anything."""

from dataclasses import dataclass

from django.utils import timezone

from publishing.building import releases, snapshot
from publishing.building.snapshot import Snapshot
from publishing.format.incremental import UnreadableReleaseError
from publishing.format.locations import lesson
from publishing.format.validation import validate_documents
from publishing.models import PlanLesson
from publishing.storage.activation import Release


@dataclass(frozen=True, slots=True)
class DryRun:
    """Content paths, each list sorted; ``rewritten`` are files missing on disk."""

    added: list[str]
    changed: list[str]
    rewritten: list[str]
    removed: list[str]
    size: int
    """Bytes that would be written."""

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.changed or self.rewritten or self.removed)


def dry_run_of(plan_pk: int, *, full: bool = False) -> DryRun:
    """Return what publishing the plan now would do.

    Raises:
        AcademicPlan.DoesNotExist: the plan does not exist.
        InvalidDocumentError: the build would fail, a document being invalid.
        StructureError: the build would fail, a subject having lost its state.
    """
    return run(plan_pk, full=full)[0]


def run(plan_pk: int, *, full: bool = False) -> tuple[DryRun, Release]:
    """As `dry_run_of`, and return the release with its documents' bytes.

    Raises: as `dry_run_of`.
    """
    now = timezone.now()
    try:
        taken = snapshot.take(plan_pk, full=full)
        made = releases.make(taken, now=now)
    except UnreadableReleaseError:
        taken = snapshot.take(plan_pk, full=True)
        made = releases.make(taken, now=now)
    validate_documents(made.to_write.values())
    return count_difference(taken, made, dropped=_dropped(plan_pk, made)), made


def count_difference(taken: Snapshot, made: Release, *, dropped: set[str]) -> DryRun:
    """Compare the files of ``made`` with those published at the snapshot's time.

    ``dropped`` are the paths of lessons that no plan would offer any more.
    """
    known = taken.previous.keys()
    return DryRun(
        added=sorted(made.to_write.keys() - known),
        changed=sorted(
            path
            for path, document in made.to_write.items()
            if path in known and document.changed
        ),
        rewritten=sorted(
            path
            for path, document in made.to_write.items()
            if path in known and not document.changed
        ),
        removed=sorted({*made.gone, *dropped}),
        size=made.size,
    )


def _dropped(plan_pk: int, made: Release) -> set[str]:
    """Return the lesson files that readers lose: no other plan offers them."""
    if made.plan_lessons is None:
        return set()
    plan_lessons = PlanLesson.objects
    mine = set(
        plan_lessons.filter(publication__plan=plan_pk).values_list(
            "lesson_id", flat=True
        )
    )
    removed = mine - made.plan_lessons.keys()
    elsewhere = set(
        plan_lessons.filter(lesson_id__in=removed)
        .exclude(publication__plan=plan_pk)
        .values_list("lesson_id", flat=True)
    )
    return {lesson(lesson_id) for lesson_id in removed - elsewhere}
