"""Find the plans that need a build: their sources differ from `built_from`.

A plan that was rolled back is held: it needs no build until it is released
(`publishing.building.rollback.release`).

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


@dataclass(frozen=True, slots=True)
class _Compared:
    """A plan's current sources, and those of its release ({} before the first)."""

    now: Sources
    built: Sources
    is_held: bool


def pending(plan_pks: Collection[int] | None = None) -> dict[int, Sources]:
    """Return the published plans that need a build, with their sources; four queries.

    Args:
        plan_pks: check these plans only; None checks all.
    """
    return {
        pk: plan.now
        for pk, plan in _compare(plan_pks).items()
        if plan.now != plan.built and not plan.is_held
    }


def waiting_in_held(plan_pks: Collection[int] | None = None) -> dict[int, Sources]:
    """Return the held plans with changes that a release would publish.

    Otherwise as `pending`.
    """
    return {
        pk: plan.now
        for pk, plan in _compare(plan_pks).items()
        if plan.now != plan.built and plan.is_held
    }


def current_sources(plan_pk: int) -> Sources:
    """Return the sources of a plan now; {} if it is not published. Four queries."""
    compared = _compare([plan_pk]).get(plan_pk)
    return {} if compared is None else compared.now


def _compare(plan_pks: Collection[int] | None) -> dict[int, _Compared]:
    settings = PublishingSettings.get_solo()
    plans = AcademicPlan.objects.filter(is_published=True).order_by("pk")
    if plan_pks is not None:
        plans = plans.filter(pk__in=plan_pks)
    publications = Publication.objects.filter(plan__in=plans)
    releases: dict[int | None, tuple[Sources, bool, str]] = {
        plan_pk: (built_from, rolled_back_at is not None, place)
        for plan_pk, built_from, rolled_back_at, place in publications.values_list(
            "plan_id", "built_from", "rolled_back_at", "cdn_place"
        )
    }
    subjects: dict[int, dict[int, int]] = defaultdict(dict)
    rows = (
        PlanSubject.objects.filter(plan__in=plans)
        .order_by("position", "pk")
        .values_list("plan_id", "subject_id", "subject__state__revision")
    )
    for plan_pk, subject_pk, revision in rows:
        subjects[plan_pk][subject_pk] = revision
    compared = {}
    for pk, revision in plans.values_list("pk", "revision"):
        built, is_held, place = releases.get(pk, ({}, False, ""))
        now = sources(
            plan=revision, settings=settings, cdn_place=place, subjects=subjects[pk]
        )
        compared[pk] = _Compared(now, built, is_held)
    return compared


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

    The topics of every plan that has a lesson contain whether it is gated. A held plan
    keeps its topics until it is released. Runs in the transaction that changes whether
    the lessons are gated.
    """
    if not lesson_ids:
        return
    others = Publication.objects.filter(
        plan_lessons__lesson_id__in=lesson_ids, plan__isnull=False
    ).exclude(pk=besides.pk)
    plans: dict[int, tuple[str, bool]] = {
        pk: (public_id, since is not None)
        for pk, public_id, since in others.values_list(
            "plan_id", "plan_public_id", "rolled_back_at"
        )
    }
    AcademicPlan.mark_changed(plans, urgent=True)
    for public_id, is_held in plans.values():
        if is_held:
            # If a lesson became gated, the links in this release lack a token now.
            log.warning("rolled_back_links_kept", plan=public_id)


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
