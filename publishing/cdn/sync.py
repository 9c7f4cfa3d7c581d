"""From this disk to the CDN: what differs, leaves first, verified.

What the CDN should have follows from the tables (`publishing.cdn.desired_state`). What it has
is remembered per path (`publishing.cdn.remote_state`). Both are compared anew each time, so
whatever was missed, interrupted or came back is found, and an upload that resumes sends
only the rest.

The order keeps whole every link of what the CDN serves: lessons, topics, hierarchies and
indexes, manifest, each layer verified and purged before the next. What left is deleted
last, and a lesson only when no older release out there can name it; but one that became
gated leaves the public place at once.

One distributor works at a time (a Redis lock). Correctness does not hang on that: claims
show when two were at the same object, and who was overtaken leaves all of it to the other.
Uploads may take hours: times are those of each part. Nothing here runs inside a
transaction or under
the lock that switches take: an upload that fails or hangs holds up no build, and undoes
no release.
"""

import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from threading import Event, Lock
from typing import TypeVar

import structlog
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

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
from publishing.cdn.backends.base import DistributionError, Held, Target
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

_Item = TypeVar("_Item")
_AT_ONCE = 1000
"""Paths claimed, sent and recorded together."""
_LISTED_FROM = 20
"""As many uploads for each page of a listing are verified by listing."""
_ROUNDS = 3
_TOO_LONG = timedelta(hours=1)


@dataclass(slots=True)
class Sent:
    """What one run put onto the CDN; ``tell`` is called as it grows."""

    files: int = 0
    bytes: int = 0
    tell: Callable[["Sent"], None] = lambda _sent: None


def distribute(*, even_resting: bool = False) -> bool:
    """Bring the CDN up to date, as far as it may be tried now.

    Every failure is in the sync log, with the time of the next attempt. It ends with
    the first time the bucket fails: the other plans are tried by the next call, half a
    minute later. A plan's own trouble, or the cache's, holds up no other plan.

    Args:
        even_resting: also the plans that wait for their next attempt or a Retry.

    Returns:
        Whether it was at it: False when the CDN is off, or somebody else is.
    """
    if not PublishingSettings.get_solo().cdn_enabled:
        upload_log.close_stale(lambda: None)
        return False
    with queue.distribution_lock() as held:
        if not held:
            return False
        failed: set[int] = set()
        while True:
            # First, and between plans: what became gated leaves before anything else.
            _delete_obsolete()
            # Until nothing is left: what came meanwhile found the lock taken.
            publication = _next_due(even_resting, failed)
            if publication is None:
                break
            failure = _upload_release(publication)
            if _is_bucket_failure(failure) or isinstance(failure, ClaimLostError):
                break
            if failure is not None:
                failed.add(publication.pk)
        upload_log.close_stale(_out_of_sync)
    _note_whole_plans()
    return True


def _note_whole_plans() -> None:
    """Let the links of plans that the CDN has whole lead there.

    A plan that was rolled back keeps the links it has until its next build. One query
    where there is nothing to note.
    """
    current = PublishingSettings.get_solo()
    place = destinations.public_place(current)
    published = Publication.objects.filter(
        plan__is_published=True, generation__isnull=False, rolled_back_at__isnull=True
    )
    plans = dict(published.exclude(cdn_place=place).values_list("pk", "plan_id"))
    behind = _out_of_sync() if plans else None
    if behind is None:
        return
    whole = {pk: plan_id for pk, plan_id in plans.items() if pk not in behind}
    # Asked again: a rollback that has begun meanwhile must not be undone by a build.
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
        # The settings themselves are wrong: each plan's own run says so.
        return set(Publication.objects.values_list("pk", flat=True))


def _is_bucket_failure(failure: Exception | None) -> bool:
    """Whether every other plan would fail like this."""
    return isinstance(failure, MemoraError) and not isinstance(failure, PlanUploadError)


def _next_due(even_resting: bool, failed: Collection[int]) -> Publication | None:
    """A release that the CDN does not have whole, that need not wait, none of
    ``failed``."""
    behind = set(_out_of_sync() or ()).difference(failed)
    if not behind:
        return None
    publications = list(Publication.objects.filter(pk__in=behind).order_by("pk"))
    ids = [publication.plan_public_id for publication in publications]
    resting = set() if even_resting else upload_log.backing_off(timezone.now(), ids)
    for publication in publications:
        if publication.plan_public_id not in resting:
            return publication
    return None


def _upload_release(publication: Publication) -> Exception | None:
    """Upload one plan's release.

    Returns:
        Why it failed; the sync log says it, too. `OvertakenError`: another distributor
        goes on with it.
    """
    entry = upload_log.open_entry(publication, now=timezone.now())
    sent = Sent(
        tell=lambda so_far: upload_log.note_progress(
            entry, files=so_far.files, size=so_far.bytes
        )
    )
    began = time.monotonic()
    failure: Exception | None = None
    try:
        distributor = Distributor.of(PublishingSettings.get_solo())
        _retry_while_changing(lambda: distributor.upload(publication.pk, sent))
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


