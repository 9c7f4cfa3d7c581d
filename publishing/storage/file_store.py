"""The content root on local disk: complete releases, switched by one rename.

A plan's release is a directory ``.generations/{plan}/{number}/``; it gets this name
when readers first see it. ``plans/{plan}`` is a symlink to the current release. Lessons
are shared by plans. They are single files, each replaced atomically; the old file is
kept as ``.prev``. If any operation fails at any point, a reader sees the complete old
release or the complete new one: unfinished work has names that start with a dot, which
are not served. A directory that is no longer wanted moves to ``.discarded`` by one
rename. `publishing.storage.cleanup` removes both. See docs/architecture.md, "Releases".
"""

import ctypes
import errno
import gzip
import os
import shutil
import time
import zlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from uuid import uuid4

import structlog
from django.conf import settings
from django.utils.translation import gettext as _

from content.kinds import id_problem
from publishing.format import locations

log = structlog.get_logger(__name__)

COMPRESS_FROM_BYTES = 8 * 1024
"""Files of a release with at least this many bytes get a compressed copy (ADR 12)."""
_GZIP_SUFFIX = ".gz"
_SWITCHES = ".switches"
_DISCARDED = ".discarded"
_SYNCED_ONE_BY_ONE = 32
_libc = ctypes.CDLL(None, use_errno=True)
_STALE_SECONDS = 6 * 3600
"""Age in seconds above which temporary work cannot belong to a running build."""


class StagingError(Exception):
    """The local disk failed; the message names the reason and the path."""


class DiskLowError(StagingError):
    """Too little free space to publish safely; publishing resumes by itself.

    ``needed`` is the number of bytes to be written.
    """

    def __init__(self, message: str, *, needed: int = 0) -> None:
        super().__init__(message)
        self.needed = needed


class NoLinkError(StagingError, OSError):
    """The path of the link to a plan's current release is not a link."""


def root() -> Path:
    """Return the content root."""
    return Path(settings.CONTENT_ROOT)


def generation_folder(plan_id: str, number: int) -> Path:
    """Return the directory of a plan's release."""
    locations.plan_folder(plan_id)  # refuses an unsafe id
    return root() / locations.GENERATIONS / plan_id / str(number)


def _staging_folder(plan_id: str, number: int) -> Path:
    """Return the release's directory until `switch` first shows it."""
    return generation_folder(plan_id, number).with_name(f".{number}")


def current_generation(plan_id: str) -> int | None:
    """Return the number of the current release, read from its symlink.

    None if there is no link.

    Raises:
        NoLinkError: it is not a symlink, as after a copy that followed links.
        OSError: it cannot be read.
    """
    link = root() / locations.plan_folder(plan_id)
    try:
        target = os.readlink(link)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise NoLinkError(
            _(
                "%(place)s is not a symbolic link to a release. A copy that follows "
                "links causes this. Move it out of the content root, then run "
                "“manage.py publish %(plan)s --full”."
            )
            % {"place": link, "plan": plan_id}
        ) from error
    name = PurePosixPath(target).name
    return int(name) if name.isdigit() else None


def require_space(*, needed: int, min_free_percent: int) -> None:
    """Check that ``needed`` bytes can be written without filling the disk.

    Raises:
        DiskLowError: less than ``min_free_percent`` would stay free.
    """
    left = free_percent(after=needed)
    if left < min_free_percent:
        raise DiskLowError(
            _(
                "Only %(free).1f %% of the disk at %(root)s would stay free; publishing "
                "waits until it is %(needed)d %%."
            )
            % {"free": max(left, 0), "root": root(), "needed": min_free_percent},
            needed=needed,
        )


def free_percent(*, after: int = 0) -> float:
    """Return the free space of the root's disk, in %, after writing ``after`` bytes."""
    root().mkdir(parents=True, exist_ok=True)
    usage = shutil.disk_usage(root())
    return (usage.free - after) * 100 / usage.total


