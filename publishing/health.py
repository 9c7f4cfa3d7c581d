"""Is what students read what was published: the check, its report, and mending it.

The tables are compared with the disk without stopping anybody. What looks wrong is
looked at again under the lock that every switch takes, so that a release switched in
meanwhile is no fault. Mending is always the same: what is wrong is not believed any
more, and the plan is built anew (`release.distrust`).
"""

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from publishing import (
    alerts,
    builds,
    changes,
    encoding,
    locations,
    mending,
    release,
    staging,
    status,
)
from publishing.closure import Fault, follow
from publishing.models import (
    AlertKind,
    FaultKind,
    HealthReport,
    LessonOffer,
    Publication,
    PublishedDocument,
    PublishingSettings,
)

log = structlog.get_logger(__name__)

Progress = Callable[[int, int], None]
"""Told how many files are done, of how many."""

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LISTED = 100
_UNDER_LOCK = 200
_KEPT = timedelta(days=30)
_FILE_KINDS = frozenset(
    {
        FaultKind.MISSING,
        FaultKind.CORRUPT,
        FaultKind.BROKEN_LINK,
        FaultKind.WRONG_GENERATION,
        FaultKind.TORN,
        FaultKind.ORPHANED,
    }
)
_DAMAGE = frozenset({FaultKind.MISSING, FaultKind.CORRUPT})
_FILES, _SERVICE = "files", "service"


