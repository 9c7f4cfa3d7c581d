"""Going back: a kept generation becomes the current release again.

What is decided here, and why:

- It is one rename, under the lock every switch takes. The tables then describe what
  readers see: the generation's files, and the lessons it offers.
- Lessons are shared by plans and stay as they are: newer than the generation names is
  fine. Those that were hidden meanwhile were kept for this
  (`publishing.storage.cleanup`). A lesson that is gone or older refuses the rollback,
  for its link would break.
- What waits to be published at that moment counts as seen, so the sweep does not undo
  the rollback. The next edit of the plan, of one of its subjects or of the settings
  does, as does "Publish now"; they build a new generation with a new number. What
  other plans do does not, even where it gates a lesson of this one or frees it.
- Files keep their bytes, so an earlier version may come back. For each path the
  tables keep the highest version ever published, and the next build writes every file
  the rollback changed under a higher one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from django.db import DatabaseError, OperationalError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from core.db import is_conflict
from core.errors import MemoraError
from plans.models import AcademicPlan
from publishing import alerts, queue, staleness, sync_log
from publishing.format import encoding
from publishing.models import (
    AlertKind,
    LessonOffer,
    Publication,
    PublishedDocument,
    SyncLog,
    SyncStatus,
)
from publishing.storage import activation, cleanup, file_store, recovery
from publishing.storage.link_check import Closure, follow

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

log = structlog.get_logger(__name__)

_NAMED = 5
"""How many lessons a refusal names."""
_ATTEMPTS = 5


class RollbackError(MemoraError):
    """The generation cannot be made current; readers see what they saw."""

    code = "ROLLBACK_REFUSED"


@dataclass(frozen=True, slots=True)
class KeptRelease:
    """A generation that can be made current."""

    number: int
    is_current: bool
    log: SyncLog | None
    """The run that made it, where the sync log still has it."""


def kept_releases(plan_id: str) -> list[KeptRelease]:
    """The plan's generations on this disk, newest first.

    Raises:
        OSError: the disk does not tell them.
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
    """Show readers that kept generation again.

    Args:
        plan_id: the plan's public id.
        by: who asked; None for the command line.

    Returns:
        The sync log entry that says so.

    Raises:
        RollbackError: why not; readers see what they saw.
        OSError: the disk refused; readers see what they saw, unless it did so after the
            rename: then the next sweep publishes the plan as it is.
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
        publication, before = _announce(plan_id)
        try:
            entry = _switch_patiently(publication, before, generation, by)
        except BaseException:
            if _is_shown(before):
                # Readers see what they saw: the plan is as it was.
                _withdraw_announcement(publication, before)
            raise
    activation.reconcile_open_lessons_quietly()
    queue.remove([plan.pk])
    log.info("plan_rolled_back", plan=plan_id, generation=generation)
    return entry


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
                "There is no generation %(generation)d of the plan %(plan)s. Kept are: "
                "%(kept)s."
            )
            % {
                "generation": generation,
                "plan": plan_id,
                "kept": ", ".join(str(number) for number in numbers) or "—",
            }
        )


def _announce(plan_id: str) -> tuple[Publication, Publication]:
    """Mark that the disk may run ahead of the tables; builds under way give up.

    Should this process die from here on, the plan is built anew by the next sweep.

    Returns:
        The publication now, and as it was before.
    """
    with transaction.atomic():
        publication = Publication.objects.select_for_update().get(
            plan_public_id=plan_id
        )
        before = Publication.objects.get(pk=publication.pk)
        publication.fence += 1
        publication.switching = publication.fence
        publication.built_from = {}
        publication.save(update_fields=["fence", "switching", "built_from"])
    return publication, before


def _is_shown(publication: Publication) -> bool:
    """Whether readers see the generation that these tables name."""
    try:
        current = file_store.current_generation(publication.plan_public_id)
    except OSError:
        return False
    return current == publication.generation


def _withdraw_announcement(publication: Publication, before: Publication) -> None:
    mine = Publication.objects.filter(pk=publication.pk, fence=publication.fence)
    try:
        mine.update(switching=before.switching, built_from=before.built_from)
    except DatabaseError:
        # The next sweep publishes the plan as it is.
        log.exception("rollback_not_withdrawn", plan=publication.plan_public_id)


def _switch_patiently(
    publication: Publication,
    before: Publication,
    generation: int,
    by: "AbstractBaseUser | None",
) -> SyncLog:
    """`_switch`, and again when the database has let somebody else go first.

    Raises:
        RollbackError: it did so each time.
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
    """Rename, and write down what readers see; in the caller's transaction."""
    now = timezone.now()
    lock = activation.take_switch_lock()
    # The plan before its publication, as a build's claim takes them: the log entry
    # below needs the plan's row, too.
    plans = AcademicPlan.objects.select_for_update().filter(pk=publication.plan_id)
    plan_pks = list(plans.values_list("pk", flat=True))
    current = Publication.objects.select_for_update().get(pk=publication.pk)
    if current.fence != publication.fence or activation.has_incomplete_switch(lock):
        raise RollbackError(
            _("A build of the plan %(plan)s began meanwhile. Try again.")
            % {"plan": publication.plan_public_id}
        )
    closure = follow(publication.plan_public_id, generation)
    _require_whole(closure)
    activation.begin_switch(lock)
    file_store.switch(publication.plan_public_id, generation)
    changed, removed = recovery.record_files(current, closure)
    _record_lessons(current, closure)
    current.generation = generation
    # A build that died switching before us may have left newer lessons than the
    # tables know of: its mark stays for the next build.
    current.switching = before.switching
    # Read only now: what another plan's switch asked of this one counts as seen, too.
    # A plan that was unpublished meanwhile has none, and will be withdrawn.
    current.built_from = next(iter(staleness.pending(plan_pks).values()), {})
    current.published_at = current.rolled_back_at = now
    current.save()
    return _write_down(
        current, now, by, changed, removed, unchanged=len(closure.files) - changed
    )


