"""The content root on local disk: whole releases, switched by one rename.

A plan's release is a directory ``.generations/{plan}/{number}/``; ``plans/{plan}`` is
a symlink to the current one. Lessons, shared by plans, are single files, each replaced
atomically with the old one kept as ``.prev``. Whatever fails at whatever line, a reader
sees the old release or the new one, whole: unfinished work lies in names that start
with a dot, which nobody serves and `collect` removes.
"""

import os
import shutil
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.utils.translation import gettext as _

from publishing import locations

_STALE_SECONDS = 6 * 3600
"""Temporary work older than this belongs to no living build."""


class StagingError(Exception):
    """The local disk refused; the message says what and where."""


class DiskLowError(StagingError):
    """Too little free space to publish safely; publishing resumes by itself."""


def root() -> Path:
    """The content root."""
    return Path(settings.CONTENT_ROOT)


def generation_folder(plan_id: str, number: int) -> Path:
    """Where a plan's release of that number lies."""
    locations.plan_folder(plan_id)  # refuses an unsafe id
    return root() / locations.GENERATIONS / plan_id / str(number)


def current_generation(plan_id: str) -> int | None:
    """The number of the release readers see, from the symlink itself."""
    try:
        target = os.readlink(root() / locations.plan_folder(plan_id))
    except FileNotFoundError:
        return None
    name = PurePosixPath(target).name
    return int(name) if name.isdigit() else None


def require_space(*, needed: int, min_free_percent: int) -> None:
    """Refuse to start writing ``needed`` bytes onto a nearly full disk.

    Raises:
        DiskLowError: less than ``min_free_percent`` would stay free.
    """
    root().mkdir(parents=True, exist_ok=True)
    usage = shutil.disk_usage(root())
    left = (usage.free - needed) * 100 / usage.total
    if left < min_free_percent:
        raise DiskLowError(
            _(
                "Only %(free).1f %% of the disk at %(root)s would stay free; publishing "
                "waits until it is %(needed)d %%."
            )
            % {"free": max(left, 0), "root": root(), "needed": min_free_percent}
        )


def write_generation(
    *,
    plan_id: str,
    number: int,
    written: Mapping[str, bytes],
    kept: Collection[str],
    previous: int | None,
) -> None:
    """Make a complete release directory that no reader sees yet.

    Args:
        written: content path to bytes of the files that changed.
        kept: content paths of the files that did not; linked from ``previous``.
        previous: the generation to link from and to keep as ``.prev``.

    Raises:
        OSError: the disk refused, or a kept file is missing; nothing visible changed.
    """
    final = generation_folder(plan_id, number)
    building = final.with_name(f".{number}")
    shutil.rmtree(building, ignore_errors=True)
    shutil.rmtree(final, ignore_errors=True)
    old = generation_folder(plan_id, previous) if previous is not None else None
    prefix = f"{locations.plan_folder(plan_id)}/"
    names = {path.removeprefix(prefix) for path in (*written, *kept)}
    for folder in {str(PurePosixPath(name).parent) for name in names}:
        (building / folder).mkdir(parents=True, exist_ok=True)
    for path, data in written.items():
        _write_new(building / path.removeprefix(prefix), data)
    for path in kept:
        name = path.removeprefix(prefix)
        assert old is not None
        os.link(old / name, building / name)
    if old is not None:
        for name in names:
            with suppress(FileNotFoundError):
                os.link(old / name, building / f"{name}.prev")
    for parent in sorted({(building / name).parent for name in names}, reverse=True):
        _sync_folder(parent)
    os.rename(building, final)
    _sync_folder(final.parent)


def switch(plan_id: str, number: int) -> None:
    """Show readers the release ``number``: one rename of one symlink.

    Raises:
        FileNotFoundError: there is no such release on this disk.
    """
    if not generation_folder(plan_id, number).is_dir():
        raise FileNotFoundError(generation_folder(plan_id, number))
    link = root() / locations.plan_folder(plan_id)
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{plan_id}.{number}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(f"../{locations.GENERATIONS}/{plan_id}/{number}")
    os.replace(fresh, link)
    _sync_folder(link.parent)


def prepare_lesson(path: str, data: bytes, token: str) -> None:
    """Write a lesson's new bytes beside its file, where no reader looks.

    ``token`` is the build's own, so that two builds cannot meet in one name.
    """
    final = root() / path
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(final, token)
    temporary.unlink(missing_ok=True)
    _write_new(temporary, data)


def replace_lesson(path: str, token: str) -> None:
    """Put the prepared bytes in place; the old file becomes ``.prev``."""
    final = root() / path
    temporary = _temporary(final, token)
    if final.exists():
        kept = final.with_name(f".{final.name}.prev.{token}")
        kept.unlink(missing_ok=True)
        os.link(final, kept)
        os.replace(kept, final.with_name(f"{final.name}.prev"))
    os.replace(temporary, final)


def drop_prepared(path: str, token: str) -> None:
    """Forget bytes that are not wanted any more."""
    _temporary(root() / path, token).unlink(missing_ok=True)


def sync_lessons() -> None:
    """Make the lessons' renames durable."""
    folder = root() / "lessons"
    if folder.is_dir():
        _sync_folder(folder)


def remove_lesson(path: str) -> None:
    """Delete a lesson's file and its ``.prev``; fine when they are gone."""
    final = root() / path
    final.unlink(missing_ok=True)
    final.with_name(f"{final.name}.prev").unlink(missing_ok=True)


def files_of(plan_id: str, number: int | None) -> set[str]:
    """The names of a release's files, relative to it, ``.prev`` ones left out."""
    if number is None:
        return set()
    folder = generation_folder(plan_id, number)
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*.json")
        if path.is_file()
    }


def lesson_files() -> set[str]:
    """The content paths of all lesson files."""
    folder = root() / "lessons"
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {
            f"lessons/{entry.name}"
            for entry in entries
            if entry.name.endswith(".json") and not entry.name.startswith(".")
        }


def read(path: str) -> bytes | None:
    """A published file's bytes, or None where there is none."""
    try:
        return (root() / path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def withdraw_plan(plan_id: str) -> None:
    """Take all of a plan's releases away; fine when they are gone."""
    (root() / locations.plan_folder(plan_id)).unlink(missing_ok=True)
    shutil.rmtree(root() / locations.GENERATIONS / plan_id, ignore_errors=True)


def kept_generations(plan_id: str) -> list[int]:
    """The numbers of the plan's releases on this disk, oldest first."""
    folder = root() / locations.GENERATIONS / plan_id
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def collect(plan_id: str, *, keep: int) -> list[int]:
    """Delete releases older than the ``keep`` newest, never the current one.

    Returns:
        The numbers deleted.
    """
    current = current_generation(plan_id)
    doomed = [n for n in kept_generations(plan_id)[:-keep] if n != current]
    for number in doomed:
        shutil.rmtree(generation_folder(plan_id, number), ignore_errors=True)
    _drop_stale(root() / locations.GENERATIONS / plan_id)
    return doomed


def collect_lessons() -> None:
    """Remove prepared lesson bytes that a killed build left behind."""
    _drop_stale(root() / "lessons")


def _drop_stale(folder: Path) -> None:
    if not folder.is_dir():
        return
    limit = time.time() - _STALE_SECONDS
    for path in folder.glob(".*"):
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime < limit:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


def _temporary(final: Path, token: str) -> Path:
    return final.with_name(f".{final.name}.{token}")


def _write_new(path: Path, data: bytes) -> None:
    """A new file, durable before it gets its name."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
