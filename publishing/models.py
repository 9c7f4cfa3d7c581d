"""What publishing remembers: settings, each plan's release, every file, every run."""

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
"""What becomes a part of an address, and may not become another host or path."""


class SettingsQuerySet(models.QuerySet[Any]):
    def update(self, **kwargs: Any) -> int:
        """Change the row, and tell it as `PublishingSettings.save` does."""
        with transaction.atomic(using=self.db):
            count = super().update(**kwargs)
            signals.settings_changed.send(sender=self.model, fields=frozenset(kwargs))
        return count

    update.alters_data = True  # type: ignore[attr-defined]


class PublishingSettings(SingletonModel):
    """The one row of settings operators change while everything runs."""

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
    """Both encrypted: `secret` reads them, `set_secret` writes them."""
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
    """Encrypted, like the secret key; it needs the permission “Cache Purge” alone."""

    SECRETS = ("cdn_access_key", "cdn_secret_key", "cloudflare_token")

    objects = SettingsQuerySet.as_manager()

    class Meta:
        verbose_name = _("publishing settings")

    def __str__(self) -> str:
        return str(_("Publishing settings"))

    def secret(self, name: str) -> str:
        """One of `SECRETS` in the clear; "" when there is none.

        Raises:
            SecretsError: it cannot be read with the keys there are.
        """
        return secrets.decrypt(getattr(self, name))

    def set_secret(self, name: str, plain: str) -> None:
        """Put one of `SECRETS` into this row, encrypted; `save` keeps it.

        Raises:
            SecretsError: there is no key to encrypt with.
        """
        setattr(self, name, secrets.encrypt(plain))

    def clean(self) -> None:
        """Refuse a CDN that cannot work, and addresses with passwords in them."""
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
        """Save, and tell what has changed. Saving what is stored already changes nothing.

        Raises:
            ValueError: a secret would be stored as it is; use `set_secret`.
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
    """Whether the CDN is the bucket these settings name, not a storage of its own."""
    return bool(settings.STORAGES["cdn"]["BACKEND"] == BUCKET_STORAGE)


class Publication(models.Model):
    """A plan's current release, and what it was built from.

    It outlives its plan until the plan's files are gone.
    """

    plan = models.OneToOneField(
        AcademicPlan,
        models.SET_NULL,
        null=True,
        related_name="publication",
        verbose_name=_("plan"),
    )
    plan_public_id = ExactCharField(_("plan id"), max_length=ID_MAX_LENGTH, unique=True)
    fence = models.PositiveBigIntegerField(default=0)
    """The number of the newest build that claimed this plan; older ones give up."""
    generation = models.PositiveBigIntegerField(_("generation"), null=True, blank=True)
    """The build whose directory students read; NULL before the first release."""
    switching = models.PositiveBigIntegerField(null=True, blank=True)
    """Set while the files are not to be trusted: by a health check that found them
    wrong, and during a rollback. Until it is NULL again a build reads everything and
    compares it with the disk."""
    built_from = models.JSONField(default=dict)
    """What the release was made of: `publishing.staleness.sources`."""
    published_at = models.DateTimeField(_("published"), null=True, blank=True)
    rolled_back_at = models.DateTimeField(_("rolled back"), null=True, blank=True)
    """When an earlier generation was made current; NULL again with the next build.
    Until somebody edits or publishes, the sweep leaves it alone."""
    cdn_place = models.CharField(max_length=16, blank=True, default="", editable=False)
    """The public place (`publishing.destinations`) that has had a release of this plan
    whole; "" for none. Links in the plan's documents lead there. Forgotten when the CDN
    is turned on or off or becomes another place: one not in use falls behind."""
    leaving_since = models.DateTimeField(null=True, editable=False)
    """Since when its files should be gone, as the watch saw it: the plan is deleted or
    no longer published."""

    class Meta:
        verbose_name = _("publication")
        verbose_name_plural = _("publications")

    def __str__(self) -> str:
        return f"{self.plan_public_id}@{self.generation}"


class PublishedDocument(models.Model):
    """A file as published: what decides whether it must be written again."""

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
    """SHA-256 of the content without version, time and signatures; "" for a file that
    the next build must write whatever it finds."""
    version = models.PositiveBigIntegerField(_("version"))
    """The highest ever published under this path; after a rollback the file itself
    has an earlier one."""
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField(_("bytes"))
    source_revision = models.PositiveBigIntegerField(default=0)
    """For a lesson: its subject's revision when it was read, so that an older
    snapshot never overwrites a newer one."""
    source = models.CharField(max_length=32, blank=True, default="", editable=False)
    """For a lesson: what else it was made of (`documents.LessonSources`); "" where the
    next build must find out."""
    signed_until = models.PositiveBigIntegerField(null=True, blank=True)
    """Unix time at which the earliest signature inside expires."""

    class Meta:
        verbose_name = _("published file")
        verbose_name_plural = _("published files")

    def __str__(self) -> str:
        return str(self.path)


class UploadedDocument(models.Model):
    """What the CDN has under a path, or may have.

    Written before an object is touched and again when it was verified, so that a death
    in between is seen: what is not known for certain is uploaded again.
    """

    target = models.CharField(max_length=16)
    """Which bucket, of which server (`cdn.targets`); another one starts empty."""
    path = ExactCharField(_("path"), max_length=CONTENT_PATH_LENGTH)
    sha256 = models.CharField(max_length=64, blank=True)
    """Of the content as verified there; "" while that is not known."""
    packed = models.BooleanField(default=False)
    """Stored compressed: after a change of that setting it must be stored anew."""
    size = models.PositiveIntegerField(_("bytes"), default=0)
    edition = models.PositiveBigIntegerField(default=0)
    """`SwitchLock.switches` of the release it was last touched for: a distributor with
    an older one keeps off."""
    claim = models.CharField(max_length=32, blank=True)
    """The distributor that is at it; whoever finds another's name here after its
    own upload leaves it to that one."""
    recheck_at = models.DateTimeField(null=True, editable=False)
    """When to look again, because another's upload may have arrived late."""
    purge = models.BooleanField(default=False)
    """The CDN's cache may hold other bytes than the bucket."""
    leaving_since = models.DateTimeField(null=True, editable=False)
    """Since when it should not be there any more."""

    class Meta:
        verbose_name = _("uploaded file")
        verbose_name_plural = _("uploaded files")
        constraints = [
            # Two distributors cannot both believe that they were the first.
            models.UniqueConstraint(
                fields=["target", "path"], name="publishing_one_upload"
            )
        ]

    def __str__(self) -> str:
        return str(self.path)


