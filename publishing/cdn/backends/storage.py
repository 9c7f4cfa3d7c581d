"""Choose the upload target: an S3 bucket, or any Django storage.

`publishing.cdn.backends.s3` implements the bucket of the publishing settings.
`StorageTarget` implements the same interface for any other backend of
``STORAGES["cdn"]``.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.utils.translation import gettext as _

from publishing.cdn.backends.base import DistributionError, ListedObject, Target
from publishing.destinations import storage_destination_id
from publishing.format import encoding
from publishing.models import PublishingSettings, storage_is_the_bucket


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets for open files and for gated lessons (None: not uploaded)."""

    public: Target
    private: Target | None

    def all(self) -> list[Target]:
        return [self.public, *([self.private] if self.private else [])]


def targets_of(current: PublishingSettings, *, interactive: bool = False) -> Targets:
    """Return the upload targets of these settings.

    Args:
        interactive: a user waits for the result: make one attempt per request, with a
            read timeout of at most 10 seconds.

    Raises:
        DistributionError: the endpoint or the region is not valid.
        SecretsError: the keys cannot be decrypted.
    """
    if storage_is_the_bucket():
        from publishing.cdn.backends import s3  # boto3 is slow to import

        return Targets(
            s3.public_bucket(current, interactive=interactive),
            s3.private_bucket(current, interactive=interactive),
        )
    return Targets(StorageTarget("cdn"), private=None)


class StorageTarget:
    """Any backend of ``STORAGES``, used only through Django's Storage API.

    Most backends can be configured to overwrite a file in place. Where ``save`` picks
    another name instead, the old file is deleted, but only after the backend has
    accepted the new one: if it refuses, the old file remains. Files are verified by
    reading them back.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._storage: Storage = storages[alias]
        self.id = storage_destination_id(alias)
        self.compresses = False

    def put(self, path: str, data: bytes, *, sha256: str) -> None:
        del sha256  # the Storage API has no metadata
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
                _("The storage “%(name)s” stores %(path)s under another name.")
                % {"name": self._alias, "path": path}
            )

    def has(self, path: str, data: bytes, *, sha256: str) -> bool:
        del sha256
        return self.read(path) == data

    def holds(self, listed: ListedObject, data: bytes) -> bool | None:
        return None if listed.size == len(data) else False

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

    def list(self, prefix: str) -> dict[str, ListedObject]:
        found: dict[str, ListedObject] = {}
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
                    found[path] = ListedObject(size=self._storage.size(path))
        return found

    def delete(self, paths: Collection[str]) -> None:
        with _describe_error(self._alias):
            for path in paths:
                self._storage.delete(path)


def _json(data: bytes) -> "ContentFile[bytes]":
    file = ContentFile(data)
    # The S3, Google and Azure backends store this as the content type.
    file.content_type = "application/json; charset=utf-8"  # type: ignore[attr-defined]
    return file


class _describe_error:  # noqa: N801 - reads as a statement
    """Convert any exception of a storage into a `DistributionError` that names it."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _at: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, DistributionError):
            # The error's own text may contain a URL with keys in it.
            raise DistributionError(
                _("The storage “%(name)s” failed: %(kind)s.")
                % {"name": self._alias, "kind": type(error).__name__}
            ) from None