def _require_whole(closure: Closure) -> None:
    """Refuse a generation with a broken file or a lesson that is gone.

    Raises:
        RollbackError: names the first few.
    """
    faults = closure.faults or list(closure.lesson_faults(_lesson_versions(closure)))
    if faults:
        first = "; ".join(f"{path}: {reason}" for path, reason in faults[:_NAMED])
        raise RollbackError(
            _(
                "Generation %(generation)d of the plan %(plan)s cannot be made current, "
                "for students would meet broken links (%(count)d in all): %(first)s"
            )
            % {
                "generation": closure.number,
                "plan": closure.plan_id,
                "count": len(faults),
                "first": first,
            },
            details={"faults": len(faults)},
        )


def _lesson_versions(closure: Closure) -> dict[str, int]:
    """The versions of the lessons that are really there.

    No health check looks at those that nobody offers now: they are read here.
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
            # No row: put there by a build that died before its commit.
            version = version or encoding.version_of(data)
        versions[path] = version
    return versions


def _record_lessons(publication: Publication, closure: Closure) -> None:
    """Offer the generation's lessons, and tell the plans whose links that changes."""
    offers: Mapping[str, bool] = {
        lesson.id: lesson.is_open for lesson in closure.lessons.values()
    }
    flipped = activation.record_offers(publication, offers)
    staleness.lessons_flipped(flipped, besides=publication)
    ungated = {lesson.id for lesson in closure.lessons.values() if not lesson.gated}
    open_now = LessonOffer.objects.filter(is_open=True, lesson_id__in=ungated)
    if shut := ungated - set(open_now.values_list("lesson_id", flat=True)):
        # Their links go to files that need a token now: the next build mends it.
        log.warning(
            "rolled_back_links_are_gated",
            plan=publication.plan_public_id,
            lessons=len(shut),
        )


def _write_down(
    publication: Publication,
    now: datetime,
    by: "AbstractBaseUser | None",
    changed: int,
    removed: int,
    *,
    unchanged: int,
) -> SyncLog:
    """The log's entry; attempts at what was rolled back from are over."""
    SyncLog.objects.filter(
        plan_public_id=publication.plan_public_id,
        status__in=[SyncStatus.QUEUED, SyncStatus.PROCESSING, SyncStatus.DEAD_LETTER],
    ).update(status=SyncStatus.SUPERSEDED, next_attempt_at=None, disk_needed=None)
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
