"""What the periodic checks find: waiting plans, health reports and alerts."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from content.kinds import ID_MAX_LENGTH
from core.fields import ExactCharField
from plans.models import AcademicPlan


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
    REPEATED_ITEM = "repeated_item", _("Item in two stages")
    MISSING_MEDIA = "missing_media", _("Media that students cannot open")
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
    LATE = "late", _("Periodic job late")
    REGISTRAR = "registrar", _("Registrar")


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
