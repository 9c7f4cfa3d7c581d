"""Check the heartbeats of worker and beat, and raise an alert when they stop.

A worker that has stopped cannot send mail. So every process that serves requests checks
the heartbeats after a response, at most once a minute in all processes together
(`check_periodically`). The worker checks them with each heartbeat. Without any request
there is no check, so an external monitor should poll `/readyz`.
"""

import time
from datetime import datetime
from enum import StrEnum

import structlog
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy

from publishing import alerts, queue
from publishing.models import Alert, AlertKind

log = structlog.get_logger(__name__)


class Fault(StrEnum):
    """Why changes are not published automatically."""

    REDIS = "redis"
    """Redis does not answer: no task starts, and the heartbeats are unknown."""
    WORKER = "worker"
    BEAT = "beat"
    """Beat is silent: the worker runs tasks, but no scheduled ones are sent."""


_MESSAGES = {
    Fault.WORKER: gettext_lazy(
        "No worker has reported for %(minutes)d minutes. Nothing is published, "
        "uploaded or withdrawn until a worker runs; students read the last release. "
        "Start the worker: docs/runbooks/worker-silent.md."
    ),
    Fault.BEAT: gettext_lazy(
        "Beat has sent nothing for %(minutes)d minutes. Changes are published only by "
        "“Publish now”, and nothing is checked, retried or cleaned up. Start beat: "
        "docs/runbooks/worker-silent.md."
    ),
}


def fault(now: datetime) -> Fault | None:
    """Return what prevents automatic publishing, or None. One round trip to Redis.

    A worker or beat that has never reported counts as silent.
    """
    signs = queue.read_heartbeats()
    if signs is None:
        return Fault.REDIS
    if not is_recent(signs.worker, now):
        return Fault.WORKER
    return None if is_recent(signs.beat, now) else Fault.BEAT


def is_recent(sign: float | None, now: datetime) -> bool:
    """Whether a heartbeat (Unix time) is newer than ``HEARTBEAT_TIMEOUT_SECONDS``."""
    return (
        sign is not None and now.timestamp() - sign < settings.HEARTBEAT_TIMEOUT_SECONDS
    )


def check_heartbeats(now: datetime) -> None:
    """Raise or resolve the alert about a silent worker or beat. At most a few queries.

    Does nothing while Redis does not answer. If the alert's mail fails, a later call or
    the worker sends it.

    Raises:
        django.db.Error: the database is unavailable.
    """
    signs = queue.heartbeats_since_first_check(now.timestamp())
    if signs is None:
        return
    for found, sign in ((Fault.WORKER, signs.worker), (Fault.BEAT, signs.beat)):
        if sign is not None and not is_recent(sign, now):
            alerts.raise_alert(
                kind=AlertKind.SILENT,
                key="",
                message=_MESSAGES[found],
                values={"minutes": int((now.timestamp() - sign) // 60)},
            )
            return
    if Alert.objects.filter(kind=AlertKind.SILENT, open_key__isnull=False).exists():
        alerts.resolve(kind=AlertKind.SILENT, key="")


_next_look = 0.0
"""Monotonic time of this process."""


def check_periodically() -> None:
    """Call `check_heartbeats` at most every ``HEALTH_WATCH_SECONDS`` in all processes together.

    Never raises. Between its checks a process queries neither Redis nor the database.
    """
    global _next_look
    seconds = settings.HEALTH_WATCH_SECONDS
    if not seconds or time.monotonic() < _next_look:
        return
    _next_look = time.monotonic() + seconds
    if not queue.claim_check(seconds):
        return
    try:
        check_heartbeats(timezone.now())
    except Exception:
        log.exception("silence_not_watched")
