"""Starting tasks: once, however often a task is asked for before it begins."""

import structlog
from celery import Task
from django.core.cache import cache
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

_MARK_SECONDS = 15
"""A task that was lost is started again after this time, also by beat."""


def enqueue(task: "Task[[], None]") -> None:
    """Start a task, unless it is in the queue already.

    While Redis or the broker is away nothing is started: beat does it later.
    """
    try:
        if cache.add(_key(task), 1, _MARK_SECONDS):
            task.delay()
    except (RedisError, OperationalError) as error:
        log.warning("registrar_task_not_started", error=type(error).__name__)


def has_begun(task: "Task[[], None]") -> None:
    """Let the task be started again, for what comes while it runs. Call it first."""
    try:
        cache.delete(_key(task))
    except RedisError as error:
        log.warning("registrar_mark_not_deleted", error=type(error).__name__)


def _key(task: "Task[[], None]") -> str:
    return f"registrar-enqueued:{task.name}"
