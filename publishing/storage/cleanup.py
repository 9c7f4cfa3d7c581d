"""Delete files that are no longer needed; never during a build.

A lesson's file is needed while a release offers it. It is also needed, gated, while a
generation that could be made current again names it (docs/adr/0009). The file of a
permanently deleted lesson is removed at once.
"""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import orjson
import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from content.models import Node
from plans.models import AcademicPlan
from publishing.models import (
    PlanLesson,
    Publication,
    PublishedDocument,
    PublishingSettings,
)
from publishing.storage import activation, file_store

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Collected:
    """What `collect` deleted.

    ``generations``: numbers by plan id. ``lessons``: their number. ``left``: number of
    folders and leftovers that could not be deleted.
    """

    generations: dict[str, list[int]] = field(default_factory=dict)
    lessons: int = 0
    left: int = 0


def collect(
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Collected:
    """Delete old generations, leftovers of crashed builds and unneeded lessons.

    A failed deletion is logged; the next call tries again.

    Args:
        progress: called with the number of plans done and the number on disk.
    """
    keep = PublishingSettings.get_solo().kept_generations
    collected = Collected()
    # Read the disk first: a plan has a row before it has files on disk.
    plans_on_disk = file_store.plans_on_disk()
    known = plans_to_keep(plans_on_disk)
    for done, plan_id in enumerate(sorted(plans_on_disk)):
        progress(done, len(plans_on_disk))
        try:
            old = file_store.old_generations(plan_id, keep=keep)
            if (plan_id not in known or old) and (
                deleted := _collect_plan(plan_id, keep=keep)
            ):
                collected.generations[plan_id] = deleted
            collected.left += file_store.delete_unfinished(plan_id)
        except OSError:
            log.exception("collection_failed", plan=plan_id)
            collected.left += 1
    collected.left += file_store.delete_unfinished_links()
    try:
        collected.lessons = remove_unneeded_lessons()
    except OSError:
        log.exception("lessons_left_to_next_collection")
        collected.left += 1
    collected.left += file_store.delete_discarded()
    progress(len(plans_on_disk), len(plans_on_disk))
    return collected


def plans_to_keep(plan_ids: Iterable[str]) -> set[str]:
    """Return those that have a publication or are published.

    A published plan has no publication after the database was restored; it is then
    built again.
    """
    known = Publication.objects.filter(plan_public_id__in=plan_ids)
    published = AcademicPlan.objects.filter(public_id__in=plan_ids, is_published=True)
    return {
        *known.values_list("plan_public_id", flat=True),
        *published.values_list("public_id", flat=True),
    }


def _collect_plan(plan_id: str, *, keep: int) -> list[int]:
    """Discard a plan's old generations, or all files of a plan that does not exist.

    Runs under the switch lock, so that no rollback can make one of them current.

    Returns:
        The generations discarded from a plan that stays.
    """
    with transaction.atomic():
        activation.take_switch_lock()
        if not plans_to_keep([plan_id]):
            file_store.withdraw_plan(plan_id)
            return []
        old = file_store.old_generations(plan_id, keep=keep)
        for number in old:
            file_store.discard_generation(plan_id, number)
    return old


# --- Lessons --------------------------------------------------------------------------


def remove_unneeded_lessons() -> int:
    """Delete the files of lessons that are not needed.

    Returns:
        The number of lessons deleted. If the process stops halfway, the rows of the
        remaining files stay, and the next call continues.
    """
    return _remove(unneeded_lessons())


def remove_deleted_lessons() -> int:
    """Delete the files of permanently deleted lessons; return how many."""
    unoffered = unoffered_lessons().exclude(
        Exists(Node.objects.filter(public_id=OuterRef("lesson_id")))
    )
    return _remove(set(unoffered.values_list("lesson_id", flat=True)))


def unneeded_lessons() -> set[str]:
    """Return the ids of the lessons that have a file and are not needed."""
    found = set(unoffered_lessons().values_list("lesson_id", flat=True))
    if not found:
        return found
    still = Node.objects.filter(public_id__in=found)
    needed = set(still.values_list("public_id", flat=True))
    return found - (needed & _named_by_generations() if needed else needed)


def unoffered_lessons() -> QuerySet[PublishedDocument]:
    """Return the records of lessons that no release offers."""
    return PublishedDocument.objects.filter(lesson_id__gt="").exclude(
        Exists(PlanLesson.objects.filter(lesson_id=OuterRef("lesson_id")))
    )


def _named_by_generations() -> set[str]:
    """Return the ids of the lessons that any generation on this disk names.

    An unreadable file names none: its generation cannot be made current.
    """
    found: set[str] = set()
    seen: set[int] = set()  # generations share unchanged files as hard links
    for plan_id in file_store.plans_on_disk():
        for number in file_store.kept_generations(plan_id):
            for bitmap in file_store.generation_folder(plan_id, number).glob(
                "*_b.json"
            ):
                with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
                    inode = bitmap.stat().st_ino
                    if inode not in seen:
                        seen.add(inode)
                        found |= orjson.loads(bitmap.read_bytes())["mappings"].keys()
    return found


def _remove(lesson_ids: Collection[str]) -> int:
    """Delete the files of those lessons that are still not offered; return how many."""
    if not lesson_ids:
        return 0
    with transaction.atomic():
        counters = activation.take_switch_lock()
        if activation.has_incomplete_switch(counters):
            # The tables do not record yet which lessons some release offers.
            return 0
        rows = unoffered_lessons().filter(lesson_id__in=lesson_ids)
        unneeded = dict(rows.values_list("pk", "path"))
        if unneeded:
            activation.begin_switch(counters)
            counters.removals += 1
            counters.save(update_fields=["removals"])
        for path in unneeded.values():
            file_store.remove_lesson(path)
        PublishedDocument.objects.filter(pk__in=unneeded).delete()
    return len(unneeded)
