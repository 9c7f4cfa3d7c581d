"""Upload what differs from the local disk to the CDN, verify it and delete the rest.

The tables give the files that the CDN should have (`publishing.cdn.desired_state`) and
the recorded state of each path (`publishing.cdn.remote_state`). Every run compares both
again. So a run finds whatever was missed or interrupted, and a resumed upload sends
only the remaining files.

The order ensures that no file on the CDN links to a missing one: lessons, topics,
hierarchies and indexes, manifest. Each layer is verified and purged before the next.
Obsolete files are deleted last, a lesson only when no older release on the CDN can link
to it. A lesson that became gated is deleted from the public target at once
(docs/architecture.md, "Uploads").

One distributor runs at a time (a Redis lock). Correctness does not depend on the lock:
claims show when two distributors worked on the same object, and the one that lost its
claim leaves the object to the other. An upload can take hours, so each part reads the
clock again. Nothing here runs inside a transaction or under the switch lock: an upload
that fails or hangs delays no build and reverts no release.
"""

import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from threading import Event, Lock

import structlog
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from core.batches import batches
from core.errors import MemoraError
from publishing import (
    alerts,
    content_urls,
    destinations,
    queue,
    signals,
    upload_log,
)
from publishing.cdn import desired_state, purging, remote_state
from publishing.cdn.backends.base import DistributionError, ListedObject, Target
from publishing.cdn.backends.storage import Targets, targets_of
from publishing.cdn.desired_state import DesiredFile, DesiredFiles
from publishing.cdn.remote_state import ClaimLostError, StateChangedError
from publishing.format import encoding
from publishing.models import (
    AlertKind,
    Publication,
    PublishingSettings,
    UploadedDocument,
)
from publishing.storage import file_store

log = structlog.get_logger(__name__)

_BATCH_SIZE = 1000
"""The number of paths claimed, sent and recorded together."""
_LISTED_FROM = 20
"""Verify by listing if there are at least this many uploads per page of the listing."""
_ROUNDS = 3
_STUCK_AFTER = timedelta(hours=1)


@dataclass(slots=True)
class Sent:
    """Progress of one upload; ``on_progress`` is called after each part."""

    files: int = 0
    bytes: int = 0
    on_progress: Callable[["Sent"], None] = lambda _sent: None


def distribute(*, ignore_backoff: bool = False) -> bool:
    """Upload, delete and purge until the CDN is up to date, as far as retries permit.

    Every failure is recorded in the sync log with the time of the next attempt. The run
    ends at the first failure of the bucket; the next call, half a minute later, tries
    the other plans. A failure of one plan's upload or of a purge does not stop the
    other plans.

    Args:
        ignore_backoff: include plans that wait for their next attempt or for a Retry.

    Returns:
        False if the CDN is off or another distributor runs, otherwise True.
    """
    if not PublishingSettings.get_solo().cdn_enabled:
        upload_log.close_stale(lambda: None)
        return False
    with queue.distribution_lock() as has_lock:
        if not has_lock:
            return False
        failed: set[int] = set()
        while True:
            # First, and again between plans: gated lessons must leave without delay.
            _delete_obsolete()
            # Loop until no plan is left: calls made during this run found the lock
            # held and did nothing.
            publication = _next_due(ignore_backoff, failed)
            if publication is None:
                break
            failure = _upload_release(publication)
            if _is_bucket_failure(failure) or isinstance(failure, ClaimLostError):
                break
            if failure is not None:
                failed.add(publication.pk)
        upload_log.close_stale(_out_of_sync)
    _record_plans_on_cdn()
    return True


def _record_plans_on_cdn() -> None:
    """Make the links of plans that are complete on the CDN lead to the CDN.

    The release of a plan that was rolled back keeps its links until the next build. One
    query if no plan needs this.
    """
    current = PublishingSettings.get_solo()
    place = destinations.public_destination_id(current)
    published = Publication.objects.filter(
        plan__is_published=True, generation__isnull=False, rolled_back_at__isnull=True
    )
    plans = dict(published.exclude(cdn_place=place).values_list("pk", "plan_id"))
    out_of_sync = _out_of_sync() if plans else None
    if out_of_sync is None:
        return
    whole = {pk: plan_id for pk, plan_id in plans.items() if pk not in out_of_sync}
    # Filter again: a rollback started since then must not be undone by a build.
    rows = Publication.objects.filter(pk__in=whole, rolled_back_at__isnull=True)
    if rows.update(cdn_place=place):
        log.info("plans_on_cdn", plans=len(whole))
        signals.plans_on_cdn.send(
            sender=Publication, plan_ids=sorted(filter(None, whole.values()))
        )


