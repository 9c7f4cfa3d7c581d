"""Players' photos: their URLs, and the deletion of files without a player.

A file is deleted after the commit that replaced it. After a crash in between, or if the
disk refuses, `tidy` deletes the file later.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction

from core import pictures
from players.models import PlayerProfile, photo_name
from players.services.devices import lock_player
from publishing import api

log = structlog.get_logger(__name__)

URL_SECONDS = 15 * 60
"""How long the URL of a photo is valid."""
FOLDER = "photos"
ORPHAN_AGE = timedelta(hours=1)
"""A file without a row may belong to a request that has not committed yet."""
_NAME = re.compile(r"photos/[0-9a-f]{32}\.[a-z]{3,4}")


@dataclass(frozen=True, slots=True)
class TidyResult:
    """Numbers of one run: photos given a random name, and files deleted.

    ``damaged`` counts renamed files that are not pictures; their bytes are unchanged.
    """

    renamed: int
    damaged: int
    deleted: int


def signed_uri(name: str, *, player_id: int, now: datetime) -> str | None:
    """Return path and query of a photo, valid for `URL_SECONDS`; None without one.

    Args:
        name: the photo's name in the storage; "" without one.
    """
    if not name:
        return None
    return api.photo_uri(
        PurePath(name).name,
        expires=int(now.timestamp()) + URL_SECONDS,
        player_id=player_id,
    )


def replace(*, player_id: int, file: "File[Any]") -> None:
    """Make the picture in ``file`` the player's photo; `core.pictures` encodes it again.

    The old photo's file is deleted after the commit.

    Raises:
        ValidationError: `core.pictures` does not accept it.
        PlayerNotFoundError: there is no such player.
        OSError: the disk refuses; the player keeps the old photo.
    """
    picture = pictures.clean(file)
    with transaction.atomic():
        profile = lock_player(player_id)
        profile.photo.save(picture.name or "", picture, save=False)
        profile.save(update_fields=["photo"])


@transaction.atomic
def remove(*, player_id: int) -> None:
    """Remove the player's photo, if they have one; its file follows after the commit.

    Raises:
        PlayerNotFoundError: there is no such player.
    """
    profile = lock_player(player_id)
    profile.photo = ""
    profile.save(update_fields=["photo"])


def delete(name: str) -> bool:
    """Delete a photo's file; return whether it is gone. A missing file is no error.

    A refusal of the disk is logged; `tidy` tries again.
    """
    try:
        default_storage.delete(name)
    except OSError as error:
        log.warning("photo_not_deleted", error=type(error).__name__)
        return False
    return True


def tidy(*, now: datetime) -> TidyResult:
    """Give photos of earlier versions a random name; delete files without a player.

    It may run at any time, in several processes, and again after an interruption.

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
    """Store a copy of a photo, without its metadata, under a random name.

    Returns:
        Whether it is a picture; None if nothing was renamed, because the file is
        missing or the player has another photo by now.
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
    """Delete files without a player that are older than `ORPHAN_AGE`; return how many.

    Raises:
        OSError: the disk refuses.
    """
    try:
        _folders, names = default_storage.listdir(FOLDER)
    except FileNotFoundError:  # no photo was stored yet
        return 0
    # Read after the folder: a listed file that has no row now never gets one.
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