def write_generation(
    *,
    plan_id: str,
    number: int,
    written: Mapping[str, bytes],
    versions: Mapping[str, int],
    kept: Collection[str],
    previous: int | None,
) -> None:
    """Write a complete release directory that readers do not see yet.

    A large file gets a compressed copy beside it, which nginx serves instead.

    Args:
        written: content path to bytes of the changed files.
        versions: content path to version, at least of those (`changed_time`).
        kept: content paths of the unchanged files; linked from ``previous``.
        previous: the generation to link from and to keep as ``.prev``.

    Raises:
        OSError: the disk failed, or a kept file is missing; nothing visible changed.
    """
    building = _staging_folder(plan_id, number)
    shutil.rmtree(building, ignore_errors=True)
    make_folder(building.parent)
    building.mkdir()
    prefix = len(locations.plan_folder(plan_id)) + 1
    names = {path[prefix:] for path in (*written, *kept)}
    folders = sorted({os.path.dirname(name) for name in names} - {""})
    for folder in folders:
        (building / folder).mkdir(parents=True, exist_ok=True)
    new = f"{building}/"
    old = None if previous is None else f"{generation_folder(plan_id, previous)}/"
    files, times = {}, {}
    for path, data in written.items():
        name = path[prefix:]
        files[new + name] = data
        times[new + name] = changed_time(versions[path], old and old + name)
    _write_new(_with_compressed(files), times)
    if old is not None and previous is not None:
        compressed = _names_of(plan_id, previous, ending=f".json{_GZIP_SUFFIX}")
        for path in kept:
            name = path[prefix:]
            os.link(old + name, new + name)
            if f"{name}{_GZIP_SUFFIX}" in compressed:
                with suppress(FileNotFoundError, PermissionError):
                    os.link(f"{old}{name}{_GZIP_SUFFIX}", f"{new}{name}{_GZIP_SUFFIX}")
        for name in names:
            # No ``.prev`` if the old file is missing or may not be linked.
            with suppress(FileNotFoundError, PermissionError):
                os.link(old + name, f"{new}{name}.prev")
    for folder in (*folders, ""):
        sync_folder(building / folder)


def switches() -> int:
    """Return the number of the last switch that was begun on this disk.

    0 if there was none; -1 if the file does not hold a number.
    """
    try:
        return int((root() / _SWITCHES).read_bytes())
    except FileNotFoundError:
        return 0
    except ValueError:
        return -1


