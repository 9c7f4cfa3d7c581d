"""What can be reviewed of a lesson, read from its published file."""

from functools import lru_cache
from pathlib import Path

import orjson
from django.conf import settings

from content import stage_configs
from publishing.format import locations


def of_lesson(lesson_id: str) -> tuple[str, ...]:
    """The ids of the lesson's reviewable items, in order, each once.

    Empty when the lesson is not published (any more). One ``stat`` when its file has
    not changed since it was last asked for.
    """
    path = Path(settings.CONTENT_ROOT) / locations.lesson(lesson_id)
    try:
        found = path.stat()
        return _read(path, found.st_mtime_ns, found.st_size, found.st_ino)
    except FileNotFoundError:
        return ()


@lru_cache(maxsize=4096)
def _read(path: Path, _mtime: int, _size: int, _inode: int) -> tuple[str, ...]:
    document = orjson.loads(path.read_bytes())
    items: dict[str, None] = {}
    for stage in document["stages"]:
        items |= dict.fromkeys(
            stage_configs.reviewable_items(stage["type"], stage["config"])
        )
    return tuple(items)
