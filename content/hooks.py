"""What other apps add to the pages of content; content does not import these apps.

Annotations of the tree page have a module of their own: `content.tree_annotations`.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Protocol

from django.core.files.base import File
from django.http import HttpRequest
from django.utils.safestring import SafeString

from content.history.changes import Source
from content.models import Node
from core.hooks import Hook, Registry

node_deletion_warnings: Hook[[Sequence[Node]], str] = Hook()
"""Returns a sentence about the effects of deleting these nodes, or "".

In a fixed number of queries.
"""

product_uses: Hook[[str], str] = Hook()
"""Returns where this product code is used, such as "3 overrides", or "".

In a fixed number of queries.
"""

node_links: Hook[[HttpRequest, Node], tuple[str, ...]] = Hook()
"""Returns the URL and the label of a link in the toolbar of a node's page; empty if
the user may not open it. No query."""

node_history: Hook[[Node], Source] = Hook()
"""Returns other rows that the history of a node shows. No query."""

lesson_panels: Hook[[HttpRequest, Node], SafeString] = Hook()
"""Renders a panel on the page of a lesson; empty if there is nothing to show."""


class VideoStore(Protocol):
    """Where videos are: on this server or in a bucket."""

    def store(self, file: "File[Any]", *, now: datetime) -> str:
        """Store a video and return the ``source`` of a Video stage.

        Raises:
            MemoraError: it is no video that students can play, or the bucket failed;
                nothing was stored.
            OSError: the storage failed.
        """

    def check(self, file: "File[Any]") -> None:
        """Check that `store` would accept the file; store nothing.

        Raises:
            MemoraError: as `store`.
        """

    def missing(self, sources: Collection[str], *, ask_bucket: bool) -> set[str]:
        """Return those sources that have no video.

        Without ``ask_bucket`` no request is sent: videos that may be in the bucket do
        not count as missing.
        """

    def open(self, source: str) -> "File[Any] | None":
        """Return a video on this server; None if it is not here.

        Raises:
            OSError: it cannot be read.
        """

    def delete(self, source: str) -> None:
        """Delete a video; nothing happens if there is none.

        Raises:
            MemoraError, OSError: the bucket or the storage failed.
        """

    def stored(self) -> dict[str, int]:
        """Return the size in bytes of each video on this server, by source."""


video_store: Registry[VideoStore] = Registry(single=True)
"""The store of videos, which publishing adds: only it can sign links to them."""

published_media: Hook[[Collection[str]], set[str]] = Hook()
"""Returns those paths of media files that published lessons contain."""