class LessonOffer(models.Model):
    """That a plan's current release has a lesson, and whether openly.

    A lesson with no open offer is gated (DESIGN 4); one with no offer at all has
    no file.
    """

    publication = models.ForeignKey(
        Publication, models.CASCADE, related_name="lesson_offers"
    )
    lesson_id = ExactCharField(max_length=ID_MAX_LENGTH)
    is_open = models.BooleanField()

    class Meta:
        verbose_name = _("lesson offer")
        verbose_name_plural = _("lesson offers")
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


class SwitchLock(models.Model):
    """One row that a build holds while it puts its files in place.

    Lessons are shared by plans: two switches at once could put an older lesson over
    a newer one.
    """

    ROW = 1

    removals = models.PositiveBigIntegerField(default=0)
    """Grows when lesson files are deleted; a build that saw an older number may have
    counted on one of them."""
    newest_version = models.PositiveBigIntegerField(default=0)
    """The highest version ever published: a file that comes back under the path of one
    long removed must have a higher one than that had."""
    switches = models.PositiveBigIntegerField(default=0)
    """How often what readers see was changed. The disk has the number of the change
    begun last (`staging.switches`): where they differ, one was begun and its tables
    never written (`publishing.storage.recovery`)."""
    newest_withdrawn_number = models.PositiveBigIntegerField(default=0)
    """The highest build number of the plans withdrawn so far. One published again goes
    on from there: who remembers a number must not find another release under it
    (`publishing.published_content`)."""

    class Meta:
        verbose_name = _("switch lock")
        verbose_name_plural = _("switch locks")

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
        """Several write the log at once, and find its rows by different indexes.

        MariaDB then ends one of them to let the others go on; that one tries again.
        """
        return retry_on_conflict(partial(super().update, **kwargs))

    update.alters_data = True  # type: ignore[attr-defined]