def _out_of_sync() -> Collection[int] | None:
    current = PublishingSettings.get_solo()
    if not current.cdn_enabled:
        return None
    try:
        return desired_state.out_of_sync(targets_of(current))
    except MemoraError:
        # The settings are wrong: each plan's own run reports it.
        return set(Publication.objects.values_list("pk", flat=True))


def _is_bucket_failure(failure: Exception | None) -> bool:
    """Whether every other plan would fail for the same reason."""
    return isinstance(failure, MemoraError) and not isinstance(failure, PlanUploadError)


def _next_due(ignore_backoff: bool, failed: Collection[int]) -> Publication | None:
    """Return a release that is incomplete on the CDN and may be tried now, or None.

    Releases in ``failed`` are left out.
    """
    out_of_sync = set(_out_of_sync() or ()).difference(failed)
    if not out_of_sync:
        return None
    publications = list(Publication.objects.filter(pk__in=out_of_sync).order_by("pk"))
    ids = [publication.plan_public_id for publication in publications]
    in_backoff = (
        set() if ignore_backoff else upload_log.backing_off(timezone.now(), ids)
    )
    for publication in publications:
        if publication.plan_public_id not in in_backoff:
            return publication
    return None


def _upload_release(publication: Publication) -> Exception | None:
    """Upload one plan's release.

    Returns:
        The failure or None. It is recorded in the sync log, except `ClaimLostError`:
        then another distributor continues the upload.
    """
    entry = upload_log.open_entry(publication, now=timezone.now())
    sent = Sent(
        on_progress=lambda so_far: upload_log.note_progress(
            entry, files=so_far.files, size=so_far.bytes
        )
    )
    began = time.monotonic()
    failure: Exception | None = None
    try:
        Uploader.of(PublishingSettings.get_solo()).upload(publication.pk, sent)
    except Exception as error:  # noqa: BLE001 - every failure becomes a log entry
        failure = error
    seconds = time.monotonic() - began
    if isinstance(failure, ClaimLostError):
        upload_log.hand_over(entry, files=sent.files, size=sent.bytes, seconds=seconds)
    else:
        upload_log.close(
            entry, failure, files=sent.files, size=sent.bytes, seconds=seconds
        )
    return failure


def _delete_obsolete() -> None:
    """Recheck doubtful paths and delete obsolete files; log failures for a retry."""
    try:
        distributor = Uploader.of(PublishingSettings.get_solo())
        distributor.recheck()
        distributor.delete_obsolete_files()
    except Exception as error:  # noqa: BLE001 - any failure; the next run tries again
        reason = upload_log.describe_failure(error)
        log.warning("cdn_tidying_failed", error=reason)
        _alert_if_stuck(reason)
    else:
        alerts.resolve(kind=AlertKind.UPLOAD_FAILED, key="")


def _alert_if_stuck(reason: str) -> None:
    """Raise an alert if a file should have left the CDN more than an hour ago."""
    an_hour_ago = timezone.now() - _STUCK_AFTER
    if UploadedDocument.objects.filter(obsolete_since__lt=an_hour_ago).exists():
        alerts.raise_alert(
            kind=AlertKind.UPLOAD_FAILED,
            key="",
            message=gettext_lazy(
                "Files that students should no longer see have been on the CDN for "
                "more than an hour, because they cannot be deleted: %(error)s"
            ),
            values={"error": reason},
        )


class PlanUploadError(DistributionError):
    """One plan's upload or a purge failed; the bucket itself works."""


