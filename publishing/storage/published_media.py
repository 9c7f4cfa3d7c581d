"""Which media files the published files on this server's disk contain."""

from collections.abc import Collection
from urllib.parse import quote

from content.hooks import published_media
from publishing.models import PublishedDocument
from publishing.storage import file_store


@published_media.add
def in_published_files(paths: Collection[str]) -> set[str]:
    """Return those paths of media that a published file contains.

    One query; reads every published file.
    """
    searched = {path: {path.encode(), quote(path).encode()} for path in paths}
    found: set[str] = set()
    for document in PublishedDocument.objects.values_list("path", flat=True):
        data = file_store.read(document) or b""
        for path, spellings in searched.items():
            if path not in found and any(text in data for text in spellings):
                found.add(path)
    return found
