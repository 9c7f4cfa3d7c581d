"""Upload what differs from the local disk to the CDN, verify it and delete the rest.

The tables give the files that the CDN should have (`publishing.cdn.desired_state`) and
the recorded state of each path (`publishing.cdn.remote_state`). Every run compares both
again. So a run finds whatever was missed or interrupted, and a resumed upload sends
only the remaining files.

The order ensures that no file on the CDN links to a missing one: lessons, topics,
hierarchies and indexes, manifest. Each layer is verified and purged before the next.
Obsolete files are deleted last, a lesson only when no older release on the CDN can link
to it. A lesson that became gated is deleted from the public target at once
(docs/architecture.md, "Uploads").

One distributor runs at a time (a Redis lock). Correctness does not depend on the lock:
claims show when two distributors worked on the same object, and the one that lost its
claim leaves the object to the other. An upload can take hours, so each part reads the
clock again. Nothing here runs inside a transaction or under the switch lock: an upload
that fails or hangs delays no build and reverts no release.
"""

import time
from collections.abc import Collection

import structlog
from django.utils import timezone

from core.errors import MemoraError
from publishing import destinations, queue, signals, upload_log
from publishing.cdn import desired_state
from publishing.cdn.backends.storage import targets_of
from publishing.cdn.remote_state import ClaimLostError
from publishing.cdn.uploader import PlanUploadError, Sent, Uploader, delete_obsolete
from publishing.models import Publication, PublishingSettings

log = structlog.get_logger(__name__)


def distribute(*, ignore_backoff: bool = False) -> bool:
    """Upload, delete and purge until the CDN is up to date, as far as retries permit.

    Every failure is recorded in the sync log with the time of the next attempt. The run
    ends at the first failure of the bucket; the next call, half a minute later, tries
    the other plans. A failure of one plan's upload or of a purge does not stop the
    other plans.

    Args:
        ignore_backoff: include plans that wait for their next attempt or for a Retry.

    Returns:
        False if the CDN is off or another distributor runs, otherwise True.
    """
    if not PublishingSettings.get_solo().cdn_enabled:
        upload_log.close_stale(lambda: None)
        return False
    with queue.distribution_lock() as has_lock:
        if not has_lock:
            return False
        failed: set[int] = set()
        while True:
            # First, and again between plans: gated lessons must leave without delay.
            delete_obsolete()
            # Loop until no plan is left: calls made during this run found the lock
            # held and did nothing.
            publication = _next_due(ignore_backoff, failed)
            if publication is None:
                break
            failure = _upload_release(publication)
            if _is_bucket_failure(failure) or isinstance(failure, ClaimLostError):
                break
            if failure is not None:
                failed.add(publication.pk)
        upload_log.close_stale(_out_of_sync)
    _record_plans_on_cdn()
    return True


def _record_plans_on_cdn() -> None:
    """Make the links of plans that are complete on the CDN lead to the CDN.

    The release of a plan that was rolled back keeps its links until the next build. One
    query if no plan needs this.
    """
    current = PublishingSettings.get_solo()
    place = destinations.public_destination_id(current)
    published = Publication.objects.filter(
        plan__is_published=True, generation__isnull=False, rolled_back_at__isnull=True
    )
    plans = dict(published.exclude(cdn_place=place).values_list("pk", "plan_id"))
    out_of_sync = _out_of_sync() if plans else None
    if out_of_sync is None:
        return
    whole = {pk: plan_id for pk, plan_id in plans.items() if pk not in out_of_sync}
    # Filter again: a rollback started since then must not be undone by a build.
    rows = Publication.objects.filter(pk__in=whole, rolled_back_at__isnull=True)
    if rows.update(cdn_place=place):
        log.info("plans_on_cdn", plans=len(whole))
        signals.plans_on_cdn.send(
            sender=Publication, plan_ids=sorted(filter(None, whole.values()))
        )


def _out_of_sync() -> Collection[int] | None:
    current = PublishingSettings.get_solo()
    if not current.cdn_enabled:
        return None
    try:
        return desired_state.out_of_sync(targets_of(current))
    except MemoraError:
        # The settings are wrong: each plan's own run reports it.
        return set(Publication.objects.values_list("pk", flat=True))


def _is_bucket_failure(failure: Exception | None) -> bool:
    """Whether every other plan would fail for the same reason."""
    return isinstance(failure, MemoraError) and not isinstance(failure, PlanUploadError)


def _next_due(ignore_backoff: bool, failed: Collection[int]) -> Publication | None:
    """Return a release that is incomplete on the CDN and may be tried now, or None.

    Releases in ``failed`` are left out.
    """
    out_of_sync = set(_out_of_sync() or ()).difference(failed)
    if not out_of_sync:
        return None
    publications = list(Publication.objects.filter(pk__in=out_of_sync).order_by("pk"))
    ids = [publication.plan_public_id for publication in publications]
    in_backoff = (
        set() if ignore_backoff else upload_log.backing_off(timezone.now(), ids)
    )
    for publication in publications:
        if publication.plan_public_id not in in_backoff:
            return publication
    return None


def _upload_release(publication: Publication) -> Exception | None:
    """Upload one plan's release.

    Returns:
        The failure or None. It is recorded in the sync log, except `ClaimLostError`:
        then another distributor continues the upload.
    """
    entry = upload_log.open_entry(publication, now=timezone.now())
    sent = Sent(
        on_progress=lambda so_far: upload_log.note_progress(
            entry, files=so_far.files, size=so_far.bytes
        )
    )
    began = time.monotonic()
    failure: Exception | None = None
    try:
        Uploader.of(PublishingSettings.get_solo()).upload(publication.pk, sent)
    except Exception as error:  # noqa: BLE001 - every failure becomes a log entry
        failure = error
    seconds = time.monotonic() - began
    if isinstance(failure, ClaimLostError):
        upload_log.hand_over(entry, files=sent.files, size=sent.bytes, seconds=seconds)
    else:
        upload_log.close(
            entry, failure, files=sent.files, size=sent.bytes, seconds=seconds
        )
    return failure
