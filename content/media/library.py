"""The library of media: add, replace and delete files, and give videos captions."""

import posixpath
from collections.abc import Callable, Collection, Iterator
from typing import Any

import structlog
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils.translation import gettext as _

from content import locks
from content.history import recording
from content.hooks import published_media, video_store
from content.media import files, references, usage, webvtt
from content.media.files import MediaError
from content.models import LessonStage, MediaFile, MediaKind, Node
from content.stage_types import SCHEMAS
from core.batches import BATCH_SIZE
from core.errors import MemoraError

log = structlog.get_logger(__name__)

Config = dict[str, Any]
_MAX_TRACKS = SCHEMAS["Video"]["properties"]["captions"]["maxItems"]


class MediaInUseError(MemoraError):
    """A file cannot be deleted, because something uses it."""

    code = "MEDIA_IN_USE"


def add(file: "File[Any]", *, kind: MediaKind) -> MediaFile:
    """Store a file with its row; equal content is stored once.

    Raises:
        MediaError: it is not a valid file of this kind, or too large.
        MemoraError, OSError: the bucket or the storage failed.
    """
    with files.removed_on_error() as new:
        media = files.add(file, kind=kind, new=new)
        with transaction.atomic():
            new.save()
    return media


def replace(*, media: MediaFile, file: "File[Any]") -> tuple[MediaFile, int]:
    """Store a new file and use it everywhere in place of ``media``.

    The new file has another address, so that published lessons show the old one until
    the next build. The old file stays in the library, unused.

    Returns:
        The new file, with the alternative text and the captions of the old one, and the
        number of places that changed.

    Raises:
        MediaError: it is not a valid file of the same kind, or the same file.
        MemoraError, OSError: the bucket or the storage failed; nothing was changed.
    """
    with files.removed_on_error() as new:
        stored = files.add(file, kind=MediaKind(media.kind), new=new)
        if stored.path == media.path:
            raise MediaError(_("This is the same file: nothing was replaced."))
        with transaction.atomic(), recording.group_changes():
            new.save()
            stored.alt = stored.alt or media.alt
            stored.captions = stored.captions or media.captions
            stored.save()
            address = files.address(stored)

            def replaced(type_name: str, config: Config) -> Config:
                def new_address(reference: references.Reference) -> str:
                    is_old = usage.path_of(reference) == media.path
                    return address if is_old else reference.address

                changed: Config = references.changed(type_name, config, new_address)
                return changed

            count = _change_stages(media, replaced)
            images = Node.objects.filter(image=media.path)
            locks.lock_subjects(node.subject_pk for node in images)
            count += images.update(image=stored.path)
    log.info("media_replaced", old=media.path, new=stored.path, places=count)
    return stored, count


def set_captions(
    *, media: MediaFile, language: str, label: str, file: "File[Any]"
) -> int:
    """Give a video a caption track, replacing that of the same language, everywhere.

    Args:
        file: WebVTT.

    Returns:
        The number of stages that changed.

    Raises:
        MediaError: the file is not valid WebVTT, or the video has too many tracks.
    """
    file.seek(0)
    try:
        cues = webvtt.parse(file.read(webvtt.MAX_BYTES + 1))
    except webvtt.WebVTTError as error:
        raise MediaError(str(error)) from error
    track = {"language": language, **({"label": label} if label else {}), "cues": cues}
    return _change_captions(media, language, [track])


def remove_captions(*, media: MediaFile, language: str) -> int:
    """Remove a video's caption track of this language everywhere.

    Returns:
        The number of stages that changed.
    """
    return _change_captions(media, language, [])


def _change_captions(media: MediaFile, language: str, new: list[Config]) -> int:
    def with_track(tracks: list[Config]) -> list[Config]:
        others = [track for track in tracks if track.get("language") != language]
        if len(others) + len(new) > _MAX_TRACKS:
            raise MediaError(
                _("A video has at most %(count)d caption tracks.")
                % {"count": _MAX_TRACKS}
            )
        return [*others, *new]

    def changed(type_name: str, config: Config) -> Config:
        if type_name != "Video" or config.get("source") != media.path:
            return config
        tracks = with_track(config.get("captions", []))
        others = {key: value for key, value in config.items() if key != "captions"}
        return {**others, "captions": tracks} if tracks else others

    with transaction.atomic(), recording.group_changes():
        row = MediaFile.objects.select_for_update().get(pk=media.pk)
        row.captions = with_track(row.captions)
        row.save(update_fields=["captions"])
        return _change_stages(media, changed)


