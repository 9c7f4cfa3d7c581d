"""The content root on local disk: whole releases, switched by one rename.

A plan's release is a directory ``.generations/{plan}/{number}/``, which has that name
from the moment it is shown; ``plans/{plan}`` is a symlink to the current one. Lessons,
shared by plans, are single files, each replaced atomically with the old one kept as
``.prev``. Whatever fails at whatever line, a reader sees the old release or the new
one, whole: unfinished work lies in names that start with a dot, which nobody serves,
and what is not wanted any more goes to ``.discarded`` by one rename.
`publishing.storage.cleanup` removes both.
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

PACKED_FROM = 8 * 1024
"""A release's files of so many bytes and more lie there compressed, too (ADR 12)."""
_PACKED = ".gz"
_SWITCHES = ".switches"
_DISCARDED = ".discarded"
_SYNCED_ONE_BY_ONE = 32
_libc = ctypes.CDLL(None, use_errno=True)
_STALE_SECONDS = 6 * 3600
"""Temporary work older than this belongs to no living build."""


class StagingError(Exception):
    """The local disk refused; the message says what and where."""


class DiskLowError(StagingError):
    """Too little free space to publish safely; publishing resumes by itself.

    ``needed`` is how many bytes were to be written.
    """

    def __init__(self, message: str, *, needed: int = 0) -> None:
        super().__init__(message)
        self.needed = needed


class NoLinkError(StagingError, OSError):
    """What should be the link to a plan's current release is something else."""


def root() -> Path:
    """The content root."""
    return Path(settings.CONTENT_ROOT)


def generation_folder(plan_id: str, number: int) -> Path:
    """Where a plan's release of that number lies."""
    locations.plan_folder(plan_id)  # refuses an unsafe id
    return root() / locations.GENERATIONS / plan_id / str(number)


def _unshown_folder(plan_id: str, number: int) -> Path:
    """Where it lies until `switch` shows it."""
    return generation_folder(plan_id, number).with_name(f".{number}")


def current_generation(plan_id: str) -> int | None:
    """The number of the release readers see, from the symlink itself.

    Raises:
        NoLinkError: it is no symlink, as after a copy that followed them.
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
                "%(place)s is no link to a release, as after a copy that followed "
                "links. Move it out of the content root, then run “manage.py publish "
                "%(plan)s --full”."
            )
            % {"place": link, "plan": plan_id}
        ) from error
    name = PurePosixPath(target).name
    return int(name) if name.isdigit() else None


def require_space(*, needed: int, min_free_percent: int) -> None:
    """Refuse to start writing ``needed`` bytes onto a nearly full disk.

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
    """How much of the content root's disk is free once ``after`` bytes are written."""
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
    """Make a complete release directory that no reader sees yet.

    A large file has a compressed copy beside it, which nginx serves instead.

    Args:
        written: content path to bytes of the files that changed.
        versions: content path to version, of at least those (`changed_time`).
        kept: content paths of the files that did not; linked from ``previous``.
        previous: the generation to link from and to keep as ``.prev``.

    Raises:
        OSError: the disk refused, or a kept file is missing; nothing visible changed.
    """
    building = _unshown_folder(plan_id, number)
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
    _write_new(_with_packed(files), times)
    if old is not None and previous is not None:
        packed = _names_of(plan_id, previous, ending=f".json{_PACKED}")
        for path in kept:
            name = path[prefix:]
            os.link(old + name, new + name)
            if f"{name}{_PACKED}" in packed:
                with suppress(FileNotFoundError, PermissionError):
                    os.link(f"{old}{name}{_PACKED}", f"{new}{name}{_PACKED}")
        for name in names:
            # Without one where the old file is gone, or not ours to link.
            with suppress(FileNotFoundError, PermissionError):
                os.link(old + name, f"{new}{name}.prev")
    for folder in (*folders, ""):
        sync_folder(building / folder)


def switches() -> int:
    """The number of the last change of what readers see that was begun here.

    0 where none was; -1 where it cannot be read.
    """
    try:
        return int((root() / _SWITCHES).read_bytes())
    except FileNotFoundError:
        return 0
    except ValueError:
        return -1


