"""Read and write a ZIP with one curriculum file and its media.

Nothing is extracted to the disk by name. Every entry is checked before one is read:
sizes, names, kinds of files, compression.
"""

import posixpath
import stat
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from django.conf import settings
from django.core.files.base import File
from django.utils.translation import gettext as _

from content.curriculum_format import MAX_BYTES, curriculum_error
from content.json_errors import Fault
from content.media import files, webvtt
from content.models import MediaKind
from core.errors import CurriculumError

MAX_ENTRIES = 5_000
MAX_TOTAL_BYTES = 8 * 1024**3
"""The most bytes of all entries together, uncompressed."""
_MAX_RATIO = 50
_FREE_BYTES = 1 << 20
"""An entry above this size may not be more than `_MAX_RATIO` times its compressed
size. Media do not compress; text compresses about 10 times."""
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_SPOOLED_BYTES = 16 << 20
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError)
"""What `zipfile` raises for a damaged ZIP; the last one for features that it lacks."""
_NO_CONTENT = ("__macosx", ".ds_store", "thumbs.db", "desktop.ini")
"""Files that operating systems add."""


def is_archive(file: IO[bytes]) -> bool:
    """Return whether the file begins as a ZIP; it is at its start again."""
    file.seek(0)
    head = file.read(4)
    file.seek(0)
    return head in (b"PK\x03\x04", b"PK\x05\x06")


class Archive:
    """A checked ZIP; entries are found relative to the curriculum file's folder."""

    def __init__(self, opened: zipfile.ZipFile) -> None:
        """Check all entries.

        Raises:
            CurriculumError: an entry is refused, or there is not one curriculum file.
        """
        self._zip = opened
        entries = _checked(opened)
        documents = [name for name in entries if name.lower().endswith(".json")]
        if len(documents) != 1:
            raise _refusal(
                _("must contain exactly one JSON file; it contains %(count)d")
                % {"count": len(documents)}
            )
        self._folder = posixpath.dirname(documents[0])
        self.document = self._read(entries.pop(documents[0]))
        self._entries = {_key(name): entry for name, entry in entries.items()}
        self._used: set[str] = set()

    def find(self, name: str) -> str | None:
        """Return the key of the entry with a path relative to the curriculum file."""
        key = _key(posixpath.normpath(posixpath.join(self._folder, name)))
        if key not in self._entries:
            return None
        self._used.add(key)
        return key

    @contextmanager
    def open(self, key: str) -> "Iterator[File[Any]]":
        """Yield the entry as a file.

        Raises:
            MediaError: it is damaged.
        """
        entry = self._entries[key]
        with tempfile.SpooledTemporaryFile(_SPOOLED_BYTES) as copy:
            try:
                with self._zip.open(entry) as packed:
                    while chunk := packed.read(1 << 20):
                        copy.write(chunk)
            except DAMAGE as error:
                raise files.MediaError(
                    _("“%(file)s” in the ZIP is damaged") % {"file": entry.filename}
                ) from error
            copy.seek(0)
            file: File[Any] = File(copy, name=posixpath.basename(entry.filename))
            file.size = entry.file_size
            yield file

    @property
    def unused(self) -> list[str]:
        """The names of entries that `find` has not returned."""
        return sorted(
            entry.filename
            for key, entry in self._entries.items()
            if key not in self._used
        )

    def _read(self, entry: zipfile.ZipInfo) -> bytes:
        try:
            return self._zip.read(entry)
        except DAMAGE as error:
            raise _refusal(
                _("“%(file)s” in the ZIP is damaged") % {"file": entry.filename}
            ) from error


@contextmanager
def opened(file: IO[bytes]) -> Iterator[Archive]:
    """Open and check a ZIP.

    Raises:
        CurriculumError: it is no ZIP, or an entry is refused.
    """
    try:
        found = zipfile.ZipFile(file)
    except (*DAMAGE, ValueError) as error:
        raise _refusal(_("the ZIP is damaged or incomplete")) from error
    with found:
        yield Archive(found)


def _checked(opened: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the entries by name.

    Raises:
        CurriculumError: lists every entry that is refused and the reasons.
    """
    entries = opened.infolist()
    if len(entries) > MAX_ENTRIES:
        raise _refusal(
            _("has more than %(count)d files in the ZIP") % {"count": MAX_ENTRIES}
        )
    if sum(entry.file_size for entry in entries) > MAX_TOTAL_BYTES:
        raise _refusal(
            _("has more than %(limit)d GB in the ZIP")
            % {"limit": MAX_TOTAL_BYTES >> 30}
        )
    found: dict[str, zipfile.ZipInfo] = {}
    keys: set[str] = set()
    faults: list[Fault] = []
    for entry in entries:
        name = unicodedata.normalize("NFC", entry.filename.replace("\\", "/"))
        reason = _reason(entry, name)
        if not reason and (entry.is_dir() or _is_of_the_system(name)):
            continue
        reason = reason or _reason_of_content(entry, name)
        if not reason and _key(name) in keys:
            reason = _("is in the ZIP twice")
        if reason:
            shown = entry.filename[:200]
            faults.append(((), f"“{shown}” {reason}"))
        keys.add(_key(name))
        found[name] = entry
    if faults:
        raise curriculum_error(faults)
    return found


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _is_of_the_system(name: str) -> bool:
    return any(part.casefold() in _NO_CONTENT for part in name.split("/"))


def _reason(entry: zipfile.ZipInfo, name: str) -> str:
    """Return why the name or the type of an entry is refused; "" if it is not."""
    parts = name.split("/")
    if name.startswith("/") or parts[0].endswith(":") or "\0" in name:
        return _("has an absolute path")
    if ".." in parts:
        return _("has “..” in its path")
    if stat.S_ISLNK(entry.external_attr >> 16):
        return _("is a symbolic link")
    if entry.flag_bits & 1:
        return _("is encrypted: make the ZIP without a password")
    if entry.compress_type not in _METHODS:
        return _("is compressed by a method that is not supported: use Deflate")
    return ""


def _reason_of_content(entry: zipfile.ZipInfo, name: str) -> str:
    """Return why an entry is refused by its kind or size; "" if it is not."""
    limit = _limit(name)
    if limit is None:
        return _("is not a picture, recording, video or caption file")
    if entry.file_size > limit:
        return _("is larger than %(limit)d MB") % {"limit": max(limit >> 20, 1)}
    packed = max(entry.compress_size, 1)
    if entry.file_size > _FREE_BYTES and entry.file_size > _MAX_RATIO * packed:
        return _("expands to %(times)d times its compressed size") % {
            "times": entry.file_size // packed
        }
    return ""


def _limit(name: str) -> int | None:
    """Return the most bytes of a file by its suffix; None for a kind not accepted."""
    kind = files.kind_of(name)
    suffix = posixpath.splitext(name.lower())[1]
    if kind is None:
        return {".json": MAX_BYTES, ".vtt": webvtt.MAX_BYTES}.get(suffix)
    return {
        MediaKind.PICTURE: settings.PICTURE_MAX_BYTES,
        MediaKind.AUDIO: files.AUDIO_MAX_BYTES,
        MediaKind.VIDEO: settings.VIDEO_MAX_BYTES,
    }[kind]


def _refusal(reason: str) -> CurriculumError:
    return curriculum_error([((), reason)])
