"""Asking a worker from a page."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from publishing import sync_log
from publishing.models import SyncLog, SyncStep
from publishing.tasks import distribute, publish_plan


def ask_worker(request: HttpRequest, task: Any, *args: object) -> bool:
    """Hand a task to a worker; whether one can be reached, else with a message."""
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


def ask_to_retry(request: HttpRequest, entry: SyncLog) -> bool:
    """Have a worker try a run again: its build, or only its upload."""
    sync_log.retry(entry)
    if entry.step == SyncStep.UPLOAD:
        return ask_worker(request, distribute)
    return ask_worker(request, publish_plan, entry.plan_id, "retry")