def _change_stages(media: MediaFile, changed: Callable[[str, Config], Config]) -> int:
    """Write the changed configs of the stages that may use ``media``.

    Their subjects are locked first, then the stages are read. Returns how many differ.
    """
    stages = usage.stages_with_media(of=media.path)
    subjects = stages.order_by().values_list("lesson__subject_id", flat=True)
    locks.lock_subjects(subjects.exclude(lesson__subject=None).distinct())
    written = []
    for stage in usage.stages_with_media(of=media.path):
        config = changed(stage.type, stage.config)
        if config != stage.config:
            stage.config = config
            written.append(stage)
    if written:
        LessonStage.objects.bulk_update(written, ["config"], BATCH_SIZE)
    return len(written)


def delete(*, media: MediaFile) -> None:
    """Delete a file that nothing uses, and its row.

    Raises:
        MediaInUseError: a stage, a node or a published lesson uses it.
        MemoraError, OSError: the bucket or the storage failed; the row is still there.
    """
    refuse_used([media])
    with transaction.atomic():
        path, kind = media.path, media.kind
        media.delete()
        files.delete(kind, path)
    log.info("media_deleted", path=path)


def refuse_used(rows: Collection[MediaFile]) -> None:
    """Refuse files that something uses.

    Raises:
        MediaInUseError: names the first one and where it is used.
    """
    used = usage.places()
    for row in rows:
        if places := used.get(row.path):
            raise MediaInUseError(
                _("“%(name)s” is used in “%(title)s”.")
                % {"name": row.name, "title": places[0].title}
            )
    published: set[str] = set().union(*published_media([row.path for row in rows]))
    for row in rows:
        if row.path in published:
            raise MediaInUseError(
                _("“%(name)s” is in a published lesson. Publish first, then delete it.")
                % {"name": row.name}
            )


# --- Files that are here without a row ----------------------------------------


def index() -> Iterator[MediaFile]:
    """Add a row for each file that has none, and yield it.

    Public files below ``images/``, videos on this server, and videos elsewhere that a
    stage names. Files are read once, for their hash.
    """
    known = set(MediaFile.objects.values_list("path", flat=True))
    for path in _public_files(files.PUBLIC.rstrip("/")):
        if path not in known and (kind := files.kind_of(path)):
            with default_storage.open(path) as file:
                yield _indexed(kind, path, file.size, files.sha256_of(file))
    here = video_store.only.stored()
    used = {path for path in usage.places() if files.kind_of(path) is MediaKind.VIDEO}
    for path in sorted(used | here.keys()):
        if path in known or not files.kind_of(path):
            continue
        video = video_store.only.open(path)
        if video is not None:
            with video:
                yield _indexed(
                    MediaKind.VIDEO, path, video.size, files.sha256_of(video)
                )
        elif not video_store.only.missing([path], ask_bucket=True):
            yield _indexed(MediaKind.VIDEO, path, 0, "")


def index_image(path: str) -> None:
    """Add a row for the stored image of a node, if it has none."""
    if not MediaFile.objects.filter(path=path).exists():
        with default_storage.open(path) as file:
            _indexed(MediaKind.PICTURE, path, file.size, files.sha256_of(file))


def _indexed(kind: MediaKind, path: str, size: int, sha256: str) -> MediaFile:
    """Return the row of a file. Another request may add it at the same time."""
    row: MediaFile
    row, _is_new = MediaFile.objects.get_or_create(
        path=path,
        defaults={
            "kind": kind,
            "name": posixpath.basename(path),
            "sha256": sha256,
            "source_sha256": sha256,
            "size": size,
        },
    )
    return row


def _public_files(folder: str) -> Iterator[str]:
    try:
        folders, names = default_storage.listdir(folder)
    except FileNotFoundError:  # nothing has been uploaded yet
        return
    for name in sorted(names):
        yield f"{folder}/{name}"
    for inner in sorted(folders):
        yield from _public_files(f"{folder}/{inner}")
