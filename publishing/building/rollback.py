"""Roll back: make a kept generation the current release again.

The rules and their reasons:

- A rollback is one rename, under the lock that every switch takes. The tables are then
  set to what readers see: the generation's files and the lessons it offers.
- Lessons are shared by plans and stay as they are: a lesson may be newer than the
  version that the generation names. Lessons hidden in the meantime were kept for this
  (`publishing.storage.cleanup`). A lesson that is gone or older would break its link,
  so the rollback is refused.
- The plan is held from then on: edits of it, of its subjects and of the settings are
  kept and not published, until a publisher releases it (`release`). The build after
  that makes a new generation with a new number, with everything in the database.
- Files keep their bytes, so an earlier version may return. For each path the tables
  keep the highest version ever published, and the next build writes every file that
  the rollback changed with a higher one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from django.db import DatabaseError, OperationalError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from core.db import is_conflict
from core.errors import MemoraError
from plans.models import AcademicPlan
from publishing import alerts, attempts, queue, staleness, sync_log
from publishing.format import encoding
from publishing.models import (
    AlertKind,
    PlanLesson,
    Publication,
    PublishedDocument,
    SyncLog,
)
from publishing.storage import activation, cleanup, file_store, recovery
from publishing.storage.link_check import ReleaseContents, read_release

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

log = structlog.get_logger(__name__)

_NAMED = 5
"""Maximum number of faults named in an error."""
_ATTEMPTS = 5


class RollbackError(MemoraError):
    """The generation cannot be made current; readers see no change."""

    code = "ROLLBACK_REFUSED"


@dataclass(frozen=True, slots=True)
class KeptRelease:
    """A generation that can be made current."""

    number: int
    is_current: bool
    log: SyncLog | None
    """The run that made it, if it is still in the sync log."""


def kept_releases(plan_id: str) -> list[KeptRelease]:
    """Return the plan's generations on this disk, newest first.

    Raises:
        OSError: the disk cannot be read.
    """
    current = file_store.current_generation(plan_id)
    numbers = file_store.kept_generations(plan_id)
    made = {
        entry.generation: entry
        for entry in SyncLog.objects.filter(
            plan_public_id=plan_id, generation__in=numbers
        )
        .exclude(trigger=SyncLog.ROLLBACK)
        .select_related("started_by")
        .order_by("-pk")
    }
    return [
        KeptRelease(number, number == current, made.get(number))
        for number in reversed(numbers)
    ]


def make_current(
    plan_id: str, generation: int, *, by: "AbstractBaseUser | None" = None
) -> SyncLog:
    """Make a kept generation the current release again.

    Args:
        plan_id: the plan's public id.
        by: the user who requested it; None for the command line.

    Returns:
        The sync log entry of the rollback.

    Raises:
        RollbackError: the rollback was refused, with the reason; readers see no change.
        OSError: the disk failed. Readers see no change, unless it failed after the
            rename: then the next sweep publishes the plan's current sources.
    """
    plan = AcademicPlan.objects.filter(public_id=plan_id, is_published=True).first()
    if plan is None:
        raise RollbackError(
            _("There is no published plan %(plan)s.") % {"plan": plan_id}
        )
    with queue.build_lock(plan.pk) as held:
        if not held:
            raise RollbackError(
                _(
                    "The plan %(plan)s is being built right now. Try again when that "
                    "build is done."
                )
                % {"plan": plan_id}
            )
        recovery.recover_if_incomplete()
        _require_kept(plan_id, generation)
        publication, before = _mark_started(plan_id)
        try:
            entry = _switch_with_retries(publication, before, generation, by)
        except BaseException:
            if _is_shown(before):
                # Readers see no change, so the publication is restored.
                _restore_publication(publication, before)
            raise
    activation.reconcile_open_lessons_quietly()
    queue.remove([plan.pk])
    log.info("plan_rolled_back", plan=plan_id, generation=generation)
    return entry


def is_held(plan_pk: int) -> bool:
    """Return whether the plan was rolled back and not released. One query."""
    return _held(plan_pk).exists()


def release(plan_pk: int) -> bool:
    """Let a held plan be built again; return False if it is not held.

    The next build makes all of its documents.
    """
    return bool(_held(plan_pk).update(rolled_back_at=None, built_from={}))


def _held(plan_pk: int) -> QuerySet[Publication]:
    return Publication.objects.filter(
        plan=plan_pk, plan__is_published=True, rolled_back_at__isnull=False
    )


def _require_kept(plan_id: str, generation: int) -> None:
    current = file_store.current_generation(plan_id)
    numbers = file_store.kept_generations(plan_id)
    if generation == current:
        raise RollbackError(
            _("Generation %(generation)d of the plan %(plan)s is the current one.")
            % {"generation": generation, "plan": plan_id}
        )
    if generation not in numbers:
        raise RollbackError(
            _(
                "There is no generation %(generation)d of the plan %(plan)s. Kept "
                "generations: %(kept)s."
            )
            % {
                "generation": generation,
                "plan": plan_id,
                "kept": ", ".join(str(number) for number in numbers) or "—",
            }
        )


def _mark_started(plan_id: str) -> tuple[Publication, Publication]:
    """Mark the disk as possibly newer than the tables; builds in progress then stop.

    If this process stops after this, the next sweep builds the plan again.

    Returns:
        The publication now, and as it was before.
    """
    with transaction.atomic():
        publication = Publication.objects.select_for_update().get(
            plan_public_id=plan_id
        )
        before = Publication.objects.get(pk=publication.pk)
        publication.build_number += 1
        publication.needs_full_build_since = publication.build_number
        publication.built_from = {}
        publication.save(
            update_fields=["build_number", "needs_full_build_since", "built_from"]
        )
    return publication, before


def _is_shown(publication: Publication) -> bool:
    """Return whether readers see the generation that this row names."""
    try:
        current = file_store.current_generation(publication.plan_public_id)
    except OSError:
        return False
    return current == publication.generation


def _restore_publication(publication: Publication, before: Publication) -> None:
    mine = Publication.objects.filter(
        pk=publication.pk, build_number=publication.build_number
    )
    try:
        mine.update(
            needs_full_build_since=before.needs_full_build_since,
            built_from=before.built_from,
        )
    except DatabaseError:
        # The next sweep publishes the plan's current sources.
        log.exception("rollback_not_withdrawn", plan=publication.plan_public_id)


def _switch_with_retries(
    publication: Publication,
    before: Publication,
    generation: int,
    by: "AbstractBaseUser | None",
) -> SyncLog:
    """Call `_switch`, and retry when the database aborts it for another transaction.

    Raises:
        RollbackError: every attempt was aborted.
    """
    for _lost in range(_ATTEMPTS):
        try:
            with transaction.atomic():
                return _switch(publication, before, generation, by)
        except OperationalError as error:
            if not (is_conflict(error) and _is_shown(before)):
                raise
    raise RollbackError(_("The database is busy with other work. Try again."))


def _switch(
    publication: Publication,
    before: Publication,
    generation: int,
    by: "AbstractBaseUser | None",
) -> SyncLog:
    """Rename, and record what readers see; runs in the caller's transaction."""
    now = timezone.now()
    counters = activation.take_switch_lock()
    # Lock the plan before its publication, in the order of a build's claim: the log
    # entry below needs the plan's row, too.
    plans = AcademicPlan.objects.select_for_update().filter(pk=publication.plan_id)
    plan_pks = list(plans.values_list("pk", flat=True))
    current = Publication.objects.select_for_update().get(pk=publication.pk)
    if (
        current.build_number != publication.build_number
        or activation.has_incomplete_switch(counters)
    ):
        raise RollbackError(
            _("A build of the plan %(plan)s has just started. Try again.")
            % {"plan": publication.plan_public_id}
        )
    closure = read_release(publication.plan_public_id, generation)
    _require_whole(closure)
    activation.begin_switch(counters)
    file_store.switch(publication.plan_public_id, generation)
    changed, removed = recovery.record_files(current, closure)
    _record_lessons(current, closure)
    current.generation = generation
    # A build that stopped during an earlier switch may have left newer lessons than the
    # tables record: its mark stays for the next build.
    current.needs_full_build_since = before.needs_full_build_since
    # Later changes are those that the plan's page shows as kept. A plan unpublished in
    # the meantime has no sources; it is withdrawn later.
    current.built_from = staleness.current_sources(plan_pks[0]) if plan_pks else {}
    current.published_at = current.rolled_back_at = now
    current.save()
    return _create_log_entry(
        current, now, by, changed, removed, unchanged=len(closure.files) - changed
    )


