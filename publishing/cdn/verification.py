"""Compare every object on the CDN with the local bytes, in both directions.

A listing gives the size and MD5 of what is really stored; where it has no MD5, the
object is read. The comparison ignores records that an object was uploaded. It uses the
records of unfinished work: while an upload runs or waits, files that it is yet to send
or delete are not differences. They count as `Report.under_way`, and the sync log
reports their failures.
"""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from publishing import upload_log
from publishing.cdn import desired_state, remote_state, sync
from publishing.cdn.backends.base import ListedObject, Target
from publishing.cdn.backends.storage import Targets, targets_of
from publishing.cdn.desired_state import DesiredFile
from publishing.format import encoding, locations
from publishing.models import CONTENT_PATH_LENGTH, PublishingSettings
from publishing.storage import file_store

_FOLDERS = ("lessons/", "plans/")
"""All folders in a bucket that belong to Memora."""
Progress = Callable[[int, int], None]


class Difference(StrEnum):
    """How the CDN can differ from what is published."""

    MISSING = "missing"
    DIFFERENT = "different"
    EXTRA = "extra"
    EXPOSED = "exposed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference; ``place`` is "public" or "private"."""

    kind: Difference
    place: str
    path: str
    why: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "place": self.place,
            "path": self.path,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The number of files compared, the remaining differences and the repaired ones.

    ``under_way`` is the number of files that an upload is yet to send or delete.
    """

    checked: int
    findings: tuple[Finding, ...]
    repaired: int = 0
    under_way: int = 0

    @property
    def ok(self) -> bool:
        return not self.findings


def verify(*, repair: bool = False, progress: Progress | None = None) -> Report:
    """Compare all files; with ``repair``, upload and delete what differs, then compare.

    A difference found by the first comparison is never counted as under way by the
    second.

    Raises:
        DistributionError, SecretsError: the CDN cannot be read.
    """
    targets = targets_of(PublishingSettings.get_solo())
    progress = progress or (lambda _done, _of: None)
    found = _compare(targets, progress)
    if not repair or (found.ok and not found.under_way):
        return found
    for target in targets.all():
        paths = {f.path for f in found.findings if f.place == _name(targets, target)}
        foreign = {path for path in paths if len(path) > CONTENT_PATH_LENGTH}
        target.delete(foreign)
        remote_state.mark_unknown(target.id, paths - foreign)
    sync.distribute(ignore_backoff=True)
    after = _compare(targets, progress, before=found.findings)
    return replace(after, repaired=len(set(found.findings) - set(after.findings)))


def ping() -> None:
    """Check that the CDN answers, whatever the answer is.

    Raises:
        DistributionError, SecretsError: it does not answer.
    """
    for target in targets_of(PublishingSettings.get_solo()).all():
        target.read("plans/manifest.json")  # no plan can have this path


def _compare(
    targets: Targets, progress: Progress, *, before: Collection[Finding] = ()
) -> Report:
    # Checked before and after: an upload that runs now may have ended by then.
    is_uploading = upload_log.running_uploads()
    listed = {
        target.id: {
            path: entry
            for folder in _FOLDERS
            for path, entry in target.list(folder).items()
        }
        for target in targets.all()
    }
    # Read after the listing: changes by a distributor in between are checked below.
    should = desired_state.of_everything(targets)
    suspects = list(_suspects(targets, should.files, listed, progress))
    found = suspects + list(_extra(targets, should, listed))
    if not found:
        return Report(len(should.files), ())
    current = _CurrentState(
        targets, should, is_uploading=is_uploading or upload_log.running_uploads()
    )
    found = [item for item in found if current.is_the_same(item)]
    seen = set(before)
    pending_files = {
        item for item in found if item not in seen and current.is_pending(item)
    }
    left = tuple(item for item in found if item not in pending_files)
    return Report(len(should.files), left, under_way=len(pending_files))


class _CurrentState:
    """The tables' state after the comparison, which may have taken hours."""

    def __init__(
        self,
        targets: Targets,
        before: desired_state.DesiredFiles,
        *,
        is_uploading: bool,
    ) -> None:
        self._then = _by_place(before)
        self._ids = {_name(targets, target): target.id for target in targets.all()}
        self._tables = desired_state.of_everything(targets)
        self._files = _by_place(self._tables)
        self._is_uploading = is_uploading
        failed = upload_log.failures() if is_uploading else []
        self._stuck = tuple(
            f"{locations.plan_folder(entry.plan_public_id)}/" for entry in failed
        )

    def is_the_same(self, found: Finding) -> bool:
        """Whether the file expected at the comparison is still expected."""
        before, after = (
            files.get(self._key(found)) for files in (self._then, self._files)
        )
        return (before and before.sha256) == (after and after.sha256)

    def is_pending(self, found: Finding) -> bool:
        """Whether an upload is yet to send or delete this file.

        False if the plan's upload has failed for good. A gated lesson in the public
        target is always a difference.
        """
        if not self._is_uploading or found.path.startswith(self._stuck):
            return False
        if found.kind is Difference.EXTRA:
            return self._key(found) in self._tables.held
        file = self._files.get(self._key(found))
        return file is not None and not self._tables.is_there(file)

    def _key(self, found: Finding) -> tuple[str, str]:
        return self._ids[found.place], found.path


def _by_place(files: desired_state.DesiredFiles) -> dict[tuple[str, str], DesiredFile]:
    return {(file.target.id, file.path): file for file in files.files}


def _suspects(
    targets: Targets,
    files: list[DesiredFile],
    listed: dict[str, dict[str, ListedObject]],
    progress: Progress,
) -> Iterator[Finding]:
    with ThreadPoolExecutor(settings.UPLOAD_CONCURRENCY) as pool:
        faults = pool.map(
            lambda file: _fault(file, listed[file.target.id].get(file.path)), files
        )
        for number, (file, fault) in enumerate(zip(files, faults, strict=True), 1):
            if number % 100 == 0 or number == len(files):
                progress(number, len(files))
            if fault is not None:
                kind, why = fault
                yield Finding(kind, _name(targets, file.target), file.path, why)


def _fault(
    file: DesiredFile, listed: ListedObject | None
) -> tuple[Difference, str] | None:
    data = file_store.read(file.source)
    if data is None or encoding.sha256(data) != file.sha256:
        # Replaced since, or damaged on the local disk, which `check_content` detects.
        return None
    if listed is not None and file.target.holds(listed, data):
        return None
    # Missing from the listing, or listed without an MD5: check the object itself.
    if file.target.has(file.path, data, sha256=file.sha256):
        return None
    if file.target.read(file.path) is None:
        return Difference.MISSING, _("it is not on the CDN")
    return Difference.DIFFERENT, _("its content or hash on the CDN is different")


def _extra(
    targets: Targets,
    should: desired_state.DesiredFiles,
    listed: dict[str, dict[str, ListedObject]],
) -> Iterator[Finding]:
    known = {(file.target.id, file.path) for file in should.files}
    gated = desired_state.gated_paths()
    for target in targets.all():
        for path in sorted(listed[target.id]):
            if (target.id, path) in known:
                continue
            if target.id == targets.public.id and path in gated:
                kind, why = Difference.EXPOSED, _("the lesson needs an entitlement")
            else:
                kind, why = Difference.EXTRA, _("no release contains it")
            yield Finding(kind, _name(targets, target), path, why)


def _name(targets: Targets, target: Target) -> str:
    return "public" if target.id == targets.public.id else "private"
