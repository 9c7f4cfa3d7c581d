"""Wake a worker after an edit is committed.

A lost wake-up costs minutes, never a change: the sweep reads the database.
"""

from collections.abc import Callable
from typing import Any

import structlog
from django.core.signals import request_finished
from django.db import transaction
from django.dispatch import receiver
from kombu.exceptions import OperationalError

from content.signals import subjects_changed
from plans.models import AcademicPlan
from plans.queries import plans_of_subjects
from plans.signals import plans_changed
from publishing import queue, staleness
from publishing.models import Publication, PublishingSettings
from publishing.monitoring import silence
from publishing.signals import plans_on_cdn, settings_changed
from publishing.signing import renewal
from publishing.tasks import process_pending

log = structlog.get_logger(__name__)


class _WakeWorker:
    """One call after the commit for all edits of a transaction."""

    def __init__(
        self, plans_of: Callable[[list[int]], list[int]], ids: list[int], urgent: bool
    ) -> None:
        self.plans_of = plans_of
        self.ids = set(ids)
        self.urgent = urgent
        # Django logs this name when the call fails.
        self.__qualname__ = f"{type(self).__name__} for {plans_of.__name__}"

    def __call__(self) -> None:
        wake(self.plans_of(sorted(self.ids)), urgent=self.urgent)


def _after_commit(
    plans_of: Callable[[list[int]], list[int]], ids: list[int], *, urgent: bool
) -> None:
    # Django drops a registered call when a savepoint around it is rolled back, and such
    # a savepoint also surrounds this edit. Therefore one call can serve all edits; at
    # worst it wakes for an edit that an inner savepoint rolled back.
    for _savepoints, waiting, _robust in transaction.get_connection().run_on_commit:
        if isinstance(waiting, _WakeWorker) and waiting.plans_of is plans_of:
            waiting.ids.update(ids)
            waiting.urgent |= urgent
            return
    transaction.on_commit(_WakeWorker(plans_of, ids, urgent), robust=True)


def _same_ids(plan_ids: list[int]) -> list[int]:
    return plan_ids


def _pending_only(plan_ids: list[int]) -> list[int]:
    return list(staleness.pending(plan_ids))


@receiver(subjects_changed)
def _subjects_changed(subject_ids: list[int], urgent: bool, **_kwargs: Any) -> None:
    _after_commit(plans_of_subjects, subject_ids, urgent=urgent)


@receiver(plans_changed)
def _plans_changed(plan_ids: list[int], urgent: bool, **_kwargs: Any) -> None:
    _after_commit(_same_ids, plan_ids, urgent=urgent)


@receiver(settings_changed)
def _settings_changed(fields: frozenset[str], **_kwargs: Any) -> None:
    """Renew signatures, clear CDN places and wake plans that depend on the settings."""
    if fields & renewal.SIGNATURE_SETTINGS:
        renewal.expire_signatures()
    if fields & {"cdn_enabled", "cdn_endpoint", "cdn_bucket"}:
        # An unused place becomes outdated; the next distribution sets it again.
        Publication.objects.exclude(cdn_place="").update(cdn_place="")
    published = AcademicPlan.objects.filter(is_published=True)
    plan_ids = list(published.values_list("pk", flat=True))
    _after_commit(_pending_only, plan_ids, urgent=False)


@receiver(plans_on_cdn)
def _plans_on_cdn(plan_ids: list[int], **_kwargs: Any) -> None:
    """Build these plans again, so that their links lead to the CDN."""
    _after_commit(_same_ids, plan_ids, urgent=True)


@receiver(request_finished)
def _request_finished(**_kwargs: Any) -> None:
    """Check the worker's heartbeat after the response has been sent."""
    silence.check_periodically()


def wake(plan_ids: list[int], *, urgent: bool = False) -> None:
    """Queue these plans; start a worker at once if needed.

    A worker is started at once for an urgent edit, in local fallback mode, or when
    ``batch_threshold`` plans wait.

    Args:
        urgent: the edit is urgent, as in `content.signals`.
    """
    if not plan_ids:
        return
    waiting = queue.add(plan_ids)
    current = PublishingSettings.get_solo()
    if urgent or current.local_fallback_mode or waiting >= current.batch_threshold:
        try:
            process_pending.delay()
        except OperationalError as error:
            log.warning("publish_wakeup_lost", error=type(error).__name__)
