"""Remove the release of a plan that is deleted or no longer published."""

import structlog
from django.db import transaction
from django.utils import timezone

from plans.models import AcademicPlan
from publishing import staleness, sync_log
from publishing.models import Publication, ReleaseCounters
from publishing.storage import activation, cleanup, file_store

log = structlog.get_logger(__name__)


def unpublish(publication_pk: int) -> None:
    """Remove a plan's release if the plan is not published; record it in the sync log.

    Idempotent. If the process stops halfway, the publication's row remains and the
    next sweep continues.

    Raises:
        OSError: the disk failed.
    """
    began = timezone.now()
    with transaction.atomic():
        counters = activation.take_switch_lock()
        # Lock the plan before its publication, in the order of a build's claim: the log
        # entry needs the plan's row, too.
        plans = AcademicPlan.objects.select_for_update()
        plan = plans.filter(publication=publication_pk).first()
        publication = (
            Publication.objects.select_for_update()
            .filter(pk=publication_pk)
            .exclude(plan__is_published=True)
            .first()
        )
        if publication is None:
            return
        flipped = activation.record_plan_lessons(publication, {})
        staleness.mark_plans_for_rebuild(flipped, besides=publication)
        if not activation.has_incomplete_switch(counters):
            activation.begin_switch(counters)
        file_store.withdraw_plan(publication.plan_public_id)
        counters.newest_withdrawn_number = max(
            counters.newest_withdrawn_number, publication.build_number
        )
        counters.save(update_fields=["newest_withdrawn_number"])
        files = publication.documents.count()
        publication.delete()
        sync_log.record_withdrawal(
            publication.plan_public_id, plan, files=files, began=began
        )
    # Also lessons that only an earlier generation of the plan named.
    removed = cleanup.remove_unneeded_lessons()
    file_store.delete_discarded()
    log.info("plan_withdrawn", plan=publication.plan_public_id, lessons_removed=removed)


def newest_withdrawn_number() -> int:
    """Return the number above which a plan published (again) starts counting."""
    rows = ReleaseCounters.objects.filter(pk=ReleaseCounters.ROW)
    return rows.values_list("newest_withdrawn_number", flat=True).first() or 0
