"""The tables of publishing: settings, releases, files, uploads, runs and alerts."""

import re
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _
from solo.models import SingletonModel

from content.kinds import ID_MAX_LENGTH
from core.db import retry_on_conflict
from core.fields import ExactCharField
from plans.models import AcademicPlan
from publishing import private_hosts, secrets, signals

CONTENT_PATH_LENGTH = 200
BUCKET_STORAGE = "publishing.storages.BucketStorage"
"""The back end of ``STORAGES["cdn"]`` that is configured by the settings row."""


_BUCKET_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]*+\Z")
_REGION = re.compile(r"\A[A-Za-z0-9-]++\Z")
_ZONE = re.compile(r"\A[A-Za-z0-9]++\Z")
_PARTS_OF_ADDRESSES = {
    "cdn_bucket": _BUCKET_NAME,
    "cdn_private_bucket": _BUCKET_NAME,
    "cdn_region": _REGION,
    "cloudflare_zone": _ZONE,
}
"""Values that become part of a URL and must not change its host or path."""


class SettingsQuerySet(models.QuerySet[Any]):
    def update(self, **kwargs: Any) -> int:
        """Update the row and send the signal that `PublishingSettings.save` sends."""
        with transaction.atomic(using=self.db):
            count = super().update(**kwargs)
            signals.settings_changed.send(sender=self.model, fields=frozenset(kwargs))
        return count

    update.alters_data = True  # type: ignore[attr-defined]