def begin_switch(number: int) -> None:
    """Number the change that is about to begin, durably.

    Overwritten in place: cut short, it is a number that nobody counts on.
    """
    make_folder(root())
    handle = os.open(root() / _SWITCHES, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.write(handle, b"%020d" % number)
        os.fsync(handle)
    finally:
        os.close(handle)


def switch(plan_id: str, number: int) -> None:
    """Show readers the release ``number``: one rename of one symlink.

    Raises:
        FileNotFoundError: there is no such release on this disk.
    """
    final = generation_folder(plan_id, number)
    with suppress(FileNotFoundError):  # it was shown before
        os.rename(_unshown_folder(plan_id, number), final)
        sync_folder(final.parent)
    if not final.is_dir():
        raise FileNotFoundError(final)
    link = root() / locations.plan_folder(plan_id)
    make_folder(link.parent)
    fresh = link.with_name(f".{plan_id}.{number}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(f"../{locations.GENERATIONS}/{plan_id}/{number}")
    os.replace(fresh, link)
    sync_folder(link.parent)


def prepare_lessons(files: Mapping[str, bytes], token: str) -> None:
    """Write lessons' new bytes beside their files, where no reader looks.

    Durable on return. ``token`` is the build's own, so that two builds cannot meet in
    one name.
    """
    if not files:
        return
    make_folder(root() / "lessons")
    base = str(root())
    _write_new({_temporary(base, path, token): data for path, data in files.items()})


def replace_lessons(
    versions: Mapping[str, int], token: str, *, keep_previous: bool = True
) -> None:
    """Put prepared bytes in place, durably; each old file becomes ``.prev``.

    Without ``keep_previous`` the ``.prev`` there is stays.

    Args:
        versions: content path to the version of what was prepared (`changed_time`).
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


def drop_prepared(paths: Collection[str], token: str) -> None:
    """Forget bytes that are not wanted any more; fine when there are none."""
    base = str(root())
    for path in paths:
        temporary = _temporary(base, path, token)
        for name in (temporary, f"{temporary}.prev"):
            with suppress(FileNotFoundError):
                os.unlink(name)


def drop_generation(plan_id: str, number: int) -> None:
    """Remove a release that no reader was shown, finished or not, as far as it goes."""
    shutil.rmtree(_unshown_folder(plan_id, number), ignore_errors=True)
    if current_generation(plan_id) != number:
        shutil.rmtree(generation_folder(plan_id, number), ignore_errors=True)


def remove_lesson(path: str) -> None:
    """Delete a lesson's file and its ``.prev``; fine when they are gone."""
    final = root() / path
    final.unlink(missing_ok=True)
    final.with_name(f"{final.name}.prev").unlink(missing_ok=True)


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def files_of(plan_id: str, number: int | None) -> set[str]:
    """A release's files, relative to it, without ``.prev`` ones and copies.

    Raises:
        OSError: they cannot be listed; that is not to have none.
    """
    return set() if number is None else _names_of(plan_id, number, ending=".json")


def _names_of(plan_id: str, number: int, *, ending: str) -> set[str]:
    folder = str(generation_folder(plan_id, number))
    found = set()
    for parent, _folders, names in os.walk(folder, onerror=_unless_gone):
        inside = parent[len(folder) + 1 :]
        prefix = f"{inside}/" if inside else ""
        found |= {prefix + name for name in names if name.endswith(ending)}
    return found


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


def exists(path: str) -> bool:
    """Whether a published file is there."""
    return os.path.exists(f"{root()}/{path}")


def read(path: str) -> bytes | None:
    """A published file's bytes, or None where there is none."""
    try:
        return (root() / path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_packed_rightly(path: str, data: bytes) -> bool:
    """Whether the compressed copy beside a published file, if any, holds ``data``.

    Raises:
        OSError: the copy cannot be read.
    """
    try:
        packed = (root() / f"{path}{_PACKED}").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return True
    try:
        return gzip.decompress(packed) == data
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return False


def withdraw_plan(plan_id: str) -> None:
    """Take all of a plan's releases away; fine when they are gone."""
    (root() / locations.plan_folder(plan_id)).unlink(missing_ok=True)
    _discard(root() / locations.GENERATIONS / plan_id)


def discard_generation(plan_id: str, number: int) -> None:
    """Take one release away; fine when it is gone."""
    _discard(generation_folder(plan_id, number))


def _discard(folder: Path) -> None:
    """Out of everybody's sight by one rename, durably, whatever lies in it."""
    discarded = root() / _DISCARDED
    make_folder(discarded)
    with suppress(FileNotFoundError):
        os.rename(folder, discarded / uuid4().hex)
        sync_folder(discarded)
        sync_folder(folder.parent)


def empty_discarded() -> int:
    """Delete what was taken away; how many releases, or plans', would not go."""
    folder = root() / _DISCARDED
    if not folder.is_dir():
        return 0
    for path in folder.iterdir():
        shutil.rmtree(path, ignore_errors=True)
    return len(os.listdir(folder))


def kept_generations(plan_id: str) -> list[int]:
    """The numbers of the plan's releases that readers had, oldest first."""
    folder = root() / locations.GENERATIONS / plan_id
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def old_generations(plan_id: str, *, keep: int) -> list[int]:
    """The plan's releases besides the ``keep`` newest and the current one."""
    current = current_generation(plan_id)
    return [n for n in kept_generations(plan_id)[:-keep] if n != current]


def drop_unfinished(plan_id: str) -> int:
    """Remove the releases of a plan that builds which died long ago left half done.

    Returns:
        How many would not go; the log says why.
    """
    return _drop_stale(root() / locations.GENERATIONS / plan_id)


def drop_unfinished_links() -> int:
    """Remove prepared lesson bytes and links that such builds left; as the above."""
    return _drop_stale(root() / "lessons") + _drop_stale(root() / "plans")


def plans_on_disk() -> set[str]:
    """The ids of the plans that have a release here, or had one."""
    found: set[str] = set()
    for folder in (root() / "plans", root() / locations.GENERATIONS):
        if folder.is_dir():
            found |= {name for name in os.listdir(folder) if id_problem(name) is None}
    return found


def place_of(plan_id: str) -> str:
    """What there is of a plan, relative to the root: its link, else its releases."""
    link = locations.plan_folder(plan_id)
    if (root() / link).is_symlink():
        return link
    return f"{locations.GENERATIONS}/{plan_id}"


def lesson_backups() -> set[str]:
    """The content paths of the lessons that have a ``.prev`` file."""
    folder = root() / "lessons"
    if not folder.is_dir():
        return set()
    return {
        f"lessons/{name.removesuffix('.prev')}"
        for name in os.listdir(folder)
        if name.endswith(".json.prev") and not name.startswith(".")
    }


def remove_orphan(path: str) -> None:
    """Delete a file no reader has, or all releases of a plan that is gone.

    ``path`` is relative to the content root; fine when it is gone.
    """
    if locations.lesson_id_of(path):
        remove_lesson(path)
    elif path.count("/") == 1:  # plans/X or .generations/X
        withdraw_plan(path.partition("/")[2])
    else:
        (root() / path).unlink(missing_ok=True)
        (root() / f"{path}{_PACKED}").unlink(missing_ok=True)


def is_older(path: str, *, than: float) -> bool:
    """Whether the file or folder was last changed before that Unix time.

    One that is gone counts as young: there is nothing to do about it.
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


def _with_packed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """These files, and compressed copies of the large ones."""
    return {
        **files,
        **{
            f"{path}{_PACKED}": gzip.compress(data, 6, mtime=0)
            for path, data in files.items()
            if len(data) >= PACKED_FROM
        },
    }


def changed_time(version: int, replaced: str | None) -> int:
    """The modification time of a new file, in Unix seconds.

    nginx makes its ``ETag`` of a file's time and size, so the time of new bytes differs
    from that of the bytes they replace: it is the document's version, or later where
    bytes change under one version (a signature made anew, a damaged file repaired).

    Args:
        replaced: the file that readers have until now, if there is one.
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
    """New files by absolute path, durable before anyone gives them their name.

    Args:
        times: their modification times, a compressed copy's under the plain file's
            name; None: now.
    """
    one_by_one = len(files) <= _SYNCED_ONE_BY_ONE
    for path, data in files.items():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            written = 0
            while written < len(data):
                written += os.write(handle, data[written:])
            if times is not None:
                changed = times[path.removesuffix(_PACKED)]
                os.utime(handle, (changed, changed))
            if one_by_one:
                os.fsync(handle)
        finally:
            os.close(handle)
    if files and not one_by_one:
        _sync_file_system(root())


def _sync_file_system(folder: Path) -> None:
    """One call for many files: thousands of ``fsync`` would cost seconds.

    Raises:
        OSError: what was written may not be on the disk.
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
    """The folder, and those above it, with their names safe on the disk."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for made in reversed(missing):
        made.mkdir(exist_ok=True)
        sync_folder(made.parent)


def sync_folder(folder: Path) -> None:
    """The names in a folder are safe on the disk when this returns."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
