"""What became of a run that a user started with "Publish now", in words."""

from dataclasses import dataclass

from django.utils.translation import gettext as _, ngettext

from core.badges import Tone
from publishing.models import SyncLog, SyncStatus, SyncStep

_BEGUN = (SyncStatus.QUEUED, SyncStatus.PROCESSING)


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The state of a run; ``is_over`` is false while it may change by itself."""

    tone: Tone
    text: str
    is_over: bool


def outcome_of(run: SyncLog) -> RunOutcome:
    """Describe the run: it goes on, is done, failed with a reason, or changed nothing."""
    if run.error and run.status != SyncStatus.PROCESSING:
        is_upload = run.step == SyncStep.UPLOAD
        message = (
            _("Published on this server, but the upload failed: %(reason)s")
            if is_upload
            else _("Publishing failed: %(reason)s")
        )
        return RunOutcome("failed", message % {"reason": run.error}, is_over=True)
    if run.status in _BEGUN:
        if run.step == SyncStep.UPLOAD:
            text = _("Published on this server. The upload to the CDN goes on.")
        elif run.status == SyncStatus.PROCESSING:
            text = _("Publishing now…")
        else:
            text = _("Publishing starts soon…")
        return RunOutcome("action", text, is_over=False)
    if run.status == SyncStatus.SUPERSEDED or not (
        run.files_written or run.files_removed
    ):
        text = _("Done. Nothing has changed: the release was up to date.")
        return RunOutcome("quiet", text, is_over=True)
    return RunOutcome("done", _published(run), is_over=True)


def _published(run: SyncLog) -> str:
    text = ngettext(
        "Done: generation %(generation)s, %(count)d file changed.",
        "Done: generation %(generation)s, %(count)d files changed.",
        run.files_written + run.files_removed,
    )
    count = run.files_written + run.files_removed
    return text % {"generation": run.generation, "count": count}
