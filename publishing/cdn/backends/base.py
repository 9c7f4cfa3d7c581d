"""What every place for published files can do, a bucket or any storage of Django's."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from core.errors import MemoraError


class DistributionError(MemoraError):
    """The CDN refused, or did not answer; the message says what and where."""

    code = "CDN_FAILED"


class CdnTimeoutError(DistributionError):
    """Nobody answered, or not in time."""


@dataclass(frozen=True, slots=True)
class Held:
    """An object as a listing names it; ``etag`` is "" where there is none."""

    size: int
    etag: str = ""


class Target(Protocol):
    """A place for published files; may be used from many threads at once.

    All methods raise `DistributionError`.
    """

    id: str
    """Which place this is, whoever asks with whatever keys."""
    packs: bool
    """Whether it stores files compressed."""

    def put(self, path: str, data: bytes, *, sha256: str) -> None:
        """Store ``data``; an object of that name is replaced."""

    def has(self, path: str, data: bytes, *, sha256: str) -> bool:
        """Whether the place itself says that it has ``data``."""

    def holds(self, held: Held, data: bytes) -> bool | None:
        """Whether a listing's entry is ``data``; None: it cannot tell."""

    def claims(self, path: str, sha256: str) -> bool:
        """Whether the object there is, or says it is, that content."""

    def read(self, path: str) -> bytes | None:
        """The content, or None."""

    def list(self, prefix: str) -> dict[str, Held]:
        """All objects below ``prefix``, which ends in ``/``, by path."""

    def delete(self, paths: Collection[str]) -> None:
        """Delete; fine when some are gone."""
