"""Pause publishing below a limit of free disk space, and resume it above.

A build that finds too little space records how much it needed
(``SyncLog.disk_needed``). `watch` checks every minute. The alert is resolved only when
the space is enough for every paused build, so that a large build does not raise the
alert again.
"""

import structlog
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext_lazy

from publishing import alerts
from publishing.models import AlertKind, PublishingSettings, SyncLog, SyncStatus
from publishing.storage import file_store

log = structlog.get_logger(__name__)


def watch() -> bool:
    """Raise or resolve the alert according to the free space now.

    Returns:
        Whether there is space again for paused builds: build them now.
    """
    least = PublishingSettings.get_solo().min_free_disk_percent
    paused = SyncLog.objects.filter(
        status=SyncStatus.QUEUED, disk_needed__isnull=False, plan__isnull=False
    )
    needed: int | None = paused.aggregate(most=Max("disk_needed"))["most"]
    if file_store.free_percent(after=needed or 0) < least:
        raise_low(least=least, needed=needed or 0)
        return False
    if alerts.resolve(kind=AlertKind.DISK_LOW, key=""):
        log.info("publishing_resumes", free_percent=round(file_store.free_percent(), 1))
    # Otherwise each build would wait until its own next attempt.
    return bool(paused.update(next_attempt_at=timezone.now()))


def raise_low(*, least: int, needed: int) -> None:
    """Raise the alert that publishing is paused."""
    alerts.raise_alert(
        kind=AlertKind.DISK_LOW,
        key="",
        message=gettext_lazy(
            "Publishing pauses: %(free).1f %% of the disk at %(root)s is free and the "
            "next release needs %(megabytes).1f MB, but %(least)d %% must stay free. "
            "Students keep reading the current release. Free some space; publishing "
            "then continues automatically."
        ),
        values={
            "free": file_store.free_percent(),
            "root": file_store.root(),
            "megabytes": needed / 1_000_000,
            "least": least,
        },
    )
