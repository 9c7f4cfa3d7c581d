"""The Celery application: worker and beat start here (``-A memora_site``)."""

import logging.config
import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "memora_site.settings")

app = Celery("memora")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)


@setup_logging.connect
def _log_as_the_site_does(**_kwargs: Any) -> None:
    """Worker and beat write the same structured lines as the web server."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
