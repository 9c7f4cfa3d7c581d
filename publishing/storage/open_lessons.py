"""Which lesson files anyone may read (DESIGN 4).

A lesson that no release offers as ``public`` or ``free_preview`` is gated. The tables
decide (`publishing.models.LessonOffer`), and the disk repeats it for whoever serves
files: an open lesson has a link of its name in ``.open/``. Both web servers look for
that link and ask for a content token where there is none. So reading a lesson costs no
query, an open one is served while the application is down, and whatever is lost or
late shuts a lesson instead of opening it.

`publishing.storage.activation` keeps the links: it shuts before its commit, opens after it.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from publishing.format import locations
from publishing.models import LessonOffer
from publishing.storage import file_store

OPEN = ".open"
"""The folder of links to open lessons, hidden from readers."""


def is_gated(lesson_id: str) -> bool:
    """Whether reading the lesson's file needs a token. One look at the disk."""
    return not os.path.lexists(_link(lesson_id))


def offered_openly(among: Iterable[str] | None = None) -> set[str]:
    """The lessons some release offers openly, as the tables say; one query."""
    offers = LessonOffer.objects.filter(is_open=True)
    if among is not None:
        offers = offers.filter(lesson_id__in=among)
    return set(offers.values_list("lesson_id", flat=True).distinct())


def opened() -> set[str]:
    """The lessons that are open on this disk."""
    try:
        return {name for name in os.listdir(_folder()) if not name.startswith(".")}
    except FileNotFoundError:
        return set()


def close_lesson(lesson_ids: Iterable[str]) -> None:
    """Ask for a token from now on, durably; fine where that is so already."""
    gone = False
    for lesson_id in lesson_ids:
        with suppress(FileNotFoundError):
            _link(lesson_id).unlink()
            gone = True
    if gone:
        file_store.sync_folder(_folder())


def open_lesson(lesson_ids: Iterable[str]) -> None:
    """Let anyone read these lessons; fine where that is so already."""
    file_store.make_folder(_folder())
    for lesson_id in lesson_ids:
        with suppress(FileExistsError):
            _link(lesson_id).symlink_to(f"../{locations.lesson(lesson_id)}")


def _folder() -> Path:
    return file_store.root() / OPEN


def _link(lesson_id: str) -> Path:
    locations.lesson(lesson_id)  # refuses an unsafe id
    return _folder() / lesson_id