class PublishingSettings(SingletonModel):
    """The single row of settings that operators change at run time."""

    local_domain = models.URLField(
        _("local domain"),
        blank=True,
        help_text=_("How students reach this server. Empty: the site's own address."),
    )
    local_fallback_mode = models.BooleanField(
        _("local fallback mode"),
        default=False,
        help_text=_(
            "Students read from this server, and every change is published at once. "
            "Videos in the private bucket are still played from there."
        ),
    )
    batch_threshold = models.PositiveIntegerField(
        _("pending plans that publish at once"),
        default=50,
        validators=[MinValueValidator(1)],
    )
    search_shard_threshold = models.PositiveIntegerField(
        _("lessons from which the search index is split"), default=500
    )
    kept_generations = models.PositiveIntegerField(
        _("generations kept"), default=3, validators=[MinValueValidator(1)]
    )
    min_free_disk_percent = models.PositiveIntegerField(
        _("free disk below which publishing pauses (%)"),
        default=10,
        validators=[MaxValueValidator(90)],
    )
    signed_url_hours = models.PositiveIntegerField(
        _("hours a signed URL lasts"),
        default=4,
        validators=[MinValueValidator(1), MaxValueValidator(168)],
    )
    embed_signed_urls = models.BooleanField(
        _("signed video URLs inside lesson files"), default=True
    )
    cdn_enabled = models.BooleanField(
        _("use the CDN"),
        default=False,
        help_text=_(
            "Every release is uploaded. A plan's links lead to the CDN once the CDN has "
            "the whole plan. Videos in the private bucket stay there when this is turned "
            "off: leave its keys."
        ),
    )
    cdn_base_url = models.URLField(
        _("CDN base URL"),
        blank=True,
        help_text=_(
            "What students' apps put before a file's path, e.g. "
            "https://cdn.example.org. Empty: the public bucket's own address."
        ),
    )
    cdn_endpoint = models.URLField(
        _("S3 endpoint"),
        blank=True,
        help_text=_(
            "For Cloudflare R2: https://ACCOUNT.r2.cloudflarestorage.com. Empty for "
            "Amazon S3."
        ),
    )
    cdn_region = models.CharField(
        _("region"), max_length=40, default="auto", help_text=_("“auto” for R2.")
    )
    cdn_path_style = models.BooleanField(
        _("bucket in the path"),
        default=True,
        help_text=_("R2 and most S3 servers; off for Amazon S3 itself."),
    )
    cdn_bucket = models.CharField(_("public bucket"), max_length=63, blank=True)
    cdn_private_bucket = models.CharField(
        _("private bucket"),
        max_length=63,
        blank=True,
        help_text=_(
            "For lessons that need an entitlement; nobody may read it without a "
            "signature. Empty: this server alone serves them."
        ),
    )
    cdn_access_key = models.TextField(_("access key id"), blank=True)
    cdn_secret_key = models.TextField(_("secret access key"), blank=True)
    """Both are stored encrypted (`secrets.encrypt`); `secret` reads them."""
    cdn_gzip = models.BooleanField(
        _("store files compressed"),
        default=False,
        help_text=_(
            "As gzip with Content-Encoding; only where the CDN unpacks for clients "
            "that cannot, as Cloudflare does."
        ),
    )
    cloudflare_zone = models.CharField(
        _("Cloudflare zone id"),
        max_length=64,
        blank=True,
        help_text=_("With a token, changed files are purged from Cloudflare's cache."),
    )
    cloudflare_token = models.TextField(_("Cloudflare API token"), blank=True)
    """Encrypted like the secret key; needs only the permission “Cache Purge”."""

    SECRETS = ("cdn_access_key", "cdn_secret_key", "cloudflare_token")

    objects = SettingsQuerySet.as_manager()

    class Meta:
        verbose_name = _("publishing settings")

    def __str__(self) -> str:
        return str(_("Publishing settings"))

    def secret(self, name: str) -> str:
        """Return one of `SECRETS` decrypted; "" when it is empty.

        Raises:
            SecretsError: it cannot be decrypted with the available keys.
        """
        return secrets.decrypt(getattr(self, name))

    def clean(self) -> None:
        """Refuse CDN settings that cannot work and URLs that hold a password."""
        faults: dict[str, Any] = {}
        for name in ("cdn_base_url", "cdn_endpoint", "local_domain"):
            address = urlsplit(getattr(self, name))
            if address.username or address.password:
                faults[name] = _("An address must not hold a user name or password.")
            elif address.query or address.fragment:
                faults[name] = _("Only the address itself, without “?” or “#”.")
        for name in ("cdn_base_url", "cdn_endpoint"):
            typed = getattr(self, name)
            if typed and name not in faults and not private_hosts.is_permitted(typed):
                faults[name] = _(
                    "An https:// address is needed. Only a server that is named in "
                    "MEMORA_PRIVATE_HOSTS may be used without https."
                )
        for name, allowed in _PARTS_OF_ADDRESSES.items():
            if (typed := getattr(self, name)) and not allowed.match(typed):
                faults[name] = _("There are characters in it that it cannot have.")
        if self.cdn_enabled:
            needed = ["cdn_base_url"]
            if storage_is_the_bucket():
                needed = ["cdn_bucket", "cdn_access_key", "cdn_secret_key"]
            for name in needed:
                if not getattr(self, name) and name not in faults:
                    faults[name] = _("The CDN cannot be used without this.")
        names_bucket = self.cdn_bucket or self.cdn_private_bucket
        is_amazon = storage_is_the_bucket() and not self.cdn_endpoint
        if names_bucket and is_amazon and self.cdn_region == "auto":
            faults["cdn_region"] = _(
                "Amazon S3 has no region “auto”. Enter the bucket's region, or the "
                "endpoint if it is another service."
            )
        if self.cdn_bucket and self.cdn_bucket == self.cdn_private_bucket:
            faults["cdn_private_bucket"] = _(
                "The private bucket must be another than the public one."
            )
        if bool(self.cloudflare_zone) != bool(self.cloudflare_token):
            missing = "cloudflare_token" if self.cloudflare_zone else "cloudflare_zone"
            faults[missing] = _("Zone and token are needed together.")
        if faults:
            raise ValidationError(faults)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; send `signals.settings_changed` if any field has changed.

        Raises:
            ValueError: a secret is not encrypted with `secrets.encrypt`.
        """
        for name in self.SECRETS:
            if not secrets.is_encrypted(getattr(self, name)):
                raise ValueError(f"{name} is not encrypted")
        fields = [field.attname for field in self._meta.concrete_fields]
        with transaction.atomic():
            rows = type(self).objects.select_for_update()
            before = rows.filter(pk=self.pk).first() or type(self)(pk=self.pk)
            super().save(*args, **kwargs)
            changed = frozenset(
                name for name in fields if getattr(self, name) != getattr(before, name)
            )
            if changed:
                signals.settings_changed.send(sender=type(self), fields=changed)


def storage_is_the_bucket() -> bool:
    """Return whether ``STORAGES["cdn"]`` is the bucket named in these settings."""
    return bool(settings.STORAGES["cdn"]["BACKEND"] == BUCKET_STORAGE)


class Publication(models.Model):
    """A plan's current release, and what it was built from.

    The row is kept after its plan is deleted, until the plan's files are removed.
    """

    plan = models.OneToOneField(
        AcademicPlan,
        models.SET_NULL,
        null=True,
        related_name="publication",
        verbose_name=_("plan"),
    )
    plan_public_id = ExactCharField(_("plan id"), max_length=ID_MAX_LENGTH, unique=True)
    build_number = models.PositiveBigIntegerField(default=0, db_column="fence")
    """The number of the newest build that claimed this plan; older builds stop."""
    generation = models.PositiveBigIntegerField(_("generation"), null=True, blank=True)
    """The number of the release that students read; NULL before the first release."""
    needs_full_build_since = models.PositiveBigIntegerField(
        null=True, blank=True, db_column="switching"
    )
    """The build number since which the files are not trusted: a health check found a
    fault, or a rollback is in progress. Until it is NULL again, a build reads
    everything and compares it with the disk."""
    built_from = models.JSONField(default=dict)
    """The sources of the release: `publishing.staleness.sources`."""
    published_at = models.DateTimeField(_("published"), null=True, blank=True)
    rolled_back_at = models.DateTimeField(_("rolled back"), null=True, blank=True)
    """When an earlier generation was made current; the next build sets it to NULL.
    The sweep does not build the plan until an edit or a publish request."""
    cdn_place = models.CharField(max_length=16, blank=True, default="", editable=False)
    """The public place (`publishing.destinations`) that has received a complete release
    of this plan; "" for none. Links in the plan's documents lead there. Cleared when
    the CDN is turned on or off or its place changes: an unused place is outdated."""
    withdrawal_due_since = models.DateTimeField(
        null=True, editable=False, db_column="leaving_since"
    )
    """The time since which its files should be gone, as found by the periodic check:
    the plan is deleted or no longer published."""

    class Meta:
        verbose_name = _("publication")
        verbose_name_plural = _("publications")

    def __str__(self) -> str:
        return f"{self.plan_public_id}@{self.generation}"


class PublishedDocument(models.Model):
    """The record of a published file, used to decide whether to write it again."""

    path = ExactCharField(_("path"), max_length=CONTENT_PATH_LENGTH, unique=True)
    lesson_id = ExactCharField(
        max_length=ID_MAX_LENGTH, blank=True, db_index=True, editable=False
    )
    """The lesson whose file this is; "" for a plan's own file."""
    publication = models.ForeignKey(
        Publication, models.CASCADE, null=True, related_name="documents"
    )
    """NULL for a lesson: lessons are shared by plans."""
    fingerprint = models.CharField(max_length=64)
    """SHA-256 of the content without version, time and signatures; "" if the next build
    must write the file in any case."""
    version = models.PositiveBigIntegerField(_("version"))
    """The highest version ever published under this path; after a rollback the file
    itself has an earlier one."""
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField(_("bytes"))
    source_revision = models.PositiveBigIntegerField(default=0)
    """For a lesson: its subject's revision when it was read, so that an older snapshot
    never overwrites a newer one."""
    source = models.CharField(max_length=32, blank=True, default="", editable=False)
    """For a lesson: digest of its other sources (`documents.LessonSources`); "" if
    unknown, and the next build computes it."""
    signed_until = models.PositiveBigIntegerField(null=True, blank=True)
    """The Unix time when the first signature in the file expires."""

    class Meta:
        verbose_name = _("published file")
        verbose_name_plural = _("published files")

    def __str__(self) -> str:
        return str(self.path)


