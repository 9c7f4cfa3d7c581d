"""Starting tasks: once, however often a task is asked for before it begins."""

from typing import Any, Protocol

import structlog
from django.core.cache import cache
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

_MARK_SECONDS = 15
"""A task that was lost is started again after this time, also by beat."""


class ArgumentlessTask(Protocol):
    """A Celery task without arguments."""

    name: str

    def delay(self) -> Any: ...


def enqueue(task: ArgumentlessTask) -> None:
    """Start a task, unless it is in the queue already.

    While Redis or the broker is away nothing is started: beat does it later.
    """
    try:
        if cache.add(_key(task), 1, _MARK_SECONDS):
            task.delay()
    except (RedisError, OperationalError) as error:
        log.warning("registrar_task_not_started", error=type(error).__name__)


def has_begun(task: ArgumentlessTask) -> None:
    """Let the task be started again, for what comes while it runs. Call it first."""
    try:
        cache.delete(_key(task))
    except RedisError as error:
        log.warning("registrar_mark_not_deleted", error=type(error).__name__)


def _key(task: ArgumentlessTask) -> str:
    return f"registrar-enqueued:{task.name}"
