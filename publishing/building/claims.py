"""Claim a plan's next build number: newer builds stop older ones."""

from datetime import datetime

from django.db import transaction

from plans.models import AcademicPlan
from publishing import staleness, sync_log
from publishing.building import unpublish
from publishing.models import Publication, SyncLog
from publishing.storage import file_store
from publishing.storage.activation import SupersededError


def claim(
    plan_pk: int, sources: staleness.Sources, *, trigger: str, now: datetime
) -> tuple[Publication, SyncLog] | None:
    """Claim the plan's next build number and open its log entry.

    Returns:
        The publication and its log entry; None when the plan has been deleted,
        unpublished or rolled back in the meantime.

    Raises:
        OperationalError: MariaDB may abort a claim that waits for a row locked by an
            editor; call it with `core.db.retry_on_conflict`.
    """
    with transaction.atomic():
        published = AcademicPlan.objects.filter(is_published=True)
        plan = published.select_for_update().filter(pk=plan_pk).first()
        if plan is None:
            return None
        rows = Publication.objects.select_for_update()
        publication = rows.filter(plan_public_id=plan.public_id).first()
        if publication is None:
            publication = Publication.objects.create(
                plan_public_id=plan.public_id,
                build_number=unpublish.newest_withdrawn_number(),
            )
        if publication.plan_id != plan.pk:
            # The release belongs to a deleted plan; its revisions do not apply here.
            publication.plan, publication.built_from = plan, {}
            publication.rolled_back_at = None
        if publication.rolled_back_at is not None:
            return None
        publication.build_number += 1
        publication.save(
            update_fields=["plan", "build_number", "built_from", "rolled_back_at"]
        )
        entry = sync_log.open_entry(plan, sources, trigger=trigger, now=now)
    return publication, entry


def skip_numbers_on_disk(publication: Publication) -> None:
    """Skip the numbers of generations on disk that a lost database had claimed.

    Raises:
        SupersededError: a newer build has claimed the plan.
        OSError: the disk cannot be read.
    """
    on_disk = max(file_store.kept_generations(publication.plan_public_id), default=0)
    if on_disk < publication.build_number:
        return
    mine = Publication.objects.filter(
        pk=publication.pk, build_number=publication.build_number
    )
    if not mine.update(build_number=on_disk + 1):
        raise SupersededError("a newer build has claimed the plan")
    publication.build_number = on_disk + 1
