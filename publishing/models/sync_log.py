"""The sync log: every run of publishing a plan."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from content.kinds import ID_MAX_LENGTH
from core.db import retry_on_conflict
from core.fields import ExactCharField
from plans.models import AcademicPlan
from publishing.models.releases import CONTENT_PATH_LENGTH


class SyncStatus(models.TextChoices):
    QUEUED = "queued", _("Queued")
    PROCESSING = "processing", _("Processing")
    SUCCESS = "success", _("Success")
    LOCAL_ONLY = "local_only", _("Local Only")
    FAILED = "failed", _("Failed")
    DEAD_LETTER = "dead_letter", _("Dead Letter")
    SUPERSEDED = "superseded", _("Superseded")


class SyncStep(models.TextChoices):
    BUILD = "build", _("Build")
    UPLOAD = "upload", _("Upload")


class SyncLogQuerySet(models.QuerySet["SyncLog"]):
    def update(self, **kwargs: Any) -> int:
        """Update rows, and retry on a conflict.

        Concurrent writers find the rows by different indexes, so MariaDB may abort one
        of them to resolve a deadlock.
        """
        return retry_on_conflict(partial(super().update, **kwargs))

    update.alters_data = True  # type: ignore[attr-defined]


class SyncLog(models.Model):
    """One run of publishing a plan, with its retries; or a rollback or a withdrawal."""

    ROLLBACK = "rollback"
    """The trigger of a rollback's entry."""
    WITHDRAWAL = "withdrawal"
    """The trigger of a withdrawal's entry."""

    plan = models.ForeignKey(
        AcademicPlan,
        models.SET_NULL,
        null=True,
        related_name="sync_logs",
        verbose_name=_("plan"),
    )
    plan_public_id = ExactCharField(_("plan id"), max_length=ID_MAX_LENGTH)
    status = models.CharField(
        _("status"), max_length=12, choices=SyncStatus.choices, db_index=True
    )
    step = models.CharField(
        _("step"), max_length=6, choices=SyncStep.choices, default=SyncStep.BUILD
    )
    """The current or last step. In ``UPLOAD``, readers on this server already have the
    release, and attempts are counted from the start."""
    trigger = models.CharField(_("started by"), max_length=20)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by whom"),
    )
    sources = models.JSONField(default=dict, editable=False)
    """The sources of the attempt; when they change, the plan is built at once."""
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    failing_since = models.DateTimeField(null=True, editable=False)
    """When the first attempt to upload failed."""
    disk_needed = models.PositiveBigIntegerField(null=True, editable=False)
    """The number of bytes that the build needed when it paused for a full disk."""
    generation = models.PositiveBigIntegerField(_("generation"), null=True, blank=True)
    files_written = models.PositiveIntegerField(_("files written"), default=0)
    files_unchanged = models.PositiveIntegerField(_("files unchanged"), default=0)
    files_removed = models.PositiveIntegerField(_("files removed"), default=0)
    files_uploaded = models.PositiveIntegerField(_("files uploaded"), default=0)
    bytes_uploaded = models.PositiveBigIntegerField(_("bytes uploaded"), default=0)
    upload_seconds = models.FloatField(_("seconds to upload"), default=0)
    error = models.TextField(_("error"), blank=True)
    error_document = ExactCharField(
        _("in the file"), max_length=CONTENT_PATH_LENGTH, blank=True
    )
    error_json_path = models.CharField(_("at"), max_length=255, blank=True)
    created_at = models.DateTimeField(_("queued"))
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    built_at = models.DateTimeField(_("built"), null=True, blank=True)
    """When readers on this server got the release, before any upload."""
    build_seconds = models.FloatField(_("seconds to build"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects = SyncLogQuerySet.as_manager()

    class Meta:
        verbose_name = _("sync log entry")
        verbose_name_plural = _("sync log")
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["plan", "status"], name="publishing_log_of_plan"),
            # For each plan's last build and the last day's runs, which the dashboard
            # queries every few seconds.
            models.Index(
                fields=["plan_public_id", "built_at"], name="publishing_log_of_builds"
            ),
            models.Index(fields=["built_at"], name="publishing_log_built"),
            models.Index(fields=["finished_at"], name="publishing_log_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.plan_public_id}: {self.get_status_display()}"

    @property
    def duration_seconds(self) -> float | None:
        """The seconds of the build, else of the last attempt; None while it runs."""
        if self.build_seconds is not None:
            return self.build_seconds
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def read_at(self) -> datetime | None:
        """When the build read its sources; None before the build has finished."""
        if self.built_at is None:
            return None
        return self.built_at - timedelta(seconds=self.build_seconds or 0)
