"""Liveness (``/healthz``) and readiness (``/readyz``).

A check that does not finish within ``DEADLINE_SECONDS`` counts as failed. Each check
runs in its own thread. While one hangs, later requests use the same run instead of
starting another.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError as NotInTime
from pathlib import Path

import redis
import structlog
from django.conf import settings
from django.db import connections
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.backoff import NoBackoff
from redis.retry import Retry

from memora_site.celery import app as celery_app
from publishing.models import PublishingSettings
from publishing.monitoring import lateness, silence

log = structlog.get_logger(__name__)

DEADLINE_SECONDS = 3.0
"""For all checks together; shorter than most load balancers' timeouts."""
CONNECT_SECONDS = 1.0


class NotReady(Exception):
    """A check failed; ``why`` is the reason as text, without secrets.

    The text stays lazy until the request's thread reads it in its language.
    """

    def __init__(self, why: str | Promise, **values: float | Promise) -> None:
        super().__init__(why)
        self._why = why
        self._values = values

    @property
    def why(self) -> str:
        return str(self._why) % self._values if self._values else str(self._why)


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Return 200: the process answers. Nothing else is checked."""
    return JsonResponse({"ok": True})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Return 200 if every check passes, else 503; each check with ``ok`` and ``why``.

    The results of `ADVICE` are included, but do not change the status: this server can
    serve students without them.
    """
    results = run(CHECKS | ADVICE)
    ok = all(results[name] is None for name in CHECKS)
    body = {
        "ok": ok,
        "checks": {
            name: {"ok": True} if why is None else {"ok": False, "why": why}
            for name, why in results.items()
        },
    }
    return JsonResponse(body, status=200 if ok else 503)


def run(checks: dict[str, Callable[[], None]]) -> dict[str, str | None]:
    """Return why each check failed, or None; within ``DEADLINE_SECONDS``."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    started = {name: _start(name, check) for name, check in checks.items()}
    return {
        name: _why(name, future, deadline - time.monotonic())
        for name, future in started.items()
    }


def _why(name: str, future: Future[None], seconds: float) -> str | None:
    try:
        future.result(timeout=max(seconds, 0))
    except NotReady as error:
        log.warning("readiness_check_failed", check=name, why=error.why)
        return error.why
    except NotInTime:
        log.warning("readiness_check_timed_out", check=name)
        return _("No answer within %(seconds)g seconds.") % {
            "seconds": DEADLINE_SECONDS
        }
    except Exception as error:  # noqa: BLE001 - any failure is an answer here
        log.warning("readiness_check_failed", check=name, error=type(error).__name__)
        return _("The check itself failed; see the log.")
    return None


_running: dict[str, Future[None]] = {}
_running_lock = threading.Lock()


def _start(name: str, check: Callable[[], None]) -> Future[None]:
    """Start ``check`` in a thread, or return its run that has not finished."""
    with _running_lock:
        if (unfinished := _running.get(name)) is not None and not unfinished.done():
            return unfinished
        future = _running[name] = Future[None]()

    def finish() -> None:
        try:
            check()
        except Exception as error:  # noqa: BLE001 - raised again by `result()`
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=finish, name=f"readyz-{name}", daemon=True).start()
    return future


# --- Checks: each returns, or raises NotReady -------------------------------


def check_database() -> None:
    """The database accepts a new connection and answers."""
    connection = connections["default"]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except Exception as error:
        log.warning("readiness_database_failed", error=type(error).__name__)
        raise NotReady(gettext_lazy("The database does not answer.")) from error
    finally:
        connection.close()


def check_redis() -> None:
    """Redis answers."""
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=CONNECT_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        client.ping()
    except redis.RedisError as error:
        raise NotReady(gettext_lazy("Redis does not answer.")) from error
    finally:
        client.close()


def check_broker() -> None:
    """The Celery broker answers."""
    connection = celery_app.connection_for_write(
        settings.CELERY_BROKER_URL, connect_timeout=CONNECT_SECONDS
    )
    try:
        connection.ensure_connection(
            max_retries=1, interval_start=0, timeout=int(CONNECT_SECONDS)
        )
    except Exception as error:
        log.warning("readiness_broker_failed", error=type(error).__name__)
        raise NotReady(
            gettext_lazy("The message broker of the workers does not answer.")
        ) from error
    finally:
        connection.release()


def check_disk() -> None:
    """The disk of the published files has more space than the limit for builds.

    A web host that reads the bucket has no such disk.
    """
    if settings.CONTENT_SOURCE == "bucket":
        return
    folder = Path(settings.CONTENT_ROOT)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    free = 100 * usage.free / usage.total
    if free < (minimum := _least_free_percent()):
        raise NotReady(
            gettext_lazy(
                "%(free).1f %% of the disk is free; publishing pauses below "
                "%(least)d %%."
            ),
            free=free,
            least=minimum,
        )


def check_publishing() -> None:
    """The content root exists and is writable; or the bucket is read instead."""
    if settings.CONTENT_SOURCE == "bucket":
        return
    root = Path(settings.CONTENT_ROOT)
    if not root.is_dir():
        raise NotReady(gettext_lazy("The content root does not exist."))
    if not os.access(root, os.W_OK | os.X_OK):
        raise NotReady(gettext_lazy("The content root cannot be written."))


def check_workers() -> None:
    """A worker sends heartbeats and runs the tasks of beat."""
    found = silence.fault(timezone.now())
    if found is not None:
        raise NotReady(_SILENT[found])


def check_periodic_jobs() -> None:
    """No write-back and no reconciliation is late."""
    connection = connections["default"]
    try:
        late = [job for job in lateness.load(timezone.now()) if job.is_late]
    except Exception as error:  # noqa: BLE001 - the database's own check reports it
        log.warning("readiness_jobs_unread", error=type(error).__name__)
        return
    finally:
        connection.close()
    if late:
        raise NotReady(
            gettext_lazy("%(job)s: no complete run for %(minutes)d minutes."),
            job=late[0].label,
            minutes=late[0].minutes,
        )


_SILENT = {
    silence.Fault.REDIS: gettext_lazy("Redis does not answer."),
    silence.Fault.WORKER: gettext_lazy("No worker is running."),
    silence.Fault.BEAT: gettext_lazy("Beat is not running."),
}


def _least_free_percent() -> int:
    """Return the limit in the settings; its default if the database does not answer."""
    field = PublishingSettings._meta.get_field("min_free_disk_percent")
    connection = connections["default"]
    try:
        found = PublishingSettings.objects.values_list(field.name, flat=True).first()
    except Exception as error:  # noqa: BLE001 - the database's own check reports it
        log.warning("readiness_setting_unread", error=type(error).__name__)
        found = None
    finally:
        connection.close()
    return int(field.get_default() if found is None else found)


CHECKS: dict[str, Callable[[], None]] = {
    "database": check_database,
    "redis": check_redis,
    "broker": check_broker,
    "disk": check_disk,
    "publishing": check_publishing,
}
ADVICE: dict[str, Callable[[], None]] = {
    "workers": check_workers,
    "periodic_jobs": check_periodic_jobs,
}
"""Checks that do not decide whether this server is ready."""
