"""Reading everything a build needs as it was at one moment.

A plan whose release stands, and of which only subjects changed, is read in part: the
changed subjects whole, or just the lessons whose stages were edited. Everything else
keeps the documents it has.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Q

from content.models import Node
from content.queries import load_edited_lessons, load_subject
from plans.access import plan_tree
from plans.models import AcademicPlan
from plans.queries import load_overrides, subject_pks
from publishing import changes, locations, staging
from publishing.assembly import EditedLesson, Fresh, Kept
from publishing.documents import PlanFacts
from publishing.models import (
    LessonOffer,
    Publication,
    PublishedDocument,
    PublishingSettings,
    SwitchLock,
)
from publishing.sealing import Record


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A plan's sources, and what is published of it.

    ``subjects`` are those the plan does not hide, in order; ``whole`` the ids of those
    read whole, hidden ones among them. ``is_full`` says that nothing of the release is
    built upon. ``built_from`` is what a
    publication made of this records. ``torn`` says that the
    plan's files are not to be trusted: the disk may be newer than ``previous``.
    """

    plan: PlanFacts
    settings: PublishingSettings
    subjects: tuple[Fresh | Kept, ...]
    whole: frozenset[str]
    is_full: bool
    built_from: changes.Sources
    previous: dict[str, Record]
    open_elsewhere: frozenset[str]
    removals: int
    switches: int
    newest_version: int
    torn: bool


@contextmanager
def consistent_read() -> Iterator[None]:
    """A transaction whose reads all see the same moment, and block no editor.

    MariaDB: REPEATABLE READ for this one transaction. SQLite: a deferred transaction
    reads from one WAL snapshot. Inside another transaction (a test's) it is that one.
    """
    if connection.in_atomic_block:
        yield
        return
    if connection.vendor == "mysql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield
        return
    connection.ensure_connection()
    mode = connection.transaction_mode  # type: ignore[attr-defined]
    connection.transaction_mode = "DEFERRED"  # type: ignore[attr-defined]
    try:
        with transaction.atomic():
            yield
    finally:
        connection.transaction_mode = mode  # type: ignore[attr-defined]


def take(
    plan_pk: int, *, full: bool = False, only: Collection[int] | None = None
) -> Snapshot:
    """Everything a build of this plan needs; at most 12 queries and 3 per subject.

    Args:
        full: read all of it, even where the release could be built upon.
        only: the keys of the subjects to read, for a look at part of a plan: such a
            snapshot is never published.

    Raises:
        AcademicPlan.DoesNotExist: the plan is gone.
    """
    with consistent_read():
        plan = AcademicPlan.objects.select_related("season", "grade", "stream").get(
            pk=plan_pk
        )
        settings = PublishingSettings.get_solo()
        pks = subject_pks(plan_pk)
        if only is not None:
            pks, full = [pk for pk in pks if pk in only], True
        states = changes.subject_states(pks)
        built_from = changes.sources(
            plan=plan.revision,
            settings=settings,
            subjects={pk: states[pk].revision for pk in pks},
        )
        torn = Publication.objects.filter(
            plan=plan_pk, switching__isnull=False
        ).exists()
        removals, switches, newest_version = _counters()
        built = None if full or torn else _built_upon(plan, built_from)
        whole = [
            pk for pk in pks if built is None or states[pk].tree_revision > built[pk]
        ]
        overrides = load_overrides(plan_pk) if whole else {}
        subjects: list[Fresh | Kept] = []
        for pk in pks:
            revision = states[pk].revision
            if built is not None and pk not in whole:
                edited = load_edited_lessons(pk, since=built[pk])
                subjects.append(
                    Kept(
                        states[pk].public_id,
                        revision,
                        tuple(EditedLesson(*found) for found in edited),
                    )
                )
            elif (tree := plan_tree(load_subject(pk), overrides)) is not None:
                subjects.append(Fresh(tree, revision))
        return Snapshot(
            plan=_facts(plan),
            settings=settings,
            subjects=tuple(subjects),
            whole=frozenset(states[pk].public_id for pk in whole),
            is_full=built is None,
            built_from=built_from,
            previous=_published(
                plan.public_id, whole, subjects, in_part=built is not None and not whole
            ),
            open_elsewhere=_open_elsewhere(plan_pk) if whole else frozenset(),
            removals=removals,
            switches=switches,
            newest_version=newest_version,
            torn=torn,
        )


def _built_upon(plan: AcademicPlan, now: changes.Sources) -> dict[int, int] | None:
    """The revision of each subject in a release to build upon; None for no such.

    It can when nothing but subjects' revisions differs, and what readers see is what
    the tables say.
    """
    publication = Publication.objects.filter(
        plan=plan, rolled_back_at__isnull=True
    ).first()
    if publication is None or not publication.built_from:
        return None
    then = publication.built_from
    if {**then, "subjects": None} != {**now, "subjects": None}:
        return None
    built = dict(then["subjects"])
    if list(built) != [pk for pk, _revision in now["subjects"]]:
        return None
    if staging.current_generation(plan.public_id) != publication.generation:
        return None
    return built


def _facts(plan: AcademicPlan) -> PlanFacts:
    return PlanFacts(
        id=plan.public_id,
        title=plan.title,
        season=plan.season.title if plan.season else "",
        grade=plan.grade.title if plan.grade else "",
        stream=plan.stream.title if plan.stream else "",
    )


def _open_elsewhere(plan_pk: int) -> frozenset[str]:
    """The lessons some other plan lets anyone read."""
    return frozenset(
        LessonOffer.objects.filter(is_open=True)
        .exclude(publication__plan_id=plan_pk)
        .values_list("lesson_id", flat=True)
    )


def _counters() -> tuple[int, int, int]:
    """Removals, switches and the newest version, as `SwitchLock` counts them."""
    rows = SwitchLock.objects.filter(pk=SwitchLock.ROW)
    found = rows.values_list("removals", "switches", "newest_version").first()
    return found or (0, 0, 0)


def _published(
    plan_id: str,
    whole: Collection[int],
    subjects: Sequence[Fresh | Kept],
    *,
    in_part: bool,
) -> dict[str, Record]:
    """What is published under the paths that this build may write."""
    if in_part:
        wanted = Q(path__in=list(_patched_paths(plan_id, subjects)))
    else:
        lessons = Node.objects.filter(subject_id__in=whole).values("public_id")
        wanted = Q(publication__plan_public_id=plan_id) | Q(lesson_id__in=lessons)
    rows = PublishedDocument.objects.filter(wanted)
    return {
        path: Record(fingerprint, version, sha256, size, signed_until, revision)
        for (
            path,
            fingerprint,
            version,
            sha256,
            size,
            signed_until,
            revision,
        ) in rows.values_list(
            "path",
            "fingerprint",
            "version",
            "sha256",
            "size",
            "signed_until",
            "source_revision",
        )
    }


def _patched_paths(plan_id: str, subjects: Sequence[Fresh | Kept]) -> Iterator[str]:
    """What edits of stages alone can change in the plan's release."""
    yield locations.manifest(plan_id)
    for subject in subjects:
        if isinstance(subject, Kept) and subject.edited:
            yield locations.hierarchy(plan_id, subject.id)
            for topic_id in {edited.topic_id for edited in subject.edited}:
                yield locations.topic(plan_id, topic_id)
            for edited in subject.edited:
                yield locations.lesson(edited.lesson.id)
