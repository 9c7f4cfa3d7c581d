"""Find the plans that need a build: their sources differ from `built_from`.

Edits are not queued. Every edit raises a revision (of a subject or a plan) in its own
transaction. A publication records the revisions that its build read, with the settings
that documents depend on. A plan needs a build exactly when they differ. See
docs/architecture.md, "Builds".
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import structlog

from content.models import SubjectState
from core import folding
from plans.models import AcademicPlan, PlanSubject
from publishing.content_urls import local_base_url, release_base_url
from publishing.format import documents
from publishing.models import Publication, PublishingSettings

log = structlog.get_logger(__name__)

Sources = dict[str, Any]
"""The revisions and settings a release is made of, as stored in a publication."""


def sources(
    *,
    plan: int,
    settings: PublishingSettings,
    cdn_place: str,
    subjects: dict[int, int],
) -> Sources:
    """Return revisions and settings in their stored form; subjects in plan order.

    Args:
        plan: the plan's revision.
        cdn_place: the plan's `Publication.cdn_place`; "" before its first release.
        subjects: primary key to revision.
    """
    return {
        "plan": plan,
        "settings": {
            "base_url": release_base_url(settings, cdn_place),
            "local_base_url": local_base_url(settings),
            "search_shard_threshold": settings.search_shard_threshold,
            "embed_signed_urls": settings.embed_signed_urls,
        },
        "subjects": [[pk, revision] for pk, revision in subjects.items()],
        **_installed_rules(),
    }


def _installed_rules() -> dict[str, int]:
    """Return the versions of the rules that this version of Memora has."""
    return {"search_folding": folding.VERSION, "format": documents.FORMAT_VERSION}


def pending(plan_pks: Collection[int] | None = None) -> dict[int, Sources]:
    """Return the published plans that need a build, with their sources; four queries.

    Args:
        plan_pks: check these plans only; None checks all.
    """
    settings = PublishingSettings.get_solo()
    plans = AcademicPlan.objects.filter(is_published=True).order_by("pk")
    if plan_pks is not None:
        plans = plans.filter(pk__in=plan_pks)
    publications = Publication.objects.filter(plan__in=plans)
    built: dict[int | None, tuple[Sources, bool]] = {}
    places: dict[int | None, str] = {}
    for plan_pk, built_from, rolled_back_at, place in publications.values_list(
        "plan_id", "built_from", "rolled_back_at", "cdn_place"
    ):
        built[plan_pk] = built_from, rolled_back_at is not None
        places[plan_pk] = place
    subjects: dict[int, dict[int, int]] = defaultdict(dict)
    rows = (
        PlanSubject.objects.filter(plan__in=plans)
        .order_by("position", "pk")
        .values_list("plan_id", "subject_id", "subject__state__revision")
    )
    for plan_pk, subject_pk, revision in rows:
        subjects[plan_pk][subject_pk] = revision
    now = {
        pk: sources(
            plan=revision,
            settings=settings,
            cdn_place=places.get(pk, ""),
            subjects=subjects[pk],
        )
        for pk, revision in plans.values_list("pk", "revision")
    }
    return {
        pk: found
        for pk, found in now.items()
        if not _is_current(*built.get(pk, ({}, False)), found)
    }


def _is_current(built: Sources, is_rolled_back: bool, now: Sources) -> bool:
    if is_rolled_back:
        # Installing a new version of Memora does not end a rollback.
        built = {**built, **_installed_rules()}
    return built == now


def to_withdraw() -> list[int]:
    """Return the publications of deleted or unpublished plans. One query."""
    return list(
        Publication.objects.exclude(plan__is_published=True)
        .order_by("pk")
        .values_list("pk", flat=True)
    )


def mark_plans_for_rebuild(
    lesson_ids: Collection[str], *, besides: Publication
) -> None:
    """Mark the other plans that offer any of these lessons for an immediate build.

    The topics of every plan that has a lesson contain whether it is gated. A plan that
    was rolled back keeps its topics: no edit of another plan ends a rollback. Runs in
    the transaction that changes whether the lessons are gated.
    """
    if not lesson_ids:
        return
    others = Publication.objects.filter(
        plan_lessons__lesson_id__in=lesson_ids, plan__isnull=False
    ).exclude(pk=besides.pk)
    plans = dict(others.values_list("plan_id", "rolled_back_at"))
    AcademicPlan.mark_changed(plans, urgent=True)
    if rolled_back := [pk for pk, since in plans.items() if since is not None]:
        _acknowledge_revision(rolled_back)


def _acknowledge_revision(plan_pks: Collection[int]) -> None:
    """Record the new revision of rolled back plans, so that it needs no build.

    A build that reads older sources in the meantime, for an edit or for "Publish now",
    still leaves its plan pending.
    """
    touched = dict(
        AcademicPlan.objects.filter(pk__in=plan_pks).values_list("pk", "revision")
    )
    rolled_back = Publication.objects.select_for_update().filter(
        plan__in=touched, rolled_back_at__isnull=False
    )
    for publication in rolled_back.order_by("pk"):
        assert publication.plan_id is not None
        built, now = publication.built_from, touched[publication.plan_id]
        if built.get("plan") == now - 1:
            publication.built_from = {**built, "plan": now}
            publication.save(update_fields=["built_from"])
            # If the lesson became gated, the links in this release lack a token now.
            log.warning("rolled_back_links_kept", plan=publication.plan_public_id)


@dataclass(frozen=True, slots=True)
class SubjectRevisions:
    """A subject's id and its current revisions."""

    public_id: str
    revision: int
    tree_revision: int


def subject_states(subject_pks: Collection[int]) -> dict[int, SubjectRevisions]:
    """Return the current revisions of these subjects, by primary key. One query."""
    rows = SubjectState.objects.filter(pk__in=subject_pks)
    return {
        pk: SubjectRevisions(public_id, revision, tree_revision)
        for pk, public_id, revision, tree_revision in rows.values_list(
            "pk", "subject__public_id", "revision", "tree_revision"
        )
    }
