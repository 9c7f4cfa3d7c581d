"""The interface of an upload target: an S3 bucket or a Django storage."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from core.errors import MemoraError


class DistributionError(MemoraError):
    """The CDN refused a request or did not answer; the message gives the reason."""

    code = "CDN_FAILED"


class CdnTimeoutError(DistributionError):
    """The CDN did not answer, or not in time."""


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in a listing; ``etag`` is "" if the target has no ETags."""

    size: int
    etag: str = ""


class Target(Protocol):
    """Where published files are uploaded to. Safe to use from many threads.

    All methods raise `DistributionError` when the target refuses or does not answer.
    """

    id: str
    """Identifies the place, independent of the credentials used to reach it."""
    compresses: bool
    """Whether the target stores files compressed with gzip."""

    def put(self, path: str, data: bytes, *, sha256: str) -> None:
        """Store ``data`` at ``path``; replace an existing object."""

    def has(self, path: str, data: bytes, *, sha256: str) -> bool:
        """Check with the target whether ``path`` holds exactly ``data``."""

    def holds(self, listed: ListedObject, data: bytes) -> bool | None:
        """Whether a listing entry matches ``data``; None if it cannot be determined."""

    def claims(self, path: str, sha256: str) -> bool:
        """Whether the object's content, or its stored hash, matches ``sha256``."""

    def read(self, path: str) -> bytes | None:
        """Return the content, or None if there is no object."""

    def list(self, prefix: str) -> dict[str, ListedObject]:
        """Return all objects below ``prefix`` (which ends in ``/``), by path."""

    def delete(self, paths: Collection[str]) -> None:
        """Delete the objects; paths that do not exist are ignored."""