def _require_whole(closure: ReleaseContents) -> None:
    """Refuse a generation with a damaged file or a missing lesson.

    Raises:
        RollbackError: names the first few faults.
    """
    faults = closure.faults or list(closure.lesson_faults(_lesson_versions(closure)))
    if faults:
        first = "; ".join(f"{path}: {reason}" for path, reason in faults[:_NAMED])
        raise RollbackError(
            _(
                "Generation %(generation)d of the plan %(plan)s cannot be made "
                "current because it has broken links (%(count)d): %(first)s"
            )
            % {
                "generation": closure.number,
                "plan": closure.plan_id,
                "count": len(faults),
                "first": first,
            },
            details={"faults": len(faults)},
        )


def _lesson_versions(closure: ReleaseContents) -> dict[str, int]:
    """Return the versions of the lessons that exist on disk, by path.

    No health check covers lessons that no plan offers: their files are read here.
    """
    there = file_store.lesson_files()
    rows = PublishedDocument.objects.filter(lesson_id__gt="")
    known = dict(rows.values_list("path", "version"))
    unoffered = dict(cleanup.unoffered_lessons().values_list("path", "sha256"))
    versions = {}
    for lesson in closure.lessons.values():
        path, version = lesson.path, known.get(lesson.path)
        if path not in there:
            continue
        if version is None or path in unoffered:
            data = file_store.read(path) or b""
            if path in unoffered and encoding.sha256(data) != unoffered[path]:
                continue
            # No row: written by a build that stopped before its commit.
            version = version or encoding.version_of(data)
        versions[path] = version
    return versions


