"""From an edit to a woken worker; only after the edit is committed.

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


class _Wake:
    """One call after commit for all edits of a transaction."""

    def __init__(
        self, plans_of: Callable[[list[int]], list[int]], ids: list[int], at_once: bool
    ) -> None:
        self.plans_of = plans_of
        self.ids = set(ids)
        self.at_once = at_once
        # By which Django's log names it, should it fail.
        self.__qualname__ = f"{type(self).__name__} for {plans_of.__name__}"

    def __call__(self) -> None:
        wake(self.plans_of(sorted(self.ids)), at_once=self.at_once)


def _after_commit(
    plans_of: Callable[[list[int]], list[int]], ids: list[int], *, at_once: bool
) -> None:
    # Django drops a waiting call when a savepoint around it is rolled back, and such a
    # savepoint is around this edit too. So one call can serve all; at worst it wakes
    # for an edit that an inner savepoint took back.
    for _savepoints, waiting, _robust in transaction.get_connection().run_on_commit:
        if isinstance(waiting, _Wake) and waiting.plans_of is plans_of:
            waiting.ids.update(ids)
            waiting.at_once |= at_once
            return
    transaction.on_commit(_Wake(plans_of, ids, at_once), robust=True)


def _themselves(plan_ids: list[int]) -> list[int]:
    return plan_ids


def _that_differ(plan_ids: list[int]) -> list[int]:
    return list(staleness.pending(plan_ids))


@receiver(subjects_changed)
def _subjects_changed(subject_ids: list[int], at_once: bool, **_kwargs: Any) -> None:
    _after_commit(plans_of_subjects, subject_ids, at_once=at_once)


@receiver(plans_changed)
def _plans_changed(plan_ids: list[int], at_once: bool, **_kwargs: Any) -> None:
    _after_commit(_themselves, plan_ids, at_once=at_once)


@receiver(settings_changed)
def _settings_changed(fields: frozenset[str], **_kwargs: Any) -> None:
    """Links and signatures inside published files follow the settings."""
    if fields & renewal.SIGNED_WITH:
        renewal.forget_signatures()
    if fields & {"cdn_enabled", "cdn_endpoint", "cdn_bucket"}:
        # A place that is not in use falls behind; the next distribution finds out.
        Publication.objects.exclude(cdn_place="").update(cdn_place="")
    published = AcademicPlan.objects.filter(is_published=True)
    plan_ids = list(published.values_list("pk", flat=True))
    _after_commit(_that_differ, plan_ids, at_once=False)


@receiver(plans_on_cdn)
def _plans_on_cdn(plan_ids: list[int], **_kwargs: Any) -> None:
    """Their links may lead to the CDN now."""
    _after_commit(_themselves, plan_ids, at_once=True)


@receiver(request_finished)
def _request_finished(**_kwargs: Any) -> None:
    """The client has its answer: look whether the worker lives."""
    silence.look_now_and_then()


def wake(plan_ids: list[int], *, at_once: bool = False) -> None:
    """Queue these plans; start a worker at once when the edit or the settings say so.

    Args:
        at_once: as in `content.signals`.
    """
    if not plan_ids:
        return
    waiting = queue.add(plan_ids)
    current = PublishingSettings.get_solo()
    if at_once or current.local_fallback_mode or waiting >= current.batch_threshold:
        try:
            process_pending.delay()
        except OperationalError as error:
            log.warning("publish_wakeup_lost", error=type(error).__name__)