class Uploader:
    """One run with one set of settings."""

    def __init__(self, targets: Targets, current: PublishingSettings) -> None:
        self._targets = targets
        self._settings = current
        self._token = secrets.token_hex(16)
        """Identifies this run in claims."""

    @classmethod
    def of(cls, current: PublishingSettings) -> "Uploader":
        """Create a distributor for these settings.

        Raises:
            DistributionError: the endpoint or the region is not valid.
            SecretsError: the keys cannot be decrypted.
        """
        return cls(targets_of(current), current)

    # --- Uploading --------------------------------------------------------------------

    def upload(self, publication_pk: int, sent: Sent) -> None:
        """Upload what differs of one release; begin again when the state changes.

        Verified files stay uploaded when an error is raised.

        Raises:
            ClaimLostError: another distributor continues with it.
            DistributionError: the CDN refused.
            PlanUploadError: the state changed three times; or all files are uploaded,
                but a cache may still serve old ones.
        """
        path = ""
        for _round in range(_ROUNDS):
            try:
                return self._upload_layers(publication_pk, sent)
            except ClaimLostError:
                raise
            except StateChangedError as error:
                path = str(error)
        raise PlanUploadError(
            _(
                "%(path)s changed during the upload or does not match the published "
                "file. If this happens again, run “manage.py check_content --full "
                "--repair”."
            )
            % {"path": path}
        )

    def _upload_layers(self, publication_pk: int, sent: Sent) -> None:
        """As `upload`, but raise `StateChangedError` when the state changes."""
        release = desired_state.of_release(publication_pk, self._targets)
        not_purged: PlanUploadError | None = None
        for layer in release.layers():
            for target in self._targets.all():
                missing = [
                    file
                    for file in layer
                    if file.target.id == target.id and not release.is_there(file)
                ]
                for number, part in enumerate(batches(missing, _BATCH_SIZE)):
                    if number:  # in a long upload, newly gated lessons leave in between
                        _delete_obsolete()
                    self._upload_part(target, part, release, sent)
            try:
                self._purge([file.path for file in layer])
            except PlanUploadError as error:
                # A cache that is at most five minutes old must not delay a release.
                not_purged = error
        if not_purged is not None:
            raise not_purged

    def _upload_part(
        self,
        target: Target,
        files: Sequence[DesiredFile],
        release: DesiredFiles,
        sent: Sent,
    ) -> None:
        remote_state.claim(
            target.id,
            [file.path for file in files],
            token=self._token,
            switch_number=release.switch_number,
            now=timezone.now(),
        )
        sending = _Uploader(target, release)
        done = sending.send(files)
        sent.files += sending.files
        sent.bytes += sending.bytes
        sent.on_progress(sent)
        remote_state.record(
            target.id,
            {file.path: (file.sha256, size) for file, size in done.items()},
            token=self._token,
            gzipped=target.compresses,
        )
        if sending.failure is not None:
            raise sending.failure

    # --- Purging ----------------------------------------------------------------------

    def _purge(self, paths: Collection[str]) -> None:
        """Purge the given paths where an older object was replaced.

        Raises:
            PlanUploadError: the CDN refuses.
        """
        public = self._targets.public.id
        replaced = remote_state.to_purge(public, paths)
        for few in self._purging(list(replaced)):
            remote_state.purged(public, {path: replaced[path] for path in few})

    def _purging(self, paths: Sequence[str]) -> Iterator[Sequence[str]]:
        """Purge these paths; yield each batch once it is purged.

        Raises:
            PlanUploadError: the CDN refuses the rest.
        """
        if not paths:
            return
        base_url = content_urls.cdn_base_url(self._settings)
        try:
            for few in batches(paths, self._purger.batch_size):
                self._purger.purge([base_url + path for path in few])
                yield few
        except MemoraError as error:
            raise PlanUploadError(error.message) from error

    @cached_property
    def _purger(self) -> purging.Purger:
        # Created on first use: an unreadable token must not stop an upload.
        return purging.purger_of(self._settings)

    # --- Recheck and deletion ---------------------------------------------------------

    def recheck(self) -> None:
        """Check objects again that another distributor's upload may have replaced."""
        for target in self._targets.all():
            due = UploadedDocument.objects.filter(
                target=target.id, claim="", recheck_at__lte=timezone.now()
            )
            rows = list(due.order_by("recheck_at")[:_BATCH_SIZE])
            wrong = [
                row.path
                for row in rows
                if row.sha256 and not target.claims(row.path, row.sha256)
            ]
            remote_state.mark_unknown(target.id, wrong)
            looked_at = [row.pk for row in rows]
            due.filter(pk__in=looked_at).update(recheck_at=None)

    def delete_obsolete_files(self) -> None:
        """Delete obsolete files, then purge them.

        Raises:
            StateChangedError, DistributionError: the next run handles the rest.
        """
        left = desired_state.to_delete(self._targets)
        for target, paths in left.paths:
            for part in batches(paths, _BATCH_SIZE):
                remote_state.claim(
                    target.id,
                    part,
                    token=self._token,
                    switch_number=left.switch_number,
                    now=timezone.now(),
                    deleting=True,
                )
                target.delete(part)
            log.info("cdn_files_removed", files=len(paths))
        for target, paths in left.paths:
            if target.id != self._targets.public.id:  # the private target has no cache
                remote_state.remove_records(target.id, paths, token=self._token)
        for target, paths in left.paths:
            if target.id == self._targets.public.id:
                self._forget_public(paths)

    def _forget_public(self, paths: Sequence[str]) -> None:
        """Purge deleted files and remove their records; keep those not purged.

        Raises:
            PlanUploadError: the CDN refuses.
        """
        public, remaining = self._targets.public.id, set(paths)
        try:
            for few in self._purging(paths):
                remote_state.remove_records(public, few, token=self._token)
                remaining -= set(few)
        except PlanUploadError:
            # The deletion was confirmed, so release the claims: no request of this run
            # can still be under way.
            remote_state.mark_unknown(public, remaining, token=self._token)
            raise


class _Uploader:
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
