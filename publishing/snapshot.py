"""Reading everything a build needs as it was at one moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from content.queries import load_subject
from plans.access import PlanNode, plan_tree
from plans.models import AcademicPlan
from plans.queries import load_overrides, subject_pks
from publishing import changes
from publishing.documents import PlanFacts, Record
from publishing.models import (
    LessonOffer,
    Publication,
    PublishedDocument,
    PublishingSettings,
    SwitchLock,
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A plan's sources, and what is published of it.

    ``subjects`` are the visible ones, each with its revision; ``built_from`` is what a
    publication made of this snapshot records. ``torn`` says that some build is, or
    died while, putting files in place: what is on disk may be newer than ``previous``.
    """

    plan: PlanFacts
    settings: PublishingSettings
    subjects: tuple[tuple[PlanNode, int], ...]
    built_from: dict[str, Any]
    previous: dict[str, Record]
    open_elsewhere: frozenset[str]
    removals: int
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


def take(plan_pk: int) -> Snapshot:
    """Everything a build of this plan needs; 10 queries and 3 for each subject.

    Raises:
        AcademicPlan.DoesNotExist: the plan is gone.
    """
    with consistent_read():
        plan = AcademicPlan.objects.select_related("season", "grade", "stream").get(
            pk=plan_pk
        )
        settings = PublishingSettings.get_solo()
        pks = subject_pks(plan_pk)
        revisions = changes.subject_revisions(pks)
        overrides = load_overrides(plan_pk)
        trees = [(load_subject(pk), revisions[pk]) for pk in pks]
        previous = _published(plan.public_id)
        open_elsewhere = frozenset(
            LessonOffer.objects.filter(is_open=True)
            .exclude(publication__plan_id=plan_pk)
            .values_list("lesson_id", flat=True)
        )
        removals = (
            SwitchLock.objects.filter(pk=SwitchLock.ROW)
            .values_list("removals", flat=True)
            .first()
            or 0
        )
        torn = Publication.objects.filter(switching__isnull=False).exists()
    visible = tuple(
        (tree, revision)
        for source, revision in trees
        if (tree := plan_tree(source, overrides)) is not None
    )
    return Snapshot(
        plan=PlanFacts(
            id=plan.public_id,
            title=plan.title,
            season=plan.season.title if plan.season else "",
            grade=plan.grade.title if plan.grade else "",
            stream=plan.stream.title if plan.stream else "",
        ),
        settings=settings,
        subjects=visible,
        built_from=changes.sources(
            plan=plan.revision,
            settings=settings,
            subjects={pk: revisions[pk] for pk in pks},
        ),
        previous=previous,
        open_elsewhere=open_elsewhere,
        removals=removals,
        torn=torn,
    )


def _published(plan_id: str) -> dict[str, Record]:
    """What is published: the plan's own documents, and every lesson."""
    rows = PublishedDocument.objects.filter(
        Q(publication__plan_public_id=plan_id) | Q(publication__isnull=True)
    )
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