class UploadedDocument(models.Model):
    """The state of a path on the CDN, as far as it is known.

    Written before an object is changed and again after it is verified, so that a
    process that stops in between is detected: an object in an unknown state is uploaded
    again.
    """

    target = models.CharField(max_length=16)
    """Fingerprint of the server and bucket (`destinations.bucket_destination_id`)."""
    path = ExactCharField(_("path"), max_length=CONTENT_PATH_LENGTH)
    sha256 = models.CharField(max_length=64, blank=True)
    """Hash of the content verified there; "" while it is unknown."""
    gzipped = models.BooleanField(default=False, db_column="packed")
    """Stored compressed; after a change of that setting it must be uploaded again."""
    size = models.PositiveIntegerField(_("bytes"), default=0)
    switch_number = models.PositiveBigIntegerField(default=0, db_column="edition")
    """`ReleaseCounters.switches` of the release for which it was last changed; a
    distributor with an older number does not change it."""
    claim = models.CharField(max_length=32, blank=True)
    """The distributor that is changing the object. A distributor that finds another
    name here after its own upload leaves the object to the other."""
    recheck_at = models.DateTimeField(null=True, editable=False)
    """When to verify it again, because another upload may have arrived late."""
    purge = models.BooleanField(default=False)
    """The CDN's cache may hold other bytes than the bucket."""
    obsolete_since = models.DateTimeField(
        null=True, editable=False, db_column="leaving_since"
    )
    """The time since which it should not be there any more."""

    class Meta:
        verbose_name = _("uploaded file")
        verbose_name_plural = _("uploaded files")
        constraints = [
            # Two distributors must not both create the row of a path.
            models.UniqueConstraint(
                fields=["target", "path"], name="publishing_one_upload"
            )
        ]

    def __str__(self) -> str:
        return str(self.path)


