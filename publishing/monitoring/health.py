"""The health check: whether students read what was published. It reports and repairs.

A repair discards the recorded state of the faulty releases (`activation.mark_for_full_build`) and
builds their plans again.
"""

from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from core.batches import batches
from core.errors import MemoraError
from publishing import alerts
from publishing.building import builds
from publishing.cdn import verification
from publishing.models import (
    AlertKind,
    FaultKind,
    HealthReport,
    Publication,
    PublishingSettings,
)
from publishing.monitoring import checks as monitoring_checks, silence, status
from publishing.storage import activation, cleanup, file_store, recovery

log = structlog.get_logger(__name__)

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LISTED = 100
_RETENTION = timedelta(days=30)
_HOUR = timedelta(minutes=50)
"""The least time between the starts of two checks of the same hour."""
_FILE_KINDS = frozenset(
    {
        FaultKind.MISSING,
        FaultKind.CORRUPT,
        FaultKind.BROKEN_LINK,
        FaultKind.WRONG_GENERATION,
        FaultKind.INCOMPLETE_SWITCH,
        FaultKind.ORPHANED,
    }
)
_DAMAGE = frozenset({FaultKind.MISSING, FaultKind.CORRUPT})
_WITH_OWN_ALERT = frozenset(
    {FaultKind.DISK_LOW, FaultKind.CDN_DIFFERS, FaultKind.SILENT}
)
_WITHOUT_ALERT = frozenset(
    {FaultKind.ORPHANED, FaultKind.REPEATED_ITEM, FaultKind.MISSING_MEDIA}
)
"""Harmless to readers, or a matter for editors: only the report lists them."""
_FILES, _SERVICE, _CDN = "files", "service", "cdn"
_MESSAGES = {
    _FILES: gettext_lazy(
        "The health check found: %(faults)s\n"
        "Its report lists them all. “manage.py check_content --full --repair” "
        "rebuilds missing and corrupt files."
    ),
    _SERVICE: gettext_lazy(
        "The health check found: %(faults)s\n"
        "Its report lists them all, and “manage.py queue_status” shows the state of "
        "publishing."
    ),
    _CDN: gettext_lazy(
        "The health check found: %(faults)s\n"
        "Its report lists them all. “manage.py verify_cdn --repair” uploads missing "
        "files and deletes unknown files."
    ),
}
"""The texts of the alerts about files, the service, and files on the CDN."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Measured values; times in seconds, ``failure_rate`` from 0 to 1."""

    queue_depth: int
    oldest_seconds: float | None
    failed_runs: int
    runs: int
    failure_rate: float
    free_percent: float
    worker_silent_seconds: float | None
    beat_silent_seconds: float | None
    dead_letters: int


def check(
    *,
    full: bool,
    plans: Collection[str] | None = None,
    repair: bool = False,
    progress: monitoring_checks.Progress | None = None,
) -> HealthReport:
    """Run the checks, repair if requested, and store a report.

    Args:
        full: check every file and every release; otherwise a sample of both.
        plans: ids of the plans to check; None: all plans and the service.
        repair: build again what is wrong, and delete orphans that are old enough.
        progress: called with the number of checked files and the total.
    """
    current = monitoring_checks.Check(
        full=full,
        plans=frozenset(plans or ()),
        now=timezone.now(),
        progress=progress or (lambda _done, _of: None),
    )
    monitoring_checks.check_switch(current)
    monitoring_checks.check_files(current)
    monitoring_checks.check_releases(current)
    if full:
        monitoring_checks.check_items(current)
        monitoring_checks.check_media(current)
    if full and current.is_about_everything:
        monitoring_checks.check_orphans(current)
    queued = status.queue_status(current.now)
    facts = _measure(current.now, queued)
    if current.is_about_everything:
        _check_service(current, queued, facts)
        _check_cdn(current, repair=repair)
    if repair:
        _repair(current)
    report = _store(current, facts)
    _alert(current, report)
    log.info(
        "health_checked",
        full=full,
        files=report.files_checked,
        faults=report.faults,
        repaired=report.repaired,
    )
    return report


def due(now: datetime) -> bool | None:
    """Return whether a check is due in this hour: True full, False a sample, None none.

    A full check is due in the hour ``HEALTH_NIGHT_HOUR``, and at any time if the last
    one is older than 26 hours (for example, the machine was off that night). A sample
    is due in each business hour. One check per hour is enough: none is due if one ran
    within the last 50 minutes, even if tasks have piled up. The settings give hours and
    weekdays, in ``HEALTH_TIME_ZONE``.
    """
    local = now.astimezone(ZoneInfo(settings.HEALTH_TIME_ZONE))
    checks = HealthReport.objects.filter(plans=[])
    recent = checks.filter(started_at__gt=now - _HOUR)
    last = checks.filter(is_full=True).values_list("started_at", flat=True).first()
    if last is None or last < now - timedelta(hours=26):
        return True
    if local.hour == settings.HEALTH_NIGHT_HOUR:
        return None if recent.filter(is_full=True).exists() else True
    in_hours = settings.HEALTH_FIRST_HOUR <= local.hour <= settings.HEALTH_LAST_HOUR
    on_day = WEEKDAYS[local.weekday()] in settings.HEALTH_WEEKDAYS
    return False if in_hours and on_day and not recent.exists() else None


