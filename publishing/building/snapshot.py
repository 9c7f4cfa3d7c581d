"""Read everything that a build needs, as of one moment.

The mode of the build (`publishing.building.modes`) decides which subjects are read
whole. Of the others only the lessons are read whose stages were edited. In a subject
read whole, the stages of lessons whose published files are still valid are not read:
they are most of the data.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone

from content import locks
from content.models import Node
from content.queries import LessonHeader, load_edited_lessons, load_subject
from content.tree import ContentNode
from core.db import consistent_read
from core.errors import StructureError
from plans.access import plan_tree
from plans.models import AcademicPlan
from plans.queries import load_overrides, subject_pks
from publishing import staleness
from publishing.building import modes
from publishing.building.modes import BuildMode
from publishing.content_urls import local_base_url
from publishing.format import locations
from publishing.format.documents import LessonSources, PlanFields
from publishing.format.incremental import ChangedSubject, EditedLesson, UnchangedSubject
from publishing.format.versioning import Record, is_long_signed
from publishing.models import (
    PlanLesson,
    Publication,
    PublishedDocument,
    PublishingSettings,
    ReleaseCounters,
)
from publishing.staleness import SubjectRevisions

Subject = ChangedSubject | UnchangedSubject


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A plan's sources, and what is published of it.

    ``subjects`` are those the plan does not hide, in order. ``built_from`` is recorded
    by a publication made of this snapshot. ``previous`` are the records of the files
    that it may replace. ``open_elsewhere`` are the lessons, of the subjects read whole,
    that another plan offers openly.
    """

    plan: PlanFields
    settings: PublishingSettings
    lesson_sources: LessonSources
    mode: BuildMode
    subjects: tuple[Subject, ...]
    built_from: staleness.Sources
    previous: dict[str, Record]
    open_elsewhere: frozenset[str]
    removals: int
    newest_version: int


def take(plan_pk: int, *, full: bool = False) -> Snapshot:
    """Read everything a build of this plan needs; ≤ 12 queries and 4 per subject.

    Args:
        full: read everything, even where the release could be reused.

    Raises:
        AcademicPlan.DoesNotExist: the plan does not exist.
        StructureError: a subject has no recorded revisions.
    """
    with consistent_read():
        plan = AcademicPlan.objects.select_related("season", "grade", "stream").get(
            pk=plan_pk
        )
        settings = PublishingSettings.get_solo()
        revisions = _revisions(subject_pks(plan_pk))
        publication = Publication.objects.filter(plan=plan_pk).first()
        built_from = _sources(plan, settings, publication, revisions)
        mode = modes.choose(publication, built_from, revisions, full=full)
        unchanged = _unchanged_subjects(mode, revisions)
        previous = _previous(plan.public_id, mode, unchanged.values())
        sources = _lesson_sources(settings)
        is_reusable = _reuse_test(mode, previous, sources, settings)
        subjects = unchanged | _changed_subjects(plan_pk, mode, revisions, is_reusable)
        removals, newest_version = _counters()
        return Snapshot(
            plan=plan_fields(plan),
            settings=settings,
            lesson_sources=sources,
            mode=mode,
            subjects=tuple(subjects[pk] for pk in revisions if pk in subjects),
            built_from=built_from,
            previous=previous,
            open_elsewhere=_open_elsewhere(plan_pk, mode.whole),
            removals=removals,
            newest_version=newest_version,
        )


def _revisions(subject_pks: Sequence[int]) -> dict[int, SubjectRevisions]:
    """Return the revisions of each of these subjects, in their order.

    Raises:
        StructureError: a subject has no state; the message names the remedy.
    """
    states = staleness.subject_states(subject_pks)
    lost = Node.objects.filter(pk__in=set(subject_pks) - states.keys()).first()
    if lost is not None:
        raise StructureError(locks.missing_state_message(lost))
    return {pk: states[pk] for pk in subject_pks}


def _sources(
    plan: AcademicPlan,
    settings: PublishingSettings,
    publication: Publication | None,
    revisions: Mapping[int, SubjectRevisions],
) -> staleness.Sources:
    return staleness.sources(
        plan=plan.revision,
        settings=settings,
        cdn_place=publication.cdn_place if publication is not None else "",
        subjects={pk: found.revision for pk, found in revisions.items()},
    )


def _unchanged_subjects(
    mode: BuildMode, revisions: Mapping[int, SubjectRevisions]
) -> dict[int, Subject]:
    """Read the edited lessons of the subjects that are not read whole."""
    found: dict[int, Subject] = {}
    for pk, since in mode.since.items():
        lessons = load_edited_lessons(pk, since=since)
        edited = tuple(EditedLesson(*lesson) for lesson in lessons)
        state = revisions[pk]
        found[pk] = UnchangedSubject(pk, state.public_id, state.revision, edited)
    return found