class SyncLog(models.Model):
    """One run of publishing a plan, with its retries; or of going back or away."""

    ROLLBACK = "rollback"
    """The trigger of an entry that says an earlier generation was made current."""
    WITHDRAWAL = "withdrawal"
    """The trigger of one that says the release was taken away."""

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
    """What is being done, or was done last. In ``UPLOAD`` readers here have the release
    already; attempts are counted anew."""
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
    """What the attempt was made of: when that changes, it need not wait."""
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    failing_since = models.DateTimeField(null=True, editable=False)
    """When the first attempt to upload failed."""
    disk_needed = models.PositiveBigIntegerField(null=True, editable=False)
    """The bytes the build wanted to write when it paused for a full disk."""
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
    """When readers here had the release; an upload may have followed, or follow."""
    build_seconds = models.FloatField(_("seconds to build"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects = SyncLogQuerySet.as_manager()

    class Meta:
        verbose_name = _("sync log entry")
        verbose_name_plural = _("sync log")
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["plan", "status"], name="publishing_log_of_plan"),
            # Each plan's last build, and the last day's runs: the dashboard asks every
            # few seconds.
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
        """How long the build took, or its last attempt; None while that runs."""
        if self.build_seconds is not None:
            return self.build_seconds
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def read_at(self) -> datetime | None:
        """When the build read what its release is made of; None before there is one."""
        if self.built_at is None:
            return None
        return self.built_at - timedelta(seconds=self.build_seconds or 0)


# --- Watching: who waits, what was found, who must know ------------------------------


class WaitingPlan(models.Model):
    """Since when a plan waits to be built, as the watch saw it (to the minute).

    What waits is decided by revisions alone (`publishing.staleness`); this only says
    for how long.
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
    """What a health check can find."""

    MISSING = "missing", _("Missing file")
    CORRUPT = "corrupt", _("Corrupt file")
    BROKEN_LINK = "broken_link", _("Broken link")
    WRONG_GENERATION = "wrong_generation", _("Wrong generation")
    TORN = "torn", _("Unfinished switch")
    ORPHANED = "orphaned", _("Orphaned file")
    STALE = "stale", _("Overdue plan")
    FAILING = "failing", _("Many failures")
    DISK_LOW = "disk_low", _("Disk nearly full")
    SILENT = "silent", _("Silent worker or beat")
    CDN_DIFFERS = "cdn_differs", _("Difference on the CDN")
    CDN_SILENT = "cdn_silent", _("Silent CDN")


class HealthReport(models.Model):
    """What one health check found, and what it mended."""

    is_full = models.BooleanField(_("full"))
    """Every file, or a sample."""
    plans = models.JSONField(_("plans"), default=list)
    """The ids of the plans looked at; empty for all."""
    started_at = models.DateTimeField(_("started"), db_index=True)
    finished_at = models.DateTimeField(_("finished"))
    files_checked = models.PositiveIntegerField(_("files checked"), default=0)
    faults = models.PositiveIntegerField(_("faults"), default=0)
    """How many are left after what was mended."""
    repaired = models.PositiveIntegerField(_("mended"), default=0)
    counts = models.JSONField(_("counts"), default=dict)
    """`FaultKind` to how many were found, the mended ones among them."""
    findings = models.JSONField(_("findings"), default=dict)
    """`FaultKind` to the first hundred: ``{"what", "why", "repaired"}``."""
    facts = models.JSONField(_("facts"), default=dict)
    """Queue, failures, disk and heartbeat as measured: `health.Facts`."""

    class Meta:
        verbose_name = _("health report")
        verbose_name_plural = _("health reports")
        ordering = ["-started_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"

    @property
    def is_sound(self) -> bool:
        """Nothing is wrong, or nothing any more."""
        return self.faults == 0


class AlertKind(models.TextChoices):
    DISK_LOW = "disk_low", _("Disk nearly full")
    DEAD_LETTER = "dead_letter", _("Dead letter")
    UPLOAD_FAILED = "upload_failed", _("Upload failed")
    HEALTH_FAULT = "health_fault", _("Health check")
    SILENT = "silent", _("Silent worker or beat")


class Alert(models.Model):
    """Something that System Managers must know, once, until it is over."""

    kind = models.CharField(_("kind"), max_length=20, choices=AlertKind.choices)
    key = ExactCharField(_("about"), max_length=ID_MAX_LENGTH, blank=True)
    """Which one of its kind: a plan's id; "" where there is only one."""
    open_key = ExactCharField(max_length=100, null=True, editable=False)
    """``kind:key`` while the alert is open, NULL afterwards."""
    message = models.TextField(_("message"))
    raised_at = models.DateTimeField(_("raised"), db_index=True)
    seen_at = models.DateTimeField(_("last seen"))
    resolved_at = models.DateTimeField(_("resolved"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent by e-mail"), null=True, blank=True)
    """NULL until the mail has gone; every sweep tries again."""
    sending_until = models.DateTimeField(null=True, editable=False)
    """Somebody is sending it; should he die, it may be tried again after this."""

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ["-raised_at", "-pk"]
        constraints = [
            # Two builds that find the disk full at once raise one alert. A unique
            # column with NULLs says "one open" on every database.
            models.UniqueConstraint(
                fields=["open_key"], name="publishing_one_open_alert"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.key}".strip()

    @property
    def is_open(self) -> bool:
        return self.open_key is not None