@dataclass(slots=True)
class Found:
    """One fault: of what, why, and the plans whose build would mend it."""

    kind: FaultKind
    what: str
    why: str
    plans: frozenset[int] = frozenset()
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured; seconds, percents and shares of one."""

    queue_depth: int
    oldest_seconds: float | None
    failed_runs: int
    runs: int
    failure_rate: float
    free_percent: float
    heartbeat_seconds: float | None
    dead_letters: int


@dataclass(slots=True)
class _Check:
    """One check under way."""

    full: bool
    plans: frozenset[str]
    now: datetime
    progress: Progress
    found: list[Found] = field(default_factory=list)
    files_checked: int = 0

    def add(
        self, kind: FaultKind, what: str, why: str, plans: Iterable[int] = ()
    ) -> None:
        self.found.append(Found(kind, what, why, frozenset(plans)))

    @property
    def is_about_everything(self) -> bool:
        return not self.plans


def check(
    *,
    full: bool,
    plans: Collection[str] | None = None,
    repair: bool = False,
    progress: Progress | None = None,
) -> HealthReport:
    """Look, mend when asked, and store a report.

    Args:
        full: every file and every release; otherwise a sample of both.
        plans: ids of the plans to look at; None looks at all, and at the service too.
        repair: build anew what is wrong and delete orphans that are old enough.
        progress: told how far it is.
    """
    current = _Check(
        full=full,
        plans=frozenset(plans or ()),
        now=timezone.now(),
        progress=progress or (lambda _done, _of: None),
    )
    _check_switch(current)
    _check_files(current)
    _check_releases(current)
    if full and current.is_about_everything:
        _check_orphans(current)
    queued = status.queue_status(current.now)
    facts = _measure(current.now, queued)
    if current.is_about_everything:
        _check_service(current, queued, facts)
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
    """Whether a check is due in this hour: True a full one, False a sample, None none.

    Full in the night's hour, and whenever the last is older than a day and a bit (the
    machine was off that night); a sample in each business hour. Hours and weekdays are
    the settings', in their time zone.
    """
    local = now.astimezone(ZoneInfo(settings.HEALTH_TIME_ZONE))
    last = (
        HealthReport.objects.filter(is_full=True, plans=[])
        .values_list("started_at", flat=True)
        .first()
    )
    if last is None or last < now - timedelta(hours=26):
        return True
    if local.hour == settings.HEALTH_NIGHT_HOUR:
        return True
    in_hours = settings.HEALTH_FIRST_HOUR <= local.hour <= settings.HEALTH_LAST_HOUR
    on_day = WEEKDAYS[local.weekday()] in settings.HEALTH_WEEKDAYS
    return False if in_hours and on_day else None


# --- The disk against the tables, in one number ---------------------------------------


def _check_switch(current: _Check) -> None:
    """Whether a change of what readers see was begun and never written down."""
    with transaction.atomic():
        if release.is_torn(release.take_switch_lock()):
            why = _("a build died between changing the disk and writing it down")
            current.add(FaultKind.TORN, "", why)


# --- Files against their records ------------------------------------------------------


def _check_files(current: _Check) -> None:
    rows = _documents(current)
    total = len(rows)
    suspects = []
    for number, (path, digest) in enumerate(rows, start=1):
        if _file_fault(path, digest) is not None:
            suspects.append(path)
        if number % 100 == 0 or number == total:
            current.progress(number, total)
    current.files_checked = total
    for chunk in _chunks(suspects, _UNDER_LOCK):
        with transaction.atomic():
            release.take_switch_lock()
            faults = _faulty(chunk)
            builders = _builders_of([row for row, _kind, _why in faults])
        for row, kind, why in faults:
            current.add(kind, row.path, why, builders[row.path])


def _faulty(paths: Sequence[str]) -> list[tuple[PublishedDocument, FaultKind, str]]:
    """Those of the recorded files that are not as recorded. One query."""
    found = []
    for row in PublishedDocument.objects.filter(path__in=paths).order_by("path"):
        fault = _file_fault(row.path, row.sha256)
        if fault is not None:
            found.append((row, *fault))
    return found


def _documents(current: _Check) -> Sequence[tuple[str, str]]:
    """The path and hash of every file to look at.

    Not of plans about to be withdrawn: theirs may go at any moment.
    """
    rows = PublishedDocument.objects.exclude(publication__in=changes.to_withdraw())
    if current.plans:
        offered = LessonOffer.objects.filter(
            publication__plan_public_id__in=current.plans
        )
        rows = rows.filter(
            Q(publication__plan_public_id__in=current.plans)
            | Q(lesson_id__in=offered.values("lesson_id"))
        )
    if not current.full:
        # A random set of keys, then their rows: the database need not sort them all.
        keys = list(rows.values_list("pk", flat=True))
        chosen = random.sample(keys, min(settings.HEALTH_SAMPLE, len(keys)))
        rows = PublishedDocument.objects.filter(pk__in=chosen)
    return list(rows.order_by("path").values_list("path", "sha256"))


def _file_fault(path: str, digest: str) -> tuple[FaultKind, str] | None:
    try:
        data = staging.read(path)
    except OSError as error:
        why = _("it cannot be read: %(why)s") % {"why": error.strerror}
        return FaultKind.CORRUPT, why
    if data is None:
        return FaultKind.MISSING, _("there is no such file")
    if encoding.sha256(data) != digest:
        return FaultKind.CORRUPT, _("its bytes are not those that were published")
    return None


def _builders_of(rows: Sequence[PublishedDocument]) -> dict[str, set[int]]:
    """The publications whose build writes each of these files, by path. One query."""
    lessons = {row.lesson_id: row.path for row in rows if row.lesson_id}
    builders = {row.path: {row.publication_id} - {None} for row in rows}
    offers = LessonOffer.objects.filter(lesson_id__in=lessons)
    for lesson_id, publication_pk in offers.values_list("lesson_id", "publication_id"):
        builders[lessons[lesson_id]].add(publication_pk)
    return {path: {pk for pk in found if pk} for path, found in builders.items()}


# --- Releases as a whole --------------------------------------------------------------


def _check_releases(current: _Check) -> None:
    publications = _publications(current)
    versions = _lesson_versions()
    suspects = [
        publication
        for publication in publications
        if next(_release_faults(publication, versions), None) is not None
    ]
    for publication in suspects:
        with transaction.atomic():
            release.take_switch_lock()
            again = Publication.objects.filter(pk=publication.pk).first()
            if again is None:
                continue
            for kind, what, why in _release_faults(again, _lesson_versions()):
                current.add(kind, what, why, [again.pk])


def _publications(current: _Check) -> list[Publication]:
    rows = Publication.objects.exclude(pk__in=changes.to_withdraw()).order_by("pk")
    if current.plans:
        rows = rows.filter(plan_public_id__in=current.plans)
    found = list(rows)
    if current.full:
        return found
    return random.sample(found, min(settings.HEALTH_SAMPLE_PLANS, len(found)))


def _lesson_versions() -> dict[str, int]:
    rows = PublishedDocument.objects.filter(lesson_id__gt="")
    return dict(rows.values_list("path", "version"))


def _release_faults(
    publication: Publication, versions: dict[str, int]
) -> Iterator[tuple[FaultKind, str, str]]:
    plan_id = publication.plan_public_id
    number = staging.current_generation(plan_id)
    if number != publication.generation:
        yield (
            FaultKind.WRONG_GENERATION,
            plan_id,
            _("readers see generation %(there)s, the tables say %(recorded)s")
            % {"there": number, "recorded": publication.generation},
        )
    if number is None:
        return
    closure = follow(plan_id, number)
    faults: list[Fault] = [*closure.faults, *closure.lesson_faults(versions)]
    for path, why in faults:
        yield FaultKind.BROKEN_LINK, path, why


# --- Orphans --------------------------------------------------------------------------


def _check_orphans(current: _Check) -> None:
    """Files nobody has a record of, and records of lessons nobody offers."""
    with transaction.atomic():
        lock = release.take_switch_lock()
        if release.is_torn(lock):
            # What a dead builder put in place has no record yet, and may have readers.
            return
        for path, why in _orphans().items():
            current.add(FaultKind.ORPHANED, path, why)


def _orphans() -> dict[str, str]:
    """Content paths of files and folders without a reader, each with the reason."""
    return {
        **dict.fromkeys(_orphaned_lessons(), _("no release offers this lesson")),
        **dict.fromkeys(_orphaned_plan_files(), _("no release has this file")),
        **dict.fromkeys(
            (staging.place_of(plan_id) for plan_id in _orphaned_plans()),
            _("there is no such plan any more"),
        ),
    }


def _orphaned_lessons() -> list[str]:
    """Lesson files without record or reader."""
    there = staging.lesson_files() | staging.lesson_backups()
    recorded = set(
        PublishedDocument.objects.filter(lesson_id__gt="").values_list(
            "path", flat=True
        )
    )
    return sorted((there - recorded) | set(_unoffered().values_list("path", flat=True)))


def _unoffered() -> QuerySet[PublishedDocument]:
    return PublishedDocument.objects.filter(lesson_id__gt="").exclude(
        Exists(LessonOffer.objects.filter(lesson_id=OuterRef("lesson_id")))
    )


def _orphaned_plan_files() -> list[str]:
    found: list[str] = []
    for publication in Publication.objects.filter(
        switching__isnull=True, generation__isnull=False
    ).order_by("pk"):
        plan_id = publication.plan_public_id
        if staging.current_generation(plan_id) != publication.generation:
            continue  # a fault of its own; the tables are about another generation
        folder = locations.plan_folder(plan_id)
        there = {
            f"{folder}/{name}"
            for name in staging.files_of(plan_id, publication.generation)
        }
        found += sorted(
            there - set(publication.documents.values_list("path", flat=True))
        )
    return found


def _orphaned_plans() -> list[str]:
    known = set(Publication.objects.values_list("plan_public_id", flat=True))
    return sorted(staging.plans_on_disk() - known)


# --- The service ----------------------------------------------------------------------


def _measure(now: datetime, queued: status.QueueStatus) -> Facts:
    failed, runs = status.failure_rate(now)
    beat = queued.heartbeat
    return Facts(
        queue_depth=len(queued.pending),
        oldest_seconds=queued.oldest_seconds,
        failed_runs=failed,
        runs=runs,
        failure_rate=round(failed / runs, 3) if runs else 0.0,
        free_percent=round(staging.free_percent(), 1),
        heartbeat_seconds=(now - beat).total_seconds() if beat else None,
        dead_letters=len(queued.dead_letters),
    )


def _check_service(current: _Check, queued: status.QueueStatus, facts: Facts) -> None:
    limit = timedelta(minutes=settings.HEALTH_STALE_MINUTES)
    for plan in queued.pending:
        if plan.since is not None and current.now - plan.since > limit:
            minutes = int((current.now - plan.since).total_seconds() // 60)
            why = _("it has waited %(minutes)d minutes to be published")
            current.add(FaultKind.STALE, plan.plan, why % {"minutes": minutes})
    if (
        facts.failed_runs >= settings.HEALTH_LEAST_FAILURES
        and facts.failure_rate > settings.HEALTH_FAILURE_RATE
    ):
        why = _("%(failed)d of the last 24 hours' %(runs)d builds failed")
        current.add(
            FaultKind.FAILING,
            "",
            why % {"failed": facts.failed_runs, "runs": facts.runs},
        )
    least = PublishingSettings.get_solo().min_free_disk_percent
    if facts.free_percent < least:
        why = _("%(free).1f %% is free; publishing pauses below %(least)d %%")
        current.add(
            FaultKind.DISK_LOW,
            str(staging.root()),
            why % {"free": facts.free_percent, "least": least},
        )
    silence = facts.heartbeat_seconds
    if silence is None or silence > settings.HEALTH_SILENT_SECONDS:
        why = (
            _("no worker has ever reported; are worker and beat running?")
            if silence is None
            else _("the last sign of life is %(seconds)d seconds old")
            % {"seconds": silence}
        )
        current.add(FaultKind.SILENT, "", why)


# --- Mending --------------------------------------------------------------------------


def _repair(current: _Check) -> None:
    """Build anew what is wrong, delete orphans, and see what that mended."""
    mending.mend_if_torn()
    wanted = {pk for found in current.found for pk in found.plans}
    # Building would undo a rollback: its plan waits for somebody to publish it.
    publications = list(
        Publication.objects.filter(pk__in=wanted, rolled_back_at__isnull=True)
    )
    if publications:
        release.distrust([publication.pk for publication in publications])
    for publication in publications:
        if publication.plan_id is not None:
            builds.publish_plan(publication.plan_id, trigger="repair")
    removed = _remove_orphans(current)
    left = _release_faults_left(wanted)
    damaged = _still_damaged(current)
    for found in current.found:
        if found.kind in _DAMAGE:
            found.repaired = found.what not in damaged
        elif found.kind is FaultKind.ORPHANED:
            found.repaired = found.what in removed
        elif found.kind in _FILE_KINDS:
            found.repaired = (found.kind, found.what) not in left


def _release_faults_left(publications: Collection[int]) -> set[tuple[FaultKind, str]]:
    versions = _lesson_versions()
    return {
        (kind, what)
        for publication in Publication.objects.filter(pk__in=publications)
        for kind, what, _why in _release_faults(publication, versions)
    }


def _still_damaged(current: _Check) -> set[str]:
    """Those of the missing and corrupt files that are so still."""
    paths = sorted({found.what for found in current.found if found.kind in _DAMAGE})
    return {
        row.path
        for chunk in _chunks(paths, _UNDER_LOCK)
        for row, _kind, _why in _faulty(chunk)
    }


def _remove_orphans(current: _Check) -> set[str]:
    """Delete those found that still are orphans and belong to no living build.

    Returns:
        What was deleted, named as it was found.
    """
    found = {item.what for item in current.found if item.kind is FaultKind.ORPHANED}
    if not found:
        return set()
    release.remove_unoffered_lessons()
    limit = current.now.timestamp() - settings.HEALTH_ORPHAN_GRACE
    removed: set[str] = set()
    with transaction.atomic():
        if release.is_torn(release.take_switch_lock()):
            return removed
        still = set(_orphans())
        for path in found & still:
            if staging.is_older(path, than=limit):
                staging.remove_orphan(path)
                removed.add(path)
    return removed | (found - still)


# --- The report -----------------------------------------------------------------------


def _store(current: _Check, facts: Facts) -> HealthReport:
    """Write the report down, and forget those that are too old."""
    by_kind: dict[str, list[Found]] = defaultdict(list)
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
    HealthReport.objects.filter(started_at__lt=current.now - _KEPT).delete()
    return report


def _alert(current: _Check, report: HealthReport) -> None:
    """Raise or resolve, as far as this check can tell.

    Orphans harm nobody, and the disk and dead letters have alerts of their own.
    """
    left = [found for found in current.found if not found.repaired]
    files = [
        found
        for found in left
        if found.kind in _FILE_KINDS and found.kind is not FaultKind.ORPHANED
    ]
    service = [
        found
        for found in left
        if found.kind not in _FILE_KINDS and found.kind is not FaultKind.DISK_LOW
    ]
    everything = current.is_about_everything
    _raise_or_resolve(_FILES, files, may_resolve=everything and current.full)
    _raise_or_resolve(_SERVICE, service, may_resolve=everything)


def _raise_or_resolve(key: str, left: list[Found], *, may_resolve: bool) -> None:
    if left:
        alerts.raise_alert(
            kind=AlertKind.HEALTH_FAULT,
            key=key,
            message=gettext_lazy(
                "The health check found: %(faults)s\nIts report lists them all. “manage.py "
                "content_health --full --repair” builds anew what is missing or corrupt."
                if key == _FILES
                else "The health check found: %(faults)s\nIts report lists them all, and "
                "“manage.py queue_status” says how publishing stands."
            ),
            values={"faults": "; ".join(_in_words(found) for found in left[:5])},
        )
    elif may_resolve:
        alerts.resolve(kind=AlertKind.HEALTH_FAULT, key=key)


def _in_words(found: Found) -> str:
    what = f"{found.kind.label} {found.what}".strip()
    return f"{what} ({found.why})"


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
