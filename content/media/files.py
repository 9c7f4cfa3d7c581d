"""Store, check and delete the files of media.

Pictures and audio go to the public uploads folder, because published content links to
them; their names are hashes of their content, so equal files are stored once. Videos go
to the `content.hooks.video_store`.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from content.hooks import video_store
from content.media.references import file_name
from content.models import MediaFile, MediaKind
from core import pictures
from core.errors import MemoraError

log = structlog.get_logger(__name__)

PUBLIC = "images/"
"""The folder of public files below ``MEDIA_ROOT`` (`memora_site.uploads`)."""
PICTURES = "images/stages"
AUDIO = "images/audio"
AUDIO_MAX_BYTES = 50 * 1024 * 1024
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif"})
VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".webm"})
AUDIO_SUFFIXES = frozenset({".mp3", ".m4a", ".ogg", ".oga", ".wav"})
_CHUNK = 1 << 20


class MediaError(MemoraError):
    """A file that cannot be stored; the message says why."""

    code = "INVALID_MEDIA"


@dataclass(slots=True)
class NewFiles:
    """The files that a block has stored, to be deleted if it fails; and their rows."""

    stored: list[tuple[MediaKind, str]] = field(default_factory=list)
    rows: list[MediaFile] = field(default_factory=list)

    def find(self, kind: MediaKind, **values: str) -> MediaFile | None:
        """Return the new row of this kind with these values."""
        for row in self.rows:
            if row.kind == kind and all(
                getattr(row, name) == value for name, value in values.items()
            ):
                return row
        return None

    def save(self) -> None:
        """Save the rows; call it in the block's transaction.

        Where another request has stored the same content meanwhile, its row is taken.
        """
        for row in self.rows:
            try:
                with transaction.atomic():
                    row.save()
            except IntegrityError:
                row.pk = MediaFile.objects.get(path=row.path).pk
                row.refresh_from_db()


@contextmanager
def removed_on_error() -> Iterator[NewFiles]:
    """Delete the files that the block stores if it raises.

    The block's transaction must end inside, so that its rows are already gone. A file
    whose row exists was stored with the same content by another request; it stays.
    """
    new = NewFiles()
    try:
        yield new
    except BaseException:
        for kind, path in new.stored:
            if not MediaFile.objects.filter(path=path).exists():
                try:
                    delete(kind, path)
                except (MemoraError, OSError):
                    log.exception("media_not_removed", path=path)
        raise


def kind_of(name: str) -> MediaKind | None:
    """Return the kind of a file by its suffix; None for other files."""
    suffix = PurePosixPath(name.lower()).suffix
    for kind, suffixes in (
        (MediaKind.PICTURE, PICTURE_SUFFIXES),
        (MediaKind.AUDIO, AUDIO_SUFFIXES),
        (MediaKind.VIDEO, VIDEO_SUFFIXES),
    ):
        if suffix in suffixes:
            return kind
    return None


def sha256_of(file: "File[Any]") -> str:
    """Return the hash of a file, read in parts; the file is at its start again."""
    digest = hashlib.sha256()
    file.seek(0)
    for chunk in file.chunks(_CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def add(
    file: "File[Any]", *, kind: MediaKind, new: NewFiles, dry_run: bool = False
) -> MediaFile:
    """Store a file and return its row; that of the same content if it is here already.

    Args:
        new: notes a file that was written, and a new row, which is not saved here.
        dry_run: check the file only; a new video then has a path that is not final.

    Raises:
        MediaError: it is not a valid file of this kind, or too large.
        MemoraError, OSError: the bucket or the storage failed.
    """
    source_sha256 = sha256_of(file)
    known = new.find(kind, source_sha256=source_sha256) or _known(kind, source_sha256)
    if known is not None:
        return known
    if kind is MediaKind.VIDEO:
        media = _video(file, source_sha256, new=new, dry_run=dry_run)
    else:
        media = _public(file, kind, source_sha256, new=new, dry_run=dry_run)
    if media._state.adding and media not in new.rows:
        new.rows.append(media)
    return media


def _known(kind: MediaKind, digest: str) -> MediaFile | None:
    """Return the row of the same content, if its file still exists."""
    found = MediaFile.objects.filter(
        Q(source_sha256=digest) | Q(sha256=digest), kind=kind
    )
    row: MediaFile
    for row in found:
        if not missing(kind, [row.path]):
            return row
    return None


def _public(
    file: "File[Any]", kind: MediaKind, digest: str, *, new: NewFiles, dry_run: bool
) -> MediaFile:
    is_picture = kind is MediaKind.PICTURE
    folder = PICTURES if is_picture else AUDIO
    content: File[Any] = _picture(file) if is_picture else _audio(file)
    suffix = PurePosixPath(content.name or "").suffix
    sha256 = sha256_of(content)
    path = f"{folder}/{sha256[:20]}{suffix}"
    found = new.find(kind, path=path) or MediaFile.objects.filter(path=path).first()
    if not dry_run and not default_storage.exists(path):
        default_storage.save(path, content)
        new.stored.append((kind, path))
    return found or MediaFile(
        kind=kind,
        path=path,
        name=_name(file),
        sha256=sha256,
        source_sha256=digest,
        size=content.size or 0,
    )


def _video(
    file: "File[Any]", digest: str, *, new: NewFiles, dry_run: bool
) -> MediaFile:
    store = video_store.only
    if dry_run:
        store.check(file)
        path = f"{digest[:20]}{PurePosixPath(file.name or '').suffix.lower()}"
    else:
        path = store.store(file, now=timezone.now())
        new.stored.append((MediaKind.VIDEO, path))
    return MediaFile(
        kind=MediaKind.VIDEO,
        path=path,
        name=_name(file),
        sha256=digest,
        source_sha256=digest,
        size=file.size or 0,
    )


def _name(file: "File[Any]") -> str:
    return PurePosixPath(file.name or "").name[:255] or "?"


def _picture(file: "File[Any]") -> pictures.CleanPicture:
    try:
        return pictures.clean(file)
    except ValidationError as error:
        raise MediaError(" ".join(error.messages)) from error


_AUDIO_HEADS: dict[str, Callable[[bytes], bool]] = {
    ".mp3": lambda head: head[:3] == b"ID3" or (head[0] == 0xFF and head[1] >= 0xE0),
    ".m4a": lambda head: head[4:8] == b"ftyp",
    ".ogg": lambda head: head[:4] == b"OggS",
    ".wav": lambda head: head[:4] == b"RIFF" and head[8:12] == b"WAVE",
}


def _audio(file: "File[Any]") -> "File[Any]":
    """Return the recording under its detected suffix; audio is not encoded again."""
    if file.size > AUDIO_MAX_BYTES:
        raise MediaError(
            _("The recording is larger than %(size)d MB.")
            % {"size": AUDIO_MAX_BYTES >> 20}
        )
    file.seek(0)
    data: bytes = file.read()
    for suffix, is_type in _AUDIO_HEADS.items():
        if len(data) > 12 and is_type(data):
            return ContentFile(data, name=f"audio{suffix}")
    raise MediaError(_("It is not an MP3, M4A, Ogg or WAV recording."))


# --- Files that exist ---------------------------------------------------------


def delete(kind: MediaKind | str, path: str) -> None:
    """Delete a file; nothing happens if there is none.

    Raises:
        MemoraError, OSError: the bucket or the storage failed.
    """
    if kind == MediaKind.VIDEO:
        video_store.only.delete(path)
    else:
        default_storage.delete(path)


def missing(
    kind: MediaKind | str, paths: Collection[str], *, ask_bucket: bool = False
) -> set[str]:
    """Return those paths that have no file."""
    if kind == MediaKind.VIDEO:
        return video_store.only.missing(paths, ask_bucket=ask_bucket)
    return {path for path in paths if not default_storage.exists(path)}


def address(media: MediaFile) -> str:
    """Return what a stage names the file by: its URL, or the source of a video."""
    path: str = media.path
    return path if media.kind == MediaKind.VIDEO else default_storage.url(path)


def public_path(address: str) -> str | None:
    """Return the storage's path of an address such as ``/media/images/a.png``.

    None if it is no address of an upload.
    """
    name = file_name(address)
    base = settings.SITE_URL.rstrip("/")
    if base and name.startswith(f"{base}/"):
        name = name.removeprefix(base)
    if not name.startswith(settings.MEDIA_URL):
        return None
    return name.removeprefix(settings.MEDIA_URL)


def is_readable(path: str) -> bool:
    """Return whether students may read a public file: it is below `PUBLIC`."""
    return path.startswith(PUBLIC) and ".." not in PurePosixPath(path).parts
