"""Store editors' videos where they can be read only with a signature.

They are stored in ``STORAGES["videos"]``, or in the private bucket when the CDN has
one: never in the public content root or in ``/media/``.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path, PurePath
from typing import IO, Any, cast

import structlog
from django.conf import settings
from django.core.files import File
from django.core.files.storage import storages
from django.template.defaultfilters import filesizeformat
from django.utils.crypto import get_random_string
from django.utils.text import slugify
from django.utils.translation import gettext as _

from content.hooks import video_store
from core.errors import MemoraError
from publishing.format import encoding, signatures
from publishing.format.locations import lesson as lesson_path
from publishing.models import PublishingSettings
from publishing.signing import links, renewal

log = structlog.get_logger(__name__)

_HEAD = 64
_TYPES = {"mp4": ("mp4", "m4v"), "webm": ("webm",)}
"""File type, detected by the first bytes, to the allowed file extensions."""
_KINDS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm"}
_STEM = 60


class InvalidVideoError(MemoraError):
    """The file is not a video that students' devices can play, or is too large."""

    code = "INVALID_VIDEO"


def store_video(file: "File[Any]", *, now: datetime) -> str:
    """Store an uploaded video.

    Returns:
        The value for a Video stage's ``source``.

    Raises:
        InvalidVideoError: wrong type or size; nothing was stored.
        DistributionError, SecretsError: the private bucket failed.
        OSError: the storage failed.
    """
    kind = _check(file)
    stem = slugify(PurePath(file.name or "").stem, allow_unicode=True)[:_STEM]
    # The random part makes names unique and impossible to guess from one another.
    name = f"{now:%Y/%m}/{stem or 'video'}-{get_random_string(12)}.{kind}"
    bucket = links.private_bucket(PublishingSettings.get_solo())
    if bucket is not None:
        key = links.video_key(name)
        bucket.put_video(key, cast(IO[bytes], file), content_type=f"video/{kind}")
        source = name
    else:
        source = storages["videos"].save(name, file)
    where = "bucket" if bucket else "here"
    log.info("video_stored", source=source, bytes=file.size, where=where)
    return source


def _check(file: "File[Any]") -> str:
    """Return the type of a video as a suffix.

    Raises:
        InvalidVideoError: wrong type or size.
    """
    kind = _kind_of(file)
    if file.size > settings.VIDEO_MAX_BYTES:
        raise InvalidVideoError(
            _("The video is %(size)s; the maximum is %(largest)s.")
            % {
                "size": filesizeformat(file.size),
                "largest": filesizeformat(settings.VIDEO_MAX_BYTES),
            },
            details={"max_bytes": settings.VIDEO_MAX_BYTES},
        )
    return kind


class EditorsVideos:
    """The `content.hooks.VideoStore`."""

    def store(self, file: "File[Any]", *, now: datetime) -> str:
        return store_video(file, now=now)

    def check(self, file: "File[Any]") -> None:
        _check(file)

    def missing(self, sources: Collection[str], *, ask_bucket: bool) -> set[str]:
        """As in the protocol; no query while all videos are on this server.

        Raises:
            DistributionError, SecretsError: the bucket did not answer.
        """
        elsewhere = {source for source in sources if not _paths_here(source)}
        if not elsewhere:
            return elsewhere
        bucket = links.named_bucket(PublishingSettings.get_solo())
        if bucket is None:
            return elsewhere
        if not ask_bucket:
            return set()
        return {
            source
            for source in elsewhere
            if not any(
                bucket.exists(links.video_key(name)) for name in links.spellings(source)
            )
        }

    def open(self, source: str) -> "File[Any] | None":
        paths = _paths_here(source)
        return File(paths[0].open("rb")) if paths else None

    def delete(self, source: str) -> None:
        for path in _paths_here(source):
            path.unlink(missing_ok=True)
        bucket = links.named_bucket(PublishingSettings.get_solo())
        if bucket is not None:
            bucket.delete([links.video_key(name) for name in links.spellings(source)])

    def stored(self) -> dict[str, int]:
        root = Path(settings.VIDEO_ROOT)
        return {
            path.relative_to(root).as_posix(): path.stat().st_size
            for path in _files_here()
        }


def _paths_here(source: str) -> list[Path]:
    """Return the files of a video on this server, also of one that is in the bucket."""
    if ".." in PurePath(source).parts:
        return []
    paths = [Path(settings.VIDEO_ROOT, name) for name in links.spellings(source)]
    return [path for path in paths if path.is_file()]


