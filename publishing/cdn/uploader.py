"""One run of uploads and deletions with one set of settings.

`publishing.cdn.sync` calls it for each plan, and explains the order and the claims.
"""

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import structlog
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from core.batches import batches
from core.errors import MemoraError
from publishing import alerts, content_urls, upload_log
from publishing.cdn import desired_state, purging, remote_state
from publishing.cdn.backends.base import DistributionError, Target
from publishing.cdn.backends.storage import Targets, targets_of
from publishing.cdn.desired_state import DesiredFile, DesiredFiles
from publishing.cdn.remote_state import ClaimLostError, StateChangedError
from publishing.cdn.sending import Sending
from publishing.models import AlertKind, PublishingSettings, UploadedDocument

log = structlog.get_logger(__name__)

_BATCH_SIZE = 1000
"""The number of paths claimed, sent and recorded together."""
_ROUNDS = 3
_STUCK_AFTER = timedelta(hours=1)


@dataclass(slots=True)
class Sent:
    """Progress of one upload; ``on_progress`` is called after each part."""

    files: int = 0
    bytes: int = 0
    on_progress: Callable[["Sent"], None] = lambda _sent: None


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
                        delete_obsolete()
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
        sending = Sending(target, release)
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


def delete_obsolete() -> None:
    """Recheck doubtful paths and delete obsolete files; log failures for a retry.

    An alert says when a file should have left the CDN more than an hour ago.
    """
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
