"""The lesson files that anyone may read, marked by links on disk.

A lesson that no release offers as ``public`` or ``free_preview`` is gated. The tables
decide (`publishing.models.PlanLesson`), and the disk repeats the decision for the web
servers: an open lesson has a link with its name in ``.open/``. Both web servers check
for that link and require a content token when it is missing. Therefore reading a lesson
costs no query, an open lesson is served while the application is down, and a missing
link closes a lesson instead of opening it.

`publishing.storage.activation` maintains the links: it closes lessons before its commit
and opens them after it. See docs/architecture.md, "Open and gated lessons".
"""

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from publishing.format import locations
from publishing.models import PlanLesson
from publishing.storage import file_store

OPEN = ".open"
"""The folder of links to open lessons; it is not served."""


def is_gated(lesson_id: str) -> bool:
    """Return whether reading the lesson's file needs a token; checks the disk once."""
    locations.lesson(lesson_id)  # refuses an unsafe id
    # Text, not `Path`: a page of links asks for 200 lessons.
    return not os.path.lexists(f"{settings.CONTENT_ROOT}/{OPEN}/{lesson_id}")


def gated_among(lesson_ids: Collection[str]) -> set[str]:
    """Return the lessons of these whose files need a token.

    No query; one on a web host without the content root.
    """
    if settings.CONTENT_SOURCE == "bucket":
        return set(lesson_ids) - offered_openly(lesson_ids)
    return {lesson_id for lesson_id in lesson_ids if is_gated(lesson_id)}


def offered_openly(among: Iterable[str] | None = None) -> set[str]:
    """Return the lessons that a release offers openly, from the tables; one query."""
    plan_lessons = PlanLesson.objects.filter(is_open=True)
    if among is not None:
        plan_lessons = plan_lessons.filter(lesson_id__in=among)
    return set(plan_lessons.values_list("lesson_id", flat=True).distinct())


def opened() -> set[str]:
    """Return the lessons that are open on this disk."""
    try:
        return {name for name in os.listdir(_folder()) if not name.startswith(".")}
    except FileNotFoundError:
        return set()


def close_lesson(lesson_ids: Iterable[str]) -> None:
    """Require a token for these lessons, durably; closed lessons stay closed."""
    is_removed = False
    for lesson_id in lesson_ids:
        with suppress(FileNotFoundError):
            _link(lesson_id).unlink()
            is_removed = True
    if is_removed:
        file_store.sync_folder(_folder())


def open_lesson(lesson_ids: Iterable[str]) -> None:
    """Let anyone read these lessons; open lessons stay open."""
    file_store.make_folder(_folder())
    for lesson_id in lesson_ids:
        with suppress(FileExistsError):
            _link(lesson_id).symlink_to(f"../{locations.lesson(lesson_id)}")


def _folder() -> Path:
    return file_store.root() / OPEN


def _link(lesson_id: str) -> Path:
    locations.lesson(lesson_id)  # refuses an unsafe id
    return _folder() / lesson_id