def _retry_while_changing(work: Callable[[], None]) -> None:
    """Do ``work``, and again when something moved under it.

    Raises:
        OvertakenError: another distributor is at it.
        OwnTroubleError: something moved three times.
        DistributionError: ``work`` failed.
    """
    path = ""
    for _round in range(_ROUNDS):
        try:
            return work()
        except ClaimLostError:
            raise
        except StateChangedError as error:
            path = str(error)
    raise PlanUploadError(
        _(
            "%(path)s changed while it was uploaded, or is not what was published. If "
            "this stays, run “manage.py check_content --full --repair”."
        )
        % {"path": path}
    )


def _delete_obsolete() -> None:
    """Look again at doubtful paths and delete what left; a failure waits its turn."""
    try:
        distributor = Distributor.of(PublishingSettings.get_solo())
        distributor.recheck()
        distributor.remove_what_left()
    except Exception as error:  # noqa: BLE001 - whatever it is, the next run goes on
        reason = upload_log.describe_failure(error)
        log.warning("cdn_tidying_failed", error=reason)
        _alert_if_stuck(reason)
    else:
        alerts.resolve(kind=AlertKind.UPLOAD_FAILED, key="")


def _alert_if_stuck(reason: str) -> None:
    """Alert when something should have left the CDN an hour ago."""
    an_hour_ago = timezone.now() - _TOO_LONG
    if UploadedDocument.objects.filter(leaving_since__lt=an_hour_ago).exists():
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
    """The bucket is well: it is this upload's own trouble, or the cache's."""


class Distributor:
    """One run against one set of settings."""

    def __init__(self, targets: Targets, current: PublishingSettings) -> None:
        self._targets = targets
        self._settings = current
        self._token = secrets.token_hex(16)
        """Its name in claims."""

    @classmethod
    def of(cls, current: PublishingSettings) -> "Distributor":
        """For these settings.

        Raises:
            DistributionError, SecretsError: they do not make sense.
        """
        return cls(targets_of(current), current)

    # --- Uploading --------------------------------------------------------------------

    def upload(self, publication_pk: int, sent: Sent) -> None:
        """Upload what differs of one release, layer by layer.

        Raises:
            MovedOnError: look again; what was verified stays.
            OvertakenError: do not; another distributor is at it.
            DistributionError: the CDN refused; what was verified stays.
            OwnTroubleError: all is there, but a cache may have what was there before.
        """
        release = desired_state.of_release(publication_pk, self._targets)
        not_purged: PlanUploadError | None = None
        for layer in release.layers():
            for target in self._targets.all():
                lacking = [
                    file
                    for file in layer
                    if file.target.id == target.id and not release.is_there(file)
                ]
                for number, part in enumerate(_parts(lacking, _AT_ONCE)):
                    if number:  # a long upload: what became gated does not wait for it
                        _delete_obsolete()
                    self._upload_part(target, part, release, sent)
            try:
                self._purge([file.path for file in layer])
            except PlanUploadError as error:
                # A cache that is five minutes late must not hold up a release.
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
            edition=release.edition,
            now=timezone.now(),
        )
        sending = _Uploader(target, release)
        done = sending.send(files)
        sent.files += sending.files
        sent.bytes += sending.bytes
        sent.tell(sent)
        remote_state.record(
            target.id,
            {file.path: (file.sha256, size) for file, size in done.items()},
            token=self._token,
            packed=target.packs,
        )
        if sending.failure is not None:
            raise sending.failure

    # --- The cache --------------------------------------------------------------------

    def _purge(self, paths: Collection[str]) -> None:
        """Make the CDN's cache forget those that were replaced.

        Raises:
            OwnTroubleError: it refuses.
        """
        public = self._targets.public.id
        replaced = remote_state.to_purge(public, paths)
        for few in self._purging(list(replaced)):
            remote_state.purged(public, {path: replaced[path] for path in few})

    def _purging(self, paths: Sequence[str]) -> Iterator[Sequence[str]]:
        """Make the CDN's cache forget these; each few of them once it has.

        Raises:
            OwnTroubleError: it refuses the rest.
        """
        if not paths:
            return
        base_url = content_urls.cdn_base_url(self._settings)
        try:
            for few in _parts(paths, self._purger.at_once):
                self._purger.purge([base_url + path for path in few])
                yield few
        except MemoraError as error:
            raise PlanUploadError(error.message) from error

    @cached_property
    def _purger(self) -> purging.Purger:
        # When it is needed: a token nobody can read holds up no upload.
        return purging.purger_of(self._settings)

    # --- Afterwards -------------------------------------------------------------------

    def recheck(self) -> None:
        """Look at objects again that an upload of somebody else may have replaced."""
        for target in self._targets.all():
            due = UploadedDocument.objects.filter(
                target=target.id, claim="", recheck_at__lte=timezone.now()
            )
            rows = list(due.order_by("recheck_at")[:_AT_ONCE])
            wrong = [
                row.path
                for row in rows
                if row.sha256 and not target.claims(row.path, row.sha256)
            ]
            remote_state.mark_unknown(target.id, wrong)
            looked_at = [row.pk for row in rows]
            due.filter(pk__in=looked_at).update(recheck_at=None)

    def remove_what_left(self) -> None:
        """Delete what should not be there any more, then purge it.

        Raises:
            MovedOnError, DistributionError: what is left waits for the next run.
        """
        left = desired_state.to_delete(self._targets)
        for target, paths in left.paths:
            for part in _parts(paths, _AT_ONCE):
                remote_state.claim(
                    target.id,
                    part,
                    token=self._token,
                    edition=left.edition,
                    now=timezone.now(),
                    leaving=True,
                )
                target.delete(part)
            log.info("cdn_files_removed", files=len(paths))
        for target, paths in left.paths:
            if target.id != self._targets.public.id:  # no cache stands before it
                remote_state.forget(target.id, paths, token=self._token)
        for target, paths in left.paths:
            if target.id == self._targets.public.id:
                self._forget_public(paths)

    def _forget_public(self, paths: Sequence[str]) -> None:
        """Purge what was deleted, and forget it; what is not purged comes up again.

        Raises:
            OwnTroubleError: the cache refuses.
        """
        public, rest = self._targets.public.id, set(paths)
        try:
            for few in self._purging(paths):
                remote_state.forget(public, few, token=self._token)
                rest -= set(few)
        except PlanUploadError:
            # Their deletion was answered: the next run need not fear it on the way.
            remote_state.mark_unknown(public, rest, token=self._token)
            raise


