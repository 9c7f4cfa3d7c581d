"""Giving documents their version: bytes change only when content does (DESIGN 4).

A document's content is compared with what was published under its path before; when
nothing changed it keeps its version, its time and so its bytes. Plain rules: no Django.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from publishing.format import encoding


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a document as published."""

    fingerprint: str
    version: int
    sha256: str
    size: int
    signed_until: int | None = None
    source_revision: int = 0
    source: str = ""
    """Of a lesson: what it was made of besides its stages (`documents.LessonSources`)."""


@dataclass(frozen=True, slots=True)
class BuiltDocument:
    """A document ready to be written.

    ``changed`` says that its bytes differ from those of ``before``, which is what was
    published under its path; ``data`` is the whole file.
    """

    path: str
    schema: str
    data: bytes
    record: Record
    changed: bool
    before: Record | None = None


def is_long_signed(until: int, now: int, life: int) -> bool:
    """Whether a signature of that ``life`` (seconds) has more than half of it left."""
    return life // 2 < until - now <= life


@dataclass(slots=True)
class DocumentVersioner:
    """Gives documents their version, and remembers them."""

    previous: Mapping[str, Record]
    now: int
    newest_version: int = 0
    """The highest version published so far: a path that was free may have had it."""
    sealed: dict[str, BuiltDocument] = field(default_factory=dict)

    def seal(
        self,
        path: str,
        schema: str,
        body: Mapping[str, Any],
        *,
        signed: Callable[[int], Mapping[str, Any]] | None = None,
        signature_life: int = 0,
        source_revision: int = 0,
        source: str = "",
    ) -> BuiltDocument:
        """``body`` as a finished document under ``path``.

        A version is the time its content last changed, higher than any that was
        published under the path before, also after a rollback (ADR 14). With
        ``signed``, the file holds ``signed(expires)`` in place of ``body``: a
        signature is no content and moves no version, and one with more than half
        its ``signature_life`` (seconds) left is kept.
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
        data = encoding.stamped(content, version)
        unchanged = same and before is not None and before.signed_until == signed_until
        digest = before.sha256 if unchanged and before else encoding.sha256(data)
        document = BuiltDocument(
            path=path,
            schema=schema,
            data=data,
            record=Record(
                *(fingerprint, version, digest, len(data)),
                *(signed_until, source_revision, source),
            ),
            changed=not unchanged,
            before=before,
        )
        self.sealed[path] = document
        return document

    def version_at(self, path: str) -> int:
        """The version of what lies under ``path``, or will."""
        made = self.sealed.get(path)
        return (made.record if made else self.previous[path]).version

    def _expiry(self, before: Record | None, life: int) -> int:
        kept = before.signed_until if before else None
        return (
            kept if kept and is_long_signed(kept, self.now, life) else self.now + life
        )
