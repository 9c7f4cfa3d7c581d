"""Enqueue tasks from an admin page, with messages to the user."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _, ngettext
from kombu.exceptions import OperationalError

from publishing import sync_log
from publishing.models import SyncLog, SyncStep
from publishing.monitoring import silence
from publishing.monitoring.silence import Fault
from publishing.tasks import distribute, publish_plan


def enqueue(request: HttpRequest, task: Any, *args: object) -> bool:
    """Enqueue a task; if Redis does not answer, add a message and return False."""
    try:
        task.delay(*args)
    except OperationalError:
        messages.error(
            request,
            _(
                "The worker cannot be reached (Redis does not answer). "
                "Nothing was started; the changes stay queued."
            ),
        )
        return False
    return True


def enqueue_retry(request: HttpRequest, entry: SyncLog) -> bool:
    """Enqueue the retry of a run: of its build, or only of its upload."""
    sync_log.retry(entry)
    if entry.step == SyncStep.UPLOAD:
        return enqueue(request, distribute)
    return enqueue(request, publish_plan, entry.plan_id, "retry")


def notify_publishing(request: HttpRequest, count: int) -> None:
    """Add a message that plans were enqueued, or that no worker runs."""
    message = ngettext(
        "Publishing %(count)d plan. The sync log shows the progress.",
        "Publishing %(count)d plans. The sync log shows the progress.",
        count,
    )
    queued = ngettext(
        "%(count)d plan is queued. No worker is running: it will be published when a "
        "worker starts.",
        "%(count)d plans are queued. No worker is running: they will be published "
        "when a worker starts.",
        count,
    )
    _notify(request, message % {"count": count}, queued % {"count": count})


def notify_retrying(request: HttpRequest, count: int) -> None:
    """Add a message that retries were enqueued, or that no worker runs."""
    message = ngettext("Retrying %(count)d run.", "Retrying %(count)d runs.", count)
    queued = ngettext(
        "%(count)d run is queued. No worker is running: it will be retried when a "
        "worker starts.",
        "%(count)d runs are queued. No worker is running: they will be retried when a "
        "worker starts.",
        count,
    )
    _notify(request, message % {"count": count}, queued % {"count": count})


def _notify(request: HttpRequest, started: str, queued: str) -> None:
    if silence.fault(timezone.now()) in (Fault.WORKER, Fault.REDIS):
        messages.warning(request, queued)
    else:
        messages.success(request, started)