class _Uploader:
    """Putting some files into one place at once, and seeing whether they arrived."""

    def __init__(self, target: Target, release: DesiredFiles) -> None:
        self._target = target
        self._release = release
        self._stop = Event()
        self._counting = Lock()
        self.files = 0
        self.bytes = 0
        self.failure: Exception | None = None

    def send(self, files: Sequence[DesiredFile]) -> dict[DesiredFile, int]:
        """Upload and verify; those that are there for certain, with their sizes.

        ``failure`` says why it is not all of them.
        """
        listing = self._should_list(files)
        with ThreadPoolExecutor(settings.UPLOAD_CONCURRENCY) as pool:
            found = pool.map(lambda file: self._put(file, check=not listing), files)
            put = {
                file: data
                for file, data in zip(files, found, strict=True)
                if data is not None
            }
            if listing:
                put = self._verified_by_list(put, pool)
        return {file: len(data) for file, data in put.items()}

    def _put(self, file: DesiredFile, *, check: bool) -> bytes | None:
        """The file's bytes once they are there; None when something failed."""
        if self._stop.is_set():
            return None
        try:
            data = _read(file)
            if self._release.is_doubtful(file) and self._has(file, data):
                return data
            self._target.put(file.path, data, sha256=file.sha256)
            if check and not self._has(file, data):
                self._put_again(file, data)
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            self._fail(error)
            return None
        with self._counting:
            self.files += 1
            self.bytes += len(data)
        return data

    def _put_again(self, file: DesiredFile, data: bytes) -> None:
        """Wrong bytes must not stay until the next attempt.

        Raises:
            DistributionError: they do.
        """
        self._target.put(file.path, data, sha256=file.sha256)
        if not self._has(file, data):
            raise _not_there(file.path)

    def _has(self, file: DesiredFile, data: bytes) -> bool:
        return self._target.has(file.path, data, sha256=file.sha256)

    def _fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        self._stop.set()

    def _should_list(self, files: Sequence[DesiredFile]) -> bool:
        """Whether listing the folder takes fewer requests than asking for each."""
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
            held: dict[str, Held] = {}
            for folder in sorted({_folder(file.path) for file in put}):
                held |= self._target.list(folder)
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            self._fail(error)
            return {}

        def is_there(item: tuple[DesiredFile, bytes]) -> bool:
            file, data = item
            listed = held.get(file.path)
            try:
                says = listed is not None and self._target.holds(listed, data)
                if says is None:  # its ETag is no MD5
                    says = self._has(file, data)
                if not says:
                    self._put_again(file, data)
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
    """The file's bytes here.

    Raises:
        MovedOnError: they are not those that were published, or not any more.
    """
    data = file_store.read(file.source)
    if data is None or encoding.sha256(data) != file.sha256:
        raise StateChangedError(file.path)
    return data


def _not_there(path: str) -> DistributionError:
    return DistributionError(
        _("The CDN said that it stored %(path)s, but has something else there.")
        % {"path": path}
    )


def _folder(path: str) -> str:
    """The first two names of a plan's path, the first of a lesson's."""
    parts = path.split("/")
    return "/".join(parts[:2] if parts[0] == "plans" else parts[:1]) + "/"


def _parts(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
