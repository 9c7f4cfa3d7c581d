"""Players' photos: their URLs, and the files that no player has any more.

A file is deleted after the commit that replaced it. Where a process dies in between, or
the disk refuses, `tidy` finds the file later.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePath

import structlog
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction

from core import pictures
from players.models import PlayerProfile, photo_name
from publishing import api

log = structlog.get_logger(__name__)

URL_SECONDS = 15 * 60
"""How long the URL of a photo stays good."""
FOLDER = "photos"
ORPHAN_AGE = timedelta(hours=1)
"""A file without a row may belong to a request that has yet to commit."""
_NAME = re.compile(r"photos/[0-9a-f]{32}\.[a-z]{3,4}")


@dataclass(frozen=True, slots=True)
class TidyResult:
    """What a run did: photos given a random name, and files deleted.

    ``damaged`` counts renamed files that are no picture; they are kept as they are.
    """

    renamed: int
    damaged: int
    deleted: int


def signed_uri(profile: PlayerProfile, *, now: datetime) -> str | None:
    """Path and query that read the player's photo for `URL_SECONDS`; None without one."""
    name = profile.photo.name
    if not name:
        return None
    return api.photo_uri(
        PurePath(name).name,
        expires=int(now.timestamp()) + URL_SECONDS,
        player_id=profile.pk,
    )


def delete(name: str) -> bool:
    """Delete a photo's file; whether it is gone. One that is gone already is no error.

    Where the disk refuses, this is logged; `tidy` tries again.
    """
    try:
        default_storage.delete(name)
    except OSError as error:
        log.warning("photo_not_deleted", error=type(error).__name__)
        return False
    return True


def tidy(*, now: datetime) -> TidyResult:
    """Give photos of earlier versions a random name; delete files of no player.

    It may run at any time, in several processes, and again after it was interrupted.

    Raises:
        OSError: the disk refuses.
    """
    renamed = damaged = 0
    photos = PlayerProfile.objects.exclude(photo="").values_list("pk", "photo")
    for pk, name in photos.iterator(chunk_size=500):
        if _NAME.fullmatch(name):
            continue
        is_picture = _rename(pk, name)
        if is_picture is not None:
            renamed += 1
            damaged += not is_picture
    result = TidyResult(renamed, damaged, delete_orphans(now=now))
    if renamed or result.deleted:
        log.info(
            "photos_tidied", renamed=renamed, damaged=damaged, deleted=result.deleted
        )
    return result


def _rename(player_id: int, name: str) -> bool | None:
    """Store a photo anew, without its metadata, under a random name.

    Returns:
        Whether it is a picture; None when nothing was renamed: the file is missing, or
        the player has another photo by now.
    """
    try:
        with default_storage.open(name) as old:
            content, is_picture = _cleaned(old)
            copy = default_storage.save(photo_name(None, content.name or ""), content)
    except FileNotFoundError:
        return None
    with transaction.atomic():
        profile = PlayerProfile.objects.filter(pk=player_id, photo=name)
        is_current = profile.update(photo=copy) == 1
        transaction.on_commit(lambda: delete(name if is_current else copy))
    return is_picture if is_current else None


def _cleaned(old: "File[bytes]") -> tuple["File[bytes]", bool]:
    try:
        return pictures.clean(old), True
    except ValidationError:
        old.seek(0)
        return old, False


def delete_orphans(*, now: datetime) -> int:
    """Delete files of no player that are older than `ORPHAN_AGE`; how many.

    Raises:
        OSError: the disk refuses.
    """
    try:
        _folders, names = default_storage.listdir(FOLDER)
    except FileNotFoundError:  # before the first photo
        return 0
    # Read after the folder: a file of the list that has no row now never gets one.
    held = set(PlayerProfile.objects.exclude(photo="").values_list("photo", flat=True))
    deleted = 0
    for path in (f"{FOLDER}/{name}" for name in names):
        if path not in held and _is_old(path, now):
            deleted += delete(path)
    return deleted


def _is_old(path: str, now: datetime) -> bool:
    try:
        return default_storage.get_modified_time(path) < now - ORPHAN_AGE
    except FileNotFoundError:
        return False