def check_if_due(now: datetime) -> HealthReport | None:
    """Run the check that is due (`due`); a full one repairs with ``HEALTH_REPAIR``."""
    full = due(now)
    if full is None:
        return None
    return check(full=full, repair=full and settings.HEALTH_REPAIR)


# --- The service ----------------------------------------------------------------------


def _measure(now: datetime, queued: status.QueueStatus) -> Facts:
    failed, runs = status.failure_rate(now)
    return Facts(
        queue_depth=len(queued.pending),
        oldest_seconds=queued.waiting_seconds,
        failed_runs=failed,
        runs=runs,
        failure_rate=round(failed / runs, 3) if runs else 0.0,
        free_percent=round(file_store.free_percent(), 1),
        worker_silent_seconds=_seconds_since(queued.worker_seen, now),
        beat_silent_seconds=_seconds_since(queued.beat_seen, now),
        dead_letters=len(queued.dead_letters),
    )


def _seconds_since(seen: datetime | None, now: datetime) -> float | None:
    return None if seen is None else (now - seen).total_seconds()


def _check_service(
    current: monitoring_checks.Check, queued: status.QueueStatus, facts: Facts
) -> None:
    for plans, why in (
        (queued.pending, _("it has waited %(minutes)d minutes to be published")),
        (
            queued.withdrawing,
            _("it should have been withdrawn %(minutes)d minutes ago"),
        ),
    ):
        for plan in queued.overdue(plans):
            assert plan.since is not None
            minutes = int((current.now - plan.since).total_seconds() // 60)
            current.add(FaultKind.STALE, plan.plan, why % {"minutes": minutes})
    if (
        facts.failed_runs >= settings.HEALTH_MIN_FAILURES
        and facts.failure_rate > settings.HEALTH_FAILURE_RATE
    ):
        why = _("%(failed)d of the last 24 hours' %(runs)d builds failed")
        current.add(
            FaultKind.FAILING,
            "",
            why % {"failed": facts.failed_runs, "runs": facts.runs},
        )
    minimum = PublishingSettings.get_solo().min_free_disk_percent
    if facts.free_percent < minimum:
        why = _("%(free).1f %% is free; publishing pauses below %(least)d %%")
        current.add(
            FaultKind.DISK_LOW,
            str(file_store.root()),
            why % {"free": facts.free_percent, "least": minimum},
        )
    if not queued.worker_is_alive:
        why = (
            _("no worker has reported yet; is a worker running?")
            if facts.worker_silent_seconds is None
            else _("the worker's last heartbeat was %(seconds)d seconds ago")
            % {"seconds": facts.worker_silent_seconds}
        )
        current.add(FaultKind.SILENT, "", why)
    elif not queued.beat_is_alive:
        why = (
            _("beat has not sent anything yet; is it running?")
            if facts.beat_silent_seconds is None
            else _("beat's last heartbeat was %(seconds)d seconds ago")
            % {"seconds": facts.beat_silent_seconds}
        )
        current.add(FaultKind.SILENT, "", why)


def _check_cdn(current: monitoring_checks.Check, *, repair: bool) -> None:
    """Check that the CDN answers; in a full check, also compare its files."""
    if not PublishingSettings.get_solo().cdn_enabled:
        return
    try:
        if not current.full:
            verification.ping()
            return
        before = verification.verify()
        after = verification.verify(repair=True) if repair and not before.ok else before
    except MemoraError as error:
        current.add(FaultKind.CDN_SILENT, "", error.message)
        return
    left = set(after.findings)
    for found in before.findings:
        current.add(FaultKind.CDN_DIFFERS, found.path, f"{found.place}: {found.why}")
        current.found[-1].repaired = found not in left


# --- Repair ---------------------------------------------------------------------------


def _repair(current: monitoring_checks.Check) -> None:
    """Build again what is wrong, delete orphans, and mark the repaired faults."""
    recovery.recover_if_incomplete()
    plan_pks = {pk for found in current.found for pk in found.plans}
    # A build would undo a rollback, so a plan that was rolled back is left out.
    publications = list(
        Publication.objects.filter(pk__in=plan_pks, rolled_back_at__isnull=True)
    )
    if publications:
        activation.mark_for_full_build([publication.pk for publication in publications])
    for publication in publications:
        if publication.plan_id is not None:
            # If another builder is at work, the check below reports what remains.
            with suppress(builds.BuildInProgressError):
                builds.publish_plan(
                    publication.plan_id,
                    trigger="repair",
                    wait_seconds=builds.LOCK_WAIT_SECONDS,
                )
    removed = _remove_orphans(current)
    left = _release_faults_left(plan_pks)
    damaged = _still_damaged(current)
    for found in current.found:
        if found.kind in _DAMAGE:
            found.repaired = found.what not in damaged
        elif found.kind is FaultKind.ORPHANED:
            found.repaired = found.what in removed
        elif found.kind in _FILE_KINDS:
            found.repaired = (found.kind, found.what) not in left


def _release_faults_left(publications: Collection[int]) -> set[tuple[FaultKind, str]]:
    versions = monitoring_checks.lesson_versions()
    return {
        (kind, what)
        for publication in Publication.objects.filter(pk__in=publications)
        for kind, what, _why in monitoring_checks.release_faults(publication, versions)
    }


def _still_damaged(current: monitoring_checks.Check) -> set[str]:
    """Return those missing and corrupt files that are still so."""
    paths = sorted({found.what for found in current.found if found.kind in _DAMAGE})
    return {
        row.path
        for chunk in batches(paths, monitoring_checks.UNDER_LOCK)
        for row, _kind, _why in monitoring_checks.faulty(chunk)
    }


def _remove_orphans(current: monitoring_checks.Check) -> set[str]:
    """Delete the found orphans that are still orphans and past the grace period.

    The grace period (``HEALTH_ORPHAN_GRACE``) protects the files of a running build.

    Returns:
        The deleted paths, as named in the faults.
    """
    found = {item.what for item in current.found if item.kind is FaultKind.ORPHANED}
    if not found:
        return set()
    cleanup.remove_unneeded_lessons()
    limit = current.now.timestamp() - settings.HEALTH_ORPHAN_GRACE
    removed: set[str] = set()
    with transaction.atomic():
        if activation.has_incomplete_switch(activation.take_switch_lock()):
            return removed
        still = set(monitoring_checks.orphans())
        for path in found & still:
            if file_store.is_older(path, than=limit):
                file_store.remove_orphan(path)
                removed.add(path)
    file_store.delete_discarded()
    return removed | (found - still)


# --- The report -----------------------------------------------------------------------


def _store(current: monitoring_checks.Check, facts: Facts) -> HealthReport:
    """Store the report and delete reports older than 30 days."""
    by_kind: dict[str, list[monitoring_checks.Found]] = defaultdict(list)
    for found in current.found:
        by_kind[found.kind.value].append(found)
    repaired = sum(found.repaired for found in current.found)
    report = HealthReport.objects.create(
        is_full=current.full,
        plans=sorted(current.plans),
        started_at=current.now,
        finished_at=timezone.now(),
        files_checked=current.files_checked,
        faults=len(current.found) - repaired,
        repaired=repaired,
        counts={kind: len(items) for kind, items in by_kind.items()},
        findings={
            kind: [
                {"what": found.what, "why": found.why, "repaired": found.repaired}
                for found in items[:_LISTED]
            ]
            for kind, items in by_kind.items()
        },
        facts=asdict(facts),
    )
    HealthReport.objects.filter(started_at__lt=current.now - _RETENTION).delete()
    return report


def _alert(current: monitoring_checks.Check, report: HealthReport) -> None:
    """Raise or resolve alerts, as far as this check covers them.

    `_WITH_OWN_ALERT` and dead letters have their own alerts.
    """
    left = [
        found
        for found in current.found
        if not found.repaired and found.kind not in _WITHOUT_ALERT
    ]
    files = [found for found in left if found.kind in _FILE_KINDS]
    service = [
        found
        for found in left
        if found.kind not in _FILE_KINDS and found.kind not in _WITH_OWN_ALERT
    ]
    on_cdn = [found for found in left if found.kind is FaultKind.CDN_DIFFERS]
    everything = current.is_about_everything
    if everything:
        silence.check_heartbeats(current.now)
    _raise_or_resolve(_FILES, files, may_resolve=everything and current.full)
    _raise_or_resolve(_SERVICE, service, may_resolve=everything)
    _raise_or_resolve(_CDN, on_cdn, may_resolve=everything and current.full)


def _raise_or_resolve(
    key: str, left: list[monitoring_checks.Found], *, may_resolve: bool
) -> None:
    if left:
        alerts.raise_alert(
            kind=AlertKind.HEALTH_FAULT,
            key=key,
            message=_MESSAGES[key],
            values={
                "faults": "; ".join(_describe_finding(found) for found in left[:5])
            },
        )
    elif may_resolve:
        alerts.resolve(kind=AlertKind.HEALTH_FAULT, key=key)


def _describe_finding(found: monitoring_checks.Found) -> str:
    what = f"{found.kind.label} {found.what}".strip()
    return f"{what} ({found.why})"