def _files_here() -> list[Path]:
    return [
        path
        for path in sorted(Path(settings.VIDEO_ROOT).rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]


video_store.add(EditorsVideos())


def move_to_bucket(
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> int:
    """Move the videos on this server into the private bucket.

    Each is copied and verified in the bucket. Then its links, also those in published
    files, are signed for the bucket, and only then is it deleted here: its links work
    all the time. The next call continues an interrupted one.

    Args:
        progress: called with the number copied and the total.

    Returns:
        The number of videos moved.

    Raises:
        InvalidVideoError: there is no private bucket.
        DistributionError: the bucket failed, or holds another file under the name;
            no video was deleted here.
    """
    bucket = links.private_bucket(PublishingSettings.get_solo())
    if bucket is None:
        raise InvalidVideoError(
            _("Turn the CDN on and set a private bucket in the publishing settings.")
        )
    root = Path(settings.VIDEO_ROOT)
    paths = _files_here()
    for done, path in enumerate(paths):
        progress(done, len(paths))
        source = path.relative_to(root).as_posix()
        kind = _KINDS.get(path.suffix.lower(), "application/octet-stream")
        # A bucket matches names exactly, and a stage may have any of the spellings.
        for name in links.spellings(source):
            with path.open("rb") as file:
                bucket.put_video(links.video_key(name), file, content_type=kind)
        links.copied_marker_path(source).touch()
    progress(len(paths), len(paths))
    if paths:
        renewal.expire_signatures()
        renewal.renew_signatures(int(time.time()))
    for path in paths:
        path.unlink()
        links.copied_marker_path(path.relative_to(root).as_posix()).unlink()
    log.info("videos_moved_to_bucket", moved=len(paths))
    return len(paths)


def _kind_of(file: "File[Any]") -> str:
    """Return ``mp4`` or ``webm`` by the first bytes; the file name must agree."""
    file.seek(0)
    head: bytes = file.read(_HEAD)
    file.seek(0)
    kind = None
    if head[4:8] == b"ftyp":
        kind = "mp4"
    elif head.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in head:
        kind = "webm"
    ending = PurePath(file.name or "").suffix.lower().removeprefix(".")
    if kind is None or ending not in _TYPES[kind]:
        raise InvalidVideoError(
            _("“%(name)s” is not an MP4 or WebM video. Convert it to MP4 (H.264, AAC).")
            % {"name": PurePath(file.name or "").name}
        )
    return kind


@dataclass(frozen=True, slots=True)
class PlayableLesson:
    """A published lesson as its file is now.

    ``version`` is None without a file. ``video_urls`` has new URLs of its videos, by
    stage id, without those of videos on other hosts.
    """

    version: int | None
    video_urls: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LessonFile:
    """A published lesson's version, and stage id and source of each video of ours."""

    version: int
    sources: Sequence[tuple[str, str]]


def parse(data: bytes) -> LessonFile:
    """Return what links need of a lesson's published file."""
    return LessonFile(
        encoding.first_version_of(data),
        [
            (stage_id, config["source"])
            for stage_id, config in signatures.videos(data)
            if not config["source"].startswith(links.EXTERNAL_PREFIXES)
        ],
    )


def read(lesson_id: str) -> LessonFile | None:
    """Return `parse` of the lesson's file on this disk; None without one.

    Each process reads a file once: a new file in its place has another number or time.
    """
    path = f"{settings.CONTENT_ROOT}/{lesson_path(lesson_id)}"
    try:
        found = os.stat(path)
        return _read(path, found.st_ino, found.st_mtime_ns, found.st_size)
    except (FileNotFoundError, NotADirectoryError):
        return None


@lru_cache(maxsize=20_000)
def _read(path: str, *_identity: int) -> LessonFile:
    return parse(Path(path).read_bytes())


def playable(
    file: LessonFile | None, *, expires: int, signer: links.VideoSigner
) -> PlayableLesson:
    """Return a lesson's version and new URLs of its videos.

    Args:
        file: the lesson's published file; None without one.
    """
    if file is None:
        return PlayableLesson(None, {})
    return PlayableLesson(
        file.version,
        {stage_id: signer.sign(source, expires) for stage_id, source in file.sources},
    )
