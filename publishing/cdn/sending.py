"""Sending files to one target in parallel, and verifying what it stored."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event, Lock

from django.conf import settings
from django.utils.translation import gettext as _

from publishing.cdn.backends.base import DistributionError, ListedObject, Target
from publishing.cdn.desired_state import DesiredFile, DesiredFiles
from publishing.cdn.remote_state import StateChangedError
from publishing.format import encoding
from publishing.storage import file_store

_LISTED_FROM = 20
"""Verify by listing if there are at least this many uploads per page of the listing."""


class Sending:
    """Uploads some files to one target in parallel and verifies them."""

    def __init__(self, target: Target, release: DesiredFiles) -> None:
        self._target = target
        self._release = release
        self._stop = Event()
        self._counting = Lock()
        self.files = 0
        self.bytes = 0
        self.failure: Exception | None = None

    def send(self, files: Sequence[DesiredFile]) -> dict[DesiredFile, int]:
        """Upload and verify; return the verified files with their sizes in bytes.

        If some are not verified, ``failure`` holds the reason.
        """
        listing = self._should_list(files)
        with ThreadPoolExecutor(settings.UPLOAD_CONCURRENCY) as pool:
            found = pool.map(partial(self._put, check=not listing), files)
            put = {
                file: data
                for file, data in zip(files, found, strict=True)
                if data is not None
            }
            if listing:
                put = self._verified_by_list(put, pool)
        return {file: len(data) for file, data in put.items()}

    def _put(self, file: DesiredFile, *, check: bool) -> bytes | None:
        """Upload a file and return its bytes, or None if something failed."""
        if self._stop.is_set():
            return None
        try:
            data = _read(file)
            if self._release.is_doubtful(file) and self._has(file, data):
                return data
            self._target.put(file.path, data, sha256=file.sha256)
            if check and not self._has(file, data):
                self._retry_put(file, data)
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            self._fail(error)
            return None
        with self._counting:
            self.files += 1
            self.bytes += len(data)
        return data

    def _retry_put(self, file: DesiredFile, data: bytes) -> None:
        """Upload once more, so that wrong bytes do not stay until the next attempt.

        Raises:
            DistributionError: the bytes are still wrong.
        """
        self._target.put(file.path, data, sha256=file.sha256)
        if not self._has(file, data):
            raise _wrong_content_error(file.path)

    def _has(self, file: DesiredFile, data: bytes) -> bool:
        return self._target.has(file.path, data, sha256=file.sha256)

    def _fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        self._stop.set()

    def _should_list(self, files: Sequence[DesiredFile]) -> bool:
        """Whether listing the folder takes fewer requests than checking each file."""
        if len(files) < _LISTED_FROM:
            return False
        folder = _folder(files[0].path)
        known = sum(
            path.startswith(folder)
            for place, path in self._release.held
            if place == self._target.id
        )
        pages = 1 + max(known, len(files)) // 1000
        return len(files) >= _LISTED_FROM * pages

    def _verified_by_list(
        self, put: dict[DesiredFile, bytes], pool: ThreadPoolExecutor
    ) -> dict[DesiredFile, bytes]:
        try:
            listed_files: dict[str, ListedObject] = {}
            for folder in sorted({_folder(file.path) for file in put}):
                listed_files |= self._target.list(folder)
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            self._fail(error)
            return {}

        def is_there(item: tuple[DesiredFile, bytes]) -> bool:
            file, data = item
            listed = listed_files.get(file.path)
            try:
                says = listed is not None and self._target.holds(listed, data)
                if says is None:  # the ETag is not an MD5
                    says = self._has(file, data)
                if not says:
                    self._retry_put(file, data)
            except Exception as error:  # noqa: BLE001 - raised again by the caller
                self._fail(error)
                return False
            return True

        verified = pool.map(is_there, put.items())
        return {
            file: put[file]
            for file, there in zip(list(put), verified, strict=True)
            if there
        }


def _read(file: DesiredFile) -> bytes:
    """Read the file's bytes from the local disk.

    Raises:
        StateChangedError: they are not, or no longer, the published bytes.
    """
    data = file_store.read(file.source)
    if data is None or encoding.sha256(data) != file.sha256:
        raise StateChangedError(file.path)
    return data


def _wrong_content_error(path: str) -> DistributionError:
    return DistributionError(
        _(
            "The CDN confirmed that it stored %(path)s, but the stored data is "
            "different."
        )
        % {"path": path}
    )


def _folder(path: str) -> str:
    """Return the folder to list: ``plans/{plan}/`` or ``lessons/``."""
    parts = path.split("/")
    return "/".join(parts[:2] if parts[0] == "plans" else parts[:1]) + "/"