def _changed_subjects(
    plan_pk: int,
    mode: BuildMode,
    revisions: Mapping[int, SubjectRevisions],
    is_reusable: Callable[[LessonHeader], bool],
) -> dict[int, Subject]:
    """Read the other subjects whole, without those that the plan hides."""
    overrides = load_overrides(plan_pk) if mode.whole else {}
    found: dict[int, Subject] = {}
    for pk in mode.whole:
        content, reusable = _load_subject(pk, is_reusable)
        if (tree := plan_tree(content, overrides)) is not None:
            found[pk] = ChangedSubject(tree, revisions[pk].revision, reusable)
    return found


def _load_subject(
    pk: int, is_reusable: Callable[[LessonHeader], bool]
) -> tuple[ContentNode, frozenset[str]]:
    """Return a subject, and the ids of its reusable lessons, which have no stages."""
    reusable: set[str] = set()

    def is_known(lesson: LessonHeader) -> bool:
        if not is_reusable(lesson):
            return False
        reusable.add(lesson.id)
        return True

    return load_subject(pk, is_known=is_known), frozenset(reusable)


def plan_fields(plan: AcademicPlan) -> PlanFields:
    """Return the plan's own fields as they appear in its documents."""
    return PlanFields(
        id=plan.public_id,
        title=plan.title,
        season=plan.season.title if plan.season else "",
        grade=plan.grade.title if plan.grade else "",
        stream=plan.stream.title if plan.stream else "",
    )


def _open_elsewhere(plan_pk: int, subject_pks: Collection[int]) -> frozenset[str]:
    """Return the lessons of these subjects that another plan offers openly."""
    inside = Node.objects.filter(subject_id__in=subject_pks).order_by()
    return frozenset(
        PlanLesson.objects.filter(
            is_open=True, lesson_id__in=inside.values("public_id")
        )
        .exclude(publication__plan_id=plan_pk)
        .values_list("lesson_id", flat=True)
        .distinct()
    )


def _counters() -> tuple[int, int]:
    """Return the number of removals and the newest version from `ReleaseCounters`."""
    rows = ReleaseCounters.objects.filter(pk=ReleaseCounters.ROW)
    return rows.values_list("removals", "newest_version").first() or (0, 0)


def _lesson_sources(settings: PublishingSettings) -> LessonSources:
    return LessonSources(f"{local_base_url(settings)} {settings.embed_signed_urls}")


def _reuse_test(
    mode: BuildMode,
    previous: Mapping[str, Record],
    sources: LessonSources,
    settings: PublishingSettings,
) -> Callable[[LessonHeader], bool]:
    """Return a test for lessons whose published files are still valid."""
    now, life = int(timezone.now().timestamp()), settings.signed_url_hours * 3600
    known = {} if mode.compares_with_disk else previous

    def is_reusable(lesson: LessonHeader) -> bool:
        record = known.get(locations.lesson(lesson.id))
        if record is None or record.source_revision < lesson.stages_revision:
            return False
        until = record.signed_until
        if until is not None and not is_long_signed(until, now, life):
            return False
        return record.source == sources.of(
            pk=lesson.pk,
            subject_pk=lesson.subject_pk,
            title=lesson.title,
            description=lesson.description,
            image=lesson.image,
        )

    return is_reusable


def _previous(
    plan_id: str, mode: BuildMode, unchanged: Iterable[Subject]
) -> dict[str, Record]:
    """Return the records of the files that the build may replace, by path.

    Where trees changed: all files of the plan, and the lessons of the subjects read
    whole. Also those that edits of stages change (`_patched_paths`).
    """
    found: dict[str, Record] = {}
    if mode.changes_trees:
        lessons = Node.objects.filter(subject_id__in=list(mode.whole))
        found = _records(
            Q(publication__plan_public_id=plan_id)
            | Q(lesson_id__in=lessons.values("public_id"))
        )
    if mode.since:
        unread = set(_patched_paths(plan_id, unchanged)) - found.keys()
        found |= _records(Q(path__in=list(unread)))
    return found


_RECORD = (
    "fingerprint",
    "version",
    "sha256",
    "size",
    "signed_until",
    "source_revision",
    "source",
    "review_items",
    "search_words",
)


def _records(wanted: Q) -> dict[str, Record]:
    rows = PublishedDocument.objects.filter(wanted).values_list("path", *_RECORD)
    return {path: Record(*fields) for path, *fields in rows}


def _patched_paths(plan_id: str, subjects: Iterable[Subject]) -> Iterator[str]:
    """Yield the paths of the release that edits of stages alone can change."""
    yield locations.manifest(plan_id)
    yield locations.search_index(plan_id)
    for subject in subjects:
        if isinstance(subject, UnchangedSubject) and subject.edited:
            yield locations.search_shard(plan_id, subject.id)
            yield locations.hierarchy(plan_id, subject.id)
            yield locations.bitmap(plan_id, subject.id)
            for topic_id in {edited.topic_id for edited in subject.edited}:
                yield locations.topic(plan_id, topic_id)
            for edited in subject.edited:
                yield locations.lesson(edited.lesson.id)
