"""What distribution uploads to: a bucket, or any storage of Django's.

`publishing.cdn.backends.s3` is the bucket of the publishing settings. `StorageTarget` makes any
other back end of ``STORAGES["cdn"]`` do the same with what every storage can.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.utils.translation import gettext as _

from publishing.cdn.backends.base import DistributionError, Held, Target
from publishing.destinations import storage_place
from publishing.format import encoding
from publishing.models import PublishingSettings, storage_is_the_bucket


@dataclass(frozen=True, slots=True)
class Targets:
    """Where open files go, and where gated lessons go (None: nowhere)."""

    public: Target
    private: Target | None

    def all(self) -> list[Target]:
        return [self.public, *([self.private] if self.private else [])]


def targets_of(current: PublishingSettings, *, in_a_hurry: bool = False) -> Targets:
    """Where these settings upload to.

    Args:
        in_a_hurry: somebody waits for the answer: a bucket is asked once, and has a few
            seconds.

    Raises:
        DistributionError, SecretsError: the settings do not make sense.
    """
    if storage_is_the_bucket():
        from publishing.cdn.backends import s3  # boto3 is slow to import

        return Targets(
            s3.public_bucket(current, in_a_hurry=in_a_hurry),
            s3.private_bucket(current, in_a_hurry=in_a_hurry),
        )
    return Targets(StorageTarget("cdn"), private=None)


class StorageTarget:
    """Any back end of ``STORAGES``, with what the Storage API has.

    Most replace in place when told to overwrite. Where ``save`` renames what would
    collide instead, the old one is deleted, but only once the storage has taken the new
    one: one that refuses leaves what was there. It verifies by reading back.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._storage: Storage = storages[alias]
        self.id = storage_place(alias)
        self.packs = False

    def put(self, path: str, data: bytes, *, sha256: str) -> None:
        del sha256  # a plain storage keeps no metadata
        with _describe_error(self._alias):
            saved = self._storage.save(path, _json(data))
            if saved != path:
                self._storage.delete(saved)
                self._storage.delete(path)
                saved = self._storage.save(path, _json(data))
            if saved != path:
                self._storage.delete(saved)
        if saved != path:
            raise DistributionError(
                _("The storage “%(name)s” keeps %(path)s under another name.")
                % {"name": self._alias, "path": path}
            )

    def has(self, path: str, data: bytes, *, sha256: str) -> bool:
        del sha256
        return self.read(path) == data

    def holds(self, held: Held, data: bytes) -> bool | None:
        return None if held.size == len(data) else False

    def claims(self, path: str, sha256: str) -> bool:
        data = self.read(path)
        return data is not None and encoding.sha256(data) == sha256

    def read(self, path: str) -> bytes | None:
        with _describe_error(self._alias):
            try:
                if not self._storage.exists(path):
                    return None
                with self._storage.open(path) as file:
                    data: bytes = file.read()
                    return data
            except FileNotFoundError:
                return None

    def list(self, prefix: str) -> dict[str, Held]:
        found: dict[str, Held] = {}
        folders = [prefix.rstrip("/")]
        with _describe_error(self._alias):
            while folders:
                folder = folders.pop()
                try:
                    inner, names = self._storage.listdir(folder)
                except FileNotFoundError:
                    continue
                folders += [f"{folder}/{name}" for name in inner]
                for name in names:
                    path = f"{folder}/{name}"
                    found[path] = Held(size=self._storage.size(path))
        return found

    def delete(self, paths: Collection[str]) -> None:
        with _describe_error(self._alias):
            for path in paths:
                self._storage.delete(path)


def _json(data: bytes) -> "ContentFile[bytes]":
    file = ContentFile(data)
    # What the back ends of S3, Google and Azure store it as.
    file.content_type = "application/json; charset=utf-8"  # type: ignore[attr-defined]
    return file


class _describe_error:  # noqa: N801 - reads as a statement
    """Whatever a storage raises becomes a `DistributionError` that names it."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _at: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, DistributionError):
            # The error's own text may hold an address with keys in it.
            raise DistributionError(
                _("The storage “%(name)s” failed: %(kind)s.")
                % {"name": self._alias, "kind": type(error).__name__}
            ) from None
