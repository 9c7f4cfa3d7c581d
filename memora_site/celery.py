"""The Celery application of worker and beat (``-A memora_site``)."""

import logging.config
import os
import sys
import time
from typing import Any

from celery import Celery, bootsteps
from celery.signals import setup_logging, worker_init
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "memora_site.settings")

app = Celery("memora")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)


class WorkerHeartbeat(bootsteps.StartStopStep):
    """Record the worker's heartbeat every 30 s while the broker is connected."""

    requires = ("celery.worker.consumer.connection:Connection",)
    timer = None

    def start(self, consumer: Any) -> None:
        from publishing import queue

        def sign() -> None:
            queue.record_worker_heartbeat(time.time())

        sign()
        self.timer = consumer.timer.call_repeatedly(30.0, sign)

    def stop(self, consumer: Any) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


app.steps["consumer"].add(WorkerHeartbeat)


@worker_init.connect
def _require_content_root(**_kwargs: Any) -> None:
    """Refuse to start a worker that would build releases on a disk that nobody reads."""
    from django.conf import settings

    if settings.CONTENT_SOURCE != "disk":
        # Not an Exception: Celery logs those of its signals and goes on.
        sys.exit("A worker needs the content root: unset MEMORA_CONTENT_SOURCE.")


@setup_logging.connect
def _log_as_the_site_does(**_kwargs: Any) -> None:
    """Make worker and beat log in the same structured format as the web server."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
