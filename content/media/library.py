"""The library of media: add files and find where they are used."""

from typing import Any

from django.core.files.base import File
from django.db import transaction

from content.media import files
from content.models import MediaFile, MediaKind


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