def begin_switch(number: int) -> None:
    """Record the number of the switch that is about to begin, durably.

    The file is overwritten in place: a partial write gives a number that matches no
    recorded switch.
    """
    make_folder(root())
    handle = os.open(root() / _SWITCHES, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.write(handle, b"%020d" % number)
        os.fsync(handle)
    finally:
        os.close(handle)


def switch(plan_id: str, number: int) -> None:
    """Make the release ``number`` current: rename one symlink.

    Raises:
        FileNotFoundError: there is no such release on this disk.
    """
    final = generation_folder(plan_id, number)
    with suppress(FileNotFoundError):  # it was current before
        os.rename(_staging_folder(plan_id, number), final)
        sync_folder(final.parent)
    if not final.is_dir():
        raise FileNotFoundError(final)
    link = root() / locations.plan_folder(plan_id)
    make_folder(link.parent)
    new_link = link.with_name(f".{plan_id}.{number}")
    new_link.unlink(missing_ok=True)
    new_link.symlink_to(f"../{locations.GENERATIONS}/{plan_id}/{number}")
    os.replace(new_link, link)
    sync_folder(link.parent)


def prepare_lessons(files: Mapping[str, bytes], token: str) -> None:
    """Write the new bytes of lessons beside their files, under names not served.

    The bytes are durable on return. ``token`` is unique to the build, so that two
    builds never use the same name.
    """
    if not files:
        return
    make_folder(root() / "lessons")
    base = str(root())
    _write_new({_temporary(base, path, token): data for path, data in files.items()})


def replace_lessons(
    versions: Mapping[str, int], token: str, *, keep_previous: bool = True
) -> None:
    """Move prepared bytes into place, durably; each old file becomes ``.prev``.

    Without ``keep_previous``, an existing ``.prev`` stays.

    Args:
        versions: content path to the version of the prepared bytes (`changed_time`).
    """
    base = str(root())
    for path, version in versions.items():
        final, temporary = f"{base}/{path}", _temporary(base, path, token)
        changed = changed_time(version, final)
        os.utime(temporary, (changed, changed))
        if keep_previous:
            with suppress(FileNotFoundError, PermissionError):
                os.link(final, f"{temporary}.prev")
                os.replace(f"{temporary}.prev", f"{final}.prev")
        os.replace(temporary, final)
    if versions:
        sync_folder(root() / "lessons")


def delete_prepared(paths: Collection[str], token: str) -> None:
    """Delete prepared bytes that are not needed; missing files are ignored."""
    base = str(root())
    for path in paths:
        temporary = _temporary(base, path, token)
        for name in (temporary, f"{temporary}.prev"):
            with suppress(FileNotFoundError):
                os.unlink(name)


def delete_generation(plan_id: str, number: int) -> None:
    """Remove a release that was never current, complete or not; ignore errors."""
    shutil.rmtree(_staging_folder(plan_id, number), ignore_errors=True)
    if current_generation(plan_id) != number:
        shutil.rmtree(generation_folder(plan_id, number), ignore_errors=True)


def remove_lesson(path: str) -> None:
    """Delete a lesson's file and its ``.prev``; missing files are ignored."""
    final = root() / path
    final.unlink(missing_ok=True)
    final.with_name(f"{final.name}.prev").unlink(missing_ok=True)


def _ignore_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def files_of(plan_id: str, number: int | None) -> set[str]:
    """Return a release's files, relative to it, without ``.prev`` files and copies.

    Raises:
        OSError: they cannot be listed; a missing release has no files.
    """
    return set() if number is None else _names_of(plan_id, number, ending=".json")


def _names_of(plan_id: str, number: int, *, ending: str) -> set[str]:
    folder = str(generation_folder(plan_id, number))
    found = set()
    for parent, _folders, names in os.walk(folder, onerror=_ignore_missing):
        inside = parent[len(folder) + 1 :]
        prefix = f"{inside}/" if inside else ""
        found |= {prefix + name for name in names if name.endswith(ending)}
    return found


def lesson_files() -> set[str]:
    """Return the content paths of all lesson files."""
    folder = root() / "lessons"
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {
            f"lessons/{entry.name}"
            for entry in entries
            if entry.name.endswith(".json") and not entry.name.startswith(".")
        }


def exists(path: str) -> bool:
    """Return whether a published file exists."""
    return os.path.exists(f"{root()}/{path}")


def read(path: str) -> bytes | None:
    """Return a published file's bytes; None if it does not exist."""
    try:
        # One `Path` of one text: joining paths costs more than reading a small file.
        return Path(f"{settings.CONTENT_ROOT}/{path}").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def has_valid_compressed_copy(path: str, data: bytes) -> bool:
    """Return whether the compressed copy of a published file, if any, holds ``data``.

    Raises:
        OSError: the copy cannot be read.
    """
    try:
        compressed = (root() / f"{path}{_GZIP_SUFFIX}").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return True
    try:
        return gzip.decompress(compressed) == data
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return False


def withdraw_plan(plan_id: str) -> None:
    """Discard all of a plan's releases; does nothing if there are none."""
    (root() / locations.plan_folder(plan_id)).unlink(missing_ok=True)
    _discard(root() / locations.GENERATIONS / plan_id)


def discard_generation(plan_id: str, number: int) -> None:
    """Discard one release; does nothing if it does not exist."""
    _discard(generation_folder(plan_id, number))


def _discard(folder: Path) -> None:
    """Move a folder to ``.discarded`` by one rename, durably, whatever it contains."""
    discarded = root() / _DISCARDED
    make_folder(discarded)
    with suppress(FileNotFoundError):
        os.rename(folder, discarded / uuid4().hex)
        sync_folder(discarded)
        sync_folder(folder.parent)


def delete_discarded() -> int:
    """Delete what was discarded; return how many entries could not be deleted."""
    folder = root() / _DISCARDED
    if not folder.is_dir():
        return 0
    for path in folder.iterdir():
        shutil.rmtree(path, ignore_errors=True)
    return len(os.listdir(folder))


def kept_generations(plan_id: str) -> list[int]:
    """Return the numbers of the plan's switched releases on disk, oldest first."""
    folder = root() / locations.GENERATIONS / plan_id
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def old_generations(plan_id: str, *, keep: int) -> list[int]:
    """Return the plan's releases without the ``keep`` newest and the current one."""
    current = current_generation(plan_id)
    return [n for n in kept_generations(plan_id)[:-keep] if n != current]


def delete_unfinished(plan_id: str) -> int:
    """Remove a plan's unfinished releases that crashed builds left long ago.

    Returns:
        The number that could not be removed; the log has the reasons.
    """
    return _drop_stale(root() / locations.GENERATIONS / plan_id)


def delete_unfinished_links() -> int:
    """Remove old prepared lesson bytes and links, as `delete_unfinished` does."""
    return _drop_stale(root() / "lessons") + _drop_stale(root() / "plans")


def plans_on_disk() -> set[str]:
    """Return the ids of the plans that have, or had, a release on this disk."""
    found: set[str] = set()
    for folder in (root() / "plans", root() / locations.GENERATIONS):
        if folder.is_dir():
            found |= {name for name in os.listdir(folder) if id_problem(name) is None}
    return found


def plan_path(plan_id: str) -> str:
    """Return the path of a plan relative to the root: its link, else its releases."""
    link = locations.plan_folder(plan_id)
    if (root() / link).is_symlink():
        return link
    return f"{locations.GENERATIONS}/{plan_id}"


def lesson_backups() -> set[str]:
    """Return the content paths of the lessons that have a ``.prev`` file."""
    folder = root() / "lessons"
    if not folder.is_dir():
        return set()
    return {
        f"lessons/{name.removesuffix('.prev')}"
        for name in os.listdir(folder)
        if name.endswith(".json.prev") and not name.startswith(".")
    }


def remove_orphan(path: str) -> None:
    """Delete a file that no release has, or all releases of a deleted plan.

    ``path`` is relative to the content root; a missing file is ignored.
    """
    if locations.lesson_id_of(path):
        remove_lesson(path)
    elif path.count("/") == 1:  # plans/X or .generations/X
        withdraw_plan(path.partition("/")[2])
    else:
        (root() / path).unlink(missing_ok=True)
        (root() / f"{path}{_GZIP_SUFFIX}").unlink(missing_ok=True)


def is_older(path: str, *, than: float) -> bool:
    """Return whether the file or folder was last changed before that Unix time.

    A missing one is not older: there is nothing to delete.
    """
    try:
        return (root() / path).lstat().st_mtime < than
    except FileNotFoundError:
        return False


def _drop_stale(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    limit = time.time() - _STALE_SECONDS
    left = 0
    for path in folder.glob(".*"):
        try:
            if path.lstat().st_mtime < limit:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        except FileNotFoundError:
            continue
        except OSError:
            log.exception("leftover_not_deleted", path=str(path))
            left += 1
    return left


def _temporary(base: str, path: str, token: str) -> str:
    folder, _slash, name = path.rpartition("/")
    return f"{base}/{folder}/.{name}.{token}"


def _with_compressed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return these files and compressed copies of the large ones."""
    return {
        **files,
        **{
            f"{path}{_GZIP_SUFFIX}": gzip.compress(data, 6, mtime=0)
            for path, data in files.items()
            if len(data) >= COMPRESS_FROM_BYTES
        },
    }


def changed_time(version: int, replaced: str | None) -> int:
    """Return the modification time for a new file, in Unix seconds.

    nginx makes its ``ETag`` from a file's time and size, so new bytes need another time
    than the bytes they replace. The time is the document's version, or later where the
    bytes change under one version (a renewed signature, a repaired file).

    Args:
        replaced: the path of the file that readers have until now, if any.
    """
    if replaced is None:
        return version
    try:
        return max(version, int(os.stat(replaced).st_mtime) + 1)
    except OSError:  # it is missing
        return version


def _write_new(
    files: Mapping[str, bytes], times: Mapping[str, int] | None = None
) -> None:
    """Write new files by absolute path; they are durable on return.

    Args:
        times: their modification times; a compressed copy takes the plain file's
            entry. None: now.
    """
    one_by_one = len(files) <= _SYNCED_ONE_BY_ONE
    for path, data in files.items():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            written = 0
            while written < len(data):
                written += os.write(handle, data[written:])
            if times is not None:
                changed = times[path.removesuffix(_GZIP_SUFFIX)]
                os.utime(handle, (changed, changed))
            if one_by_one:
                os.fsync(handle)
        finally:
            os.close(handle)
    if files and not one_by_one:
        _sync_file_system(root())


def _sync_file_system(folder: Path) -> None:
    """Sync many files with one call: thousands of ``fsync`` calls take seconds.

    Raises:
        OSError: the written bytes may not be on the disk.
    """
    if not hasattr(_libc, "syncfs"):  # not Linux
        os.sync()
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Create the folder and its missing parents, with durable names."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for made in reversed(missing):
        made.mkdir(exist_ok=True)
        sync_folder(made.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
