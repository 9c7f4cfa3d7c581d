"""Texts and badges for runs and releases on admin pages."""

from django.template.defaultfilters import filesizeformat
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy, ngettext

from core.badges import Tone, badge
from publishing.models import SyncLog, SyncStatus, SyncStep
from publishing.monitoring.silence import Fault
from publishing.templatetags.publishing import seconds

_STATUS_BADGES: dict[str, tuple[str, Tone]] = {
    SyncStatus.QUEUED: ("⟳", "waiting"),
    SyncStatus.PROCESSING: ("▸", "action"),
    SyncStatus.SUCCESS: ("●", "done"),
    SyncStatus.LOCAL_ONLY: ("◐", "done"),
    SyncStatus.FAILED: ("!", "failed"),
    SyncStatus.DEAD_LETTER: ("✕", "failed"),
    SyncStatus.SUPERSEDED: ("→", "quiet"),
}
_STATUSES_WITH_STEP = (SyncStatus.QUEUED, SyncStatus.PROCESSING, SyncStatus.FAILED)
TRIGGERS = {
    "cdn": gettext_lazy("missing on the CDN"),
    "admin": gettext_lazy("“Publish now”"),
    "command": gettext_lazy("a command"),
    "demo": gettext_lazy("the demo"),
    "queue": gettext_lazy("a change"),
    "retry": gettext_lazy("a retry"),
    "repair": gettext_lazy("a health check"),
    "release": gettext_lazy("released after a rollback"),
    SyncLog.ROLLBACK: gettext_lazy("rollback"),
    SyncLog.WITHDRAWAL: gettext_lazy("deleted or unpublished"),
}


HELD_MESSAGE = gettext_lazy(
    "“%(title)s” is held after a rollback. Release it on its page to publish it."
)

_FAULTS: dict[Fault, Promise] = {
    Fault.REDIS: gettext_lazy("Redis does not answer: nothing is started."),
    Fault.WORKER: gettext_lazy(
        "No worker is running: waiting plans are published when a worker starts."
    ),
    Fault.BEAT: gettext_lazy(
        "Beat is not running: waiting plans are published only by “Publish now”."
    ),
}


def fault_message(fault: Fault | None) -> str:
    """Describe why changes are not published automatically; "" if there is no fault."""
    return "" if fault is None else str(_FAULTS[fault])


def triggered_by(entry: SyncLog) -> str:
    """Describe the trigger of a run, with the user if there is one."""
    what = str(TRIGGERS.get(entry.trigger, entry.trigger))
    return f"{what} · {entry.started_by}" if entry.started_by else what


def uploaded_by(entry: SyncLog) -> str:
    """Describe what a run uploaded: files, size and duration; "" for nothing."""
    if not entry.files_uploaded:
        return ""
    message = ngettext(
        "%(count)d uploaded (%(size)s in %(time)s)",
        "%(count)d uploaded (%(size)s in %(time)s)",
        entry.files_uploaded,
    )
    return message % {
        "count": entry.files_uploaded,
        "size": filesizeformat(entry.bytes_uploaded),
        "time": seconds(entry.upload_seconds),
    }


def error_location(entry: SyncLog) -> SafeString | str:
    """Format the document and JSON path of an error, left to right; "" for none."""
    places = [text for text in (entry.error_document, entry.error_json_path) if text]
    return format_html_join(
        mark_safe("<br>"),
        '<code dir="ltr">{}</code>',
        ((text,) for text in places),
    )


def failure_of(entry: SyncLog) -> SafeString | str:
    """Format an error's first line and its place for a list; "" for no error."""
    if not entry.error:
        return ""
    first_line = entry.error.partition("\n")[0]
    return format_html(
        '<div class="failure">{}<br>{}</div>', first_line, error_location(entry)
    )


def status_badge(entry: SyncLog) -> SafeString:
    """Format a log entry's status as a badge; during an upload, with its step."""
    shape, tone = _STATUS_BADGES.get(entry.status, ("·", "quiet"))
    words = [entry.get_status_display()]
    if entry.step == SyncStep.UPLOAD and entry.status in _STATUSES_WITH_STEP:
        words.append(entry.get_step_display())
    return badge(shape, " · ".join(words), tone)
