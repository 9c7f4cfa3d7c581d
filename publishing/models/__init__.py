"""The tables of publishing: settings, releases, uploads, runs, reports and alerts."""

from publishing.models.monitoring import (
    Alert,
    AlertKind,
    FaultKind,
    HealthReport,
    WaitingPlan,
)
from publishing.models.releases import (
    CONTENT_PATH_LENGTH,
    PlanLesson,
    Publication,
    PublishedDocument,
    ReleaseCounters,
)
from publishing.models.settings import PublishingSettings, storage_is_the_bucket
from publishing.models.sync_log import SyncLog, SyncStatus, SyncStep
from publishing.models.uploads import UploadedDocument

__all__ = [
    "CONTENT_PATH_LENGTH",
    "Alert",
    "AlertKind",
    "FaultKind",
    "HealthReport",
    "PlanLesson",
    "Publication",
    "PublishedDocument",
    "PublishingSettings",
    "ReleaseCounters",
    "SyncLog",
    "SyncStatus",
    "SyncStep",
    "UploadedDocument",
    "WaitingPlan",
    "storage_is_the_bucket",
]