class PlanLesson(models.Model):
    """A lesson in a plan's current release, and whether the plan offers it openly.

    A lesson that no plan offers openly is gated; one without any row is not needed by
    a current release. See docs/architecture.md, "Open and gated lessons".
    """

    publication = models.ForeignKey(
        Publication, models.CASCADE, related_name="plan_lessons"
    )
    lesson_id = ExactCharField(max_length=ID_MAX_LENGTH)
    is_open = models.BooleanField()

    class Meta:
        verbose_name = _("plan lesson")
        verbose_name_plural = _("plan lessons")
        db_table = "publishing_lessonoffer"
        constraints = [
            models.UniqueConstraint(
                fields=["publication", "lesson_id"], name="publishing_one_offer"
            )
        ]
        indexes = [
            models.Index(fields=["lesson_id", "is_open"], name="publishing_offers")
        ]

    def __str__(self) -> str:
        return str(self.lesson_id)


class ReleaseCounters(models.Model):
    """One row with the counters of all releases; its lock is the switch lock.

    A build locks the row while it puts its files in place. Lessons are shared by plans:
    two switches at the same time could replace a newer lesson with an older one.
    """

    ROW = 1

    removals = models.PositiveBigIntegerField(default=0)
    """Grows when lesson files are deleted; a build that read an older number may depend
    on one of them."""
    newest_version = models.PositiveBigIntegerField(default=0)
    """The highest version ever published: a file that is created again under the path
    of a removed one must have a higher version."""
    switches = models.PositiveBigIntegerField(default=0)
    """The number of switches so far. The disk has the number of the switch begun last
    (`file_store.switches`). When they differ, a switch was begun and its tables were
    not written (`publishing.storage.recovery`)."""
    newest_withdrawn_number = models.PositiveBigIntegerField(default=0)
    """The highest build number of the plans withdrawn so far. A plan that is published
    again continues above it, so that a cached number never names another release
    (`publishing.published_content`)."""

    class Meta:
        verbose_name = _("release counters")
        verbose_name_plural = _("release counters")
        db_table = "publishing_switchlock"

    def __str__(self) -> str:
        return str(self.pk)


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


# --- Monitoring: waiting plans, health reports, alerts --------------------------------


