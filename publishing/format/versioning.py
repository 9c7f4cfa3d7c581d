"""Give documents their version: bytes change only when content changes.

A document's content is compared with what was published under its path before. An
unchanged document keeps its version, its time and therefore its bytes. See
docs/architecture.md, "Builds". Plain rules: no Django here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from publishing.format import encoding


@dataclass(frozen=True, slots=True)
class Record:
    """What is recorded of a published document."""

    fingerprint: str
    version: int
    sha256: str
    size: int
    signed_until: int | None = None
    source_revision: int = 0
    source: str = ""
    """For a lesson: digest of its other sources (`documents.LessonSources`)."""
    review_items: str = ""
    """For a lesson: the ids of its reviewable items, separated by spaces."""
    search_words: str = ""
    """For a lesson: its words for the search index (`keywords.of_stages`)."""


@dataclass(frozen=True, slots=True)
class BuiltDocument:
    """A document ready to be written.

    ``changed``: its bytes differ from those of ``before``, the record of what was
    published under its path. ``data`` is the whole file.
    """

    path: str
    schema: str
    data: bytes
    record: Record
    changed: bool
    before: Record | None = None


def is_long_signed(until: int, now: int, life: int) -> bool:
    """Return whether more than half of a signature's ``life`` (seconds) is left."""
    return life // 2 < until - now <= life


@dataclass(slots=True)
class DocumentVersioner:
    """Gives documents their version, and keeps the finished documents by path."""

    previous: Mapping[str, Record]
    now: int
    newest_version: int = 0
    """The highest version published so far: an unused path may have had it before."""
    documents: dict[str, BuiltDocument] = field(default_factory=dict)

    def finalize(
        self,
        path: str,
        schema: str,
        body: Mapping[str, Any],
        *,
        signed: Callable[[int], Mapping[str, Any]] | None = None,
        signature_life: int = 0,
        source_revision: int = 0,
        source: str = "",
        review_items: str = "",
        search_words: str = "",
    ) -> BuiltDocument:
        """Return ``body`` as a finished document under ``path``.

        The version is the Unix time when the content last changed. It is higher than
        any version published under the path before, also after a rollback (ADR 14).
        With ``signed``, the file holds ``signed(expires)`` in place of ``body``. A
        signature is not content: a new one does not change the version, and one with
        more than half of its ``signature_life`` (seconds) left is kept.
        """
        content = encoding.canonical(body)
        fingerprint = encoding.sha256(content)
        before = self.previous.get(path)
        same = before is not None and before.fingerprint == fingerprint
        if before is None:
            version = max(self.now, self.newest_version + 1)
        else:
            version = before.version if same else max(self.now, before.version + 1)
        signed_until = None
        if signed is not None:
            signed_until = self._expiry(before if same else None, signature_life)
            content = encoding.canonical(signed(signed_until))
        data = encoding.add_version(content, version)
        unchanged = same and before is not None and before.signed_until == signed_until
        digest = before.sha256 if unchanged and before else encoding.sha256(data)
        document = BuiltDocument(
            path=path,
            schema=schema,
            data=data,
            record=Record(
                *(fingerprint, version, digest, len(data)),
                *(signed_until, source_revision, source),
                *(review_items, search_words),
            ),
            changed=not unchanged,
            before=before,
        )
        self.documents[path] = document
        return document

    def record_at(self, path: str) -> Record:
        """Return the record of the document at ``path``, finalized or published."""
        document = self.documents.get(path)
        return document.record if document else self.previous[path]

    def _expiry(self, before: Record | None, life: int) -> int:
        signed_until = before.signed_until if before else None
        return (
            signed_until
            if signed_until and is_long_signed(signed_until, self.now, life)
            else self.now + life
        )
