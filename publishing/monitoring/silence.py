"""Whether worker and beat report, and the alert while they do not.

A silent worker can send no mail. So every process that answers requests looks, after an
answer and at most once a minute among all of them (`look_now_and_then`), and the worker
looks with each heartbeat. Where no request comes at all, nobody looks: `/readyz` is asked
by whatever watches the server from outside.
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
    """Why changes are not published by themselves."""

    REDIS = "redis"
    """Redis does not answer: nothing is started, and nobody knows who lives."""
    WORKER = "worker"
    BEAT = "beat"
    """The worker runs what it is asked to; nobody asks it regularly."""


_MESSAGES = {
    Fault.WORKER: gettext_lazy(
        "No worker has reported for %(minutes)d minutes. Nothing is published, uploaded "
        "or withdrawn until one runs; students read the last release. Start the worker: "
        "docs/runbooks/worker-silent.md."
    ),
    Fault.BEAT: gettext_lazy(
        "Beat has sent nothing for %(minutes)d minutes. Changes are published only when "
        "somebody chooses “Publish now”, and nothing is checked, retried or cleaned up. "
        "Start beat: docs/runbooks/worker-silent.md."
    ),
}


def fault(now: datetime) -> Fault | None:
    """What keeps changes from being published; None: nothing does. One round trip.

    A worker or beat that has never reported counts as silent.
    """
    signs = queue.read_signs()
    if signs is None:
        return Fault.REDIS
    if not is_recent(signs.worker, now):
        return Fault.WORKER
    return None if is_recent(signs.beat, now) else Fault.BEAT


def is_recent(sign: float | None, now: datetime) -> bool:
    """Whether a sign of life (Unix time) is younger than ``HEARTBEAT_TIMEOUT_SECONDS``."""
    return (
        sign is not None and now.timestamp() - sign < settings.HEARTBEAT_TIMEOUT_SECONDS
    )


def look(now: datetime) -> None:
    """Raise the alert of a silent worker or beat, or resolve it. At most a few queries.

    Nothing is done while Redis does not answer. A mail that fails is sent by a later
    call, and by the worker.

    Raises:
        django.db.Error: the database does not answer.
    """
    signs = queue.watched_signs(now.timestamp())
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
"""On the monotonic clock of this process."""


def look_now_and_then() -> None:
    """`look`, at most every ``HEALTH_WATCH_SECONDS`` among all processes; never raises.

    Between its looks a process asks neither Redis nor the database.
    """
    global _next_look
    seconds = settings.HEALTH_WATCH_SECONDS
    if not seconds or time.monotonic() < _next_look:
        return
    _next_look = time.monotonic() + seconds
    if not queue.take_watch_turn(seconds):
        return
    try:
        look(timezone.now())
    except Exception:
        log.exception("silence_not_watched")