class WaitingPlan(models.Model):
    """The time since which a plan needs a build, as found by the periodic check.

    Accurate to the minute. Revisions alone decide which plans need a build
    (`publishing.staleness`); this row holds only the time.
    """

    plan = models.OneToOneField(
        AcademicPlan,
        models.CASCADE,
        primary_key=True,
        related_name="waiting",
        verbose_name=_("plan"),
    )
    since = models.DateTimeField(_("since"))

    class Meta:
        verbose_name = _("waiting plan")
        verbose_name_plural = _("waiting plans")

    def __str__(self) -> str:
        return str(self.plan_id)


class FaultKind(models.TextChoices):
    """The kinds of fault that a health check finds."""

    MISSING = "missing", _("Missing file")
    CORRUPT = "corrupt", _("Corrupt file")
    BROKEN_LINK = "broken_link", _("Broken link")
    WRONG_GENERATION = "wrong_generation", _("Wrong generation")
    INCOMPLETE_SWITCH = "incomplete_switch", _("Unfinished switch")
    ORPHANED = "orphaned", _("Orphaned file")
    STALE = "stale", _("Overdue plan")
    FAILING = "failing", _("Many failures")
    DISK_LOW = "disk_low", _("Disk nearly full")
    SILENT = "silent", _("Worker or scheduler not running")
    CDN_DIFFERS = "cdn_differs", _("Difference on the CDN")
    CDN_SILENT = "cdn_silent", _("CDN does not answer")


class HealthReport(models.Model):
    """The result of one health check, and what it repaired."""

    is_full = models.BooleanField(_("full"))
    """Whether every file was checked, or a sample."""
    plans = models.JSONField(_("plans"), default=list)
    """The ids of the plans checked; empty for all."""
    started_at = models.DateTimeField(_("started"), db_index=True)
    finished_at = models.DateTimeField(_("finished"))
    files_checked = models.PositiveIntegerField(_("files checked"), default=0)
    faults = models.PositiveIntegerField(_("faults"), default=0)
    """The number of faults left after the repair."""
    repaired = models.PositiveIntegerField(_("repaired"), default=0)
    counts = models.JSONField(_("counts"), default=dict)
    """`FaultKind` to the number found, including the repaired ones."""
    findings = models.JSONField(_("findings"), default=dict)
    """`FaultKind` to the first hundred: ``{"what", "why", "repaired"}``."""
    facts = models.JSONField(_("facts"), default=dict)
    """The measured queue, failures, disk and heartbeats: `health.Facts`."""

    class Meta:
        verbose_name = _("health report")
        verbose_name_plural = _("health reports")
        ordering = ["-started_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"

    @property
    def is_sound(self) -> bool:
        """Whether no fault is left."""
        return self.faults == 0


class AlertKind(models.TextChoices):
    DISK_LOW = "disk_low", _("Disk nearly full")
    DEAD_LETTER = "dead_letter", _("Dead letter")
    UPLOAD_FAILED = "upload_failed", _("Upload failed")
    HEALTH_FAULT = "health_fault", _("Health check")
    SILENT = "silent", _("Worker or scheduler not running")


class Alert(models.Model):
    """A problem that System Managers are notified of once, until it is resolved."""

    kind = models.CharField(_("kind"), max_length=20, choices=AlertKind.choices)
    key = ExactCharField(_("about"), max_length=ID_MAX_LENGTH, blank=True)
    """The object of the alert: a plan's id; "" where the kind has only one."""
    open_key = ExactCharField(max_length=100, null=True, editable=False)
    """``kind:key`` while the alert is open, NULL afterwards."""
    message = models.TextField(_("message"))
    raised_at = models.DateTimeField(_("raised"), db_index=True)
    seen_at = models.DateTimeField(_("last seen"))
    resolved_at = models.DateTimeField(_("resolved"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent by e-mail"), null=True, blank=True)
    """NULL until the e-mail is sent; every sweep tries again."""
    sending_until = models.DateTimeField(null=True, editable=False)
    """The e-mail is claimed until then. If the worker stops, the claim expires and the
    e-mail is sent again."""

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ["-raised_at", "-pk"]
        constraints = [
            # Two builds that find the disk full at the same time raise one alert. A
            # unique nullable column allows one open alert on every database.
            models.UniqueConstraint(
                fields=["open_key"], name="publishing_one_open_alert"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.key}".strip()

    @property
    def is_open(self) -> bool:
        return self.open_key is not None