def _record_lessons(publication: Publication, closure: ReleaseContents) -> None:
    """Record the generation's lessons, and mark plans whose links change."""
    plan_lessons: Mapping[str, bool] = {
        lesson.id: lesson.is_open for lesson in closure.lessons.values()
    }
    flipped = activation.record_plan_lessons(publication, plan_lessons)
    staleness.mark_plans_for_rebuild(flipped, besides=publication)
    ungated = {lesson.id for lesson in closure.lessons.values() if not lesson.gated}
    open_now = PlanLesson.objects.filter(is_open=True, lesson_id__in=ungated)
    if now_gated := ungated - set(open_now.values_list("lesson_id", flat=True)):
        # Their links lead to files that need a token now; the next build corrects them.
        log.warning(
            "rolled_back_links_are_gated",
            plan=publication.plan_public_id,
            lessons=len(now_gated),
        )


def _create_log_entry(
    publication: Publication,
    now: datetime,
    by: "AbstractBaseUser | None",
    changed: int,
    removed: int,
    *,
    unchanged: int,
) -> SyncLog:
    """Create the log entry, and close all unfinished runs of the plan."""
    attempts.supersede(
        SyncLog.objects.filter(
            plan_public_id=publication.plan_public_id,
            status__in=attempts.UNFINISHED,
        )
    )
    alerts.resolve(kind=AlertKind.DEAD_LETTER, key=publication.plan_public_id)
    return SyncLog.objects.create(
        plan_id=publication.plan_id,
        plan_public_id=publication.plan_public_id,
        trigger=SyncLog.ROLLBACK,
        started_by_id=by.pk if by is not None else None,
        sources=publication.built_from,
        generation=publication.generation,
        files_written=changed,
        files_unchanged=unchanged,
        files_removed=removed,
        created_at=now,
        started_at=now,
        finished_at=timezone.now(),
        **{"attempts": 1, **sync_log.after_switch(now)},
    )
