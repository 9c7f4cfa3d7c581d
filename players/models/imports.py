"""The imports of students from a file."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from players.models.accounts import User


class ImportStatus(models.TextChoices):
    PREVIEW = "preview", _("not confirmed")
    WAITING = "waiting", _("waiting")
    RUNNING = "running", _("running")
    FINISHED = "finished", _("finished")
    FAILED = "failed", _("failed")


class StudentImport(models.Model):
    """An import of students (`players.services.import_runs`), without their data."""

    owner = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="+", verbose_name=_("done by")
    )
    data = models.BinaryField(default=b"", editable=False)
    """The file, encrypted with a key that is stored nowhere; b"" once it has run."""
    digests = models.JSONField(default=list, editable=False)
    """What the preview showed of each row: the hash of its outcome."""
    status = models.CharField(
        _("status"),
        max_length=10,
        choices=ImportStatus.choices,
        default=ImportStatus.PREVIEW,
    )
    total = models.PositiveIntegerField(_("rows"), default=0)
    created = models.PositiveIntegerField(_("created"), default=0)
    updated = models.PositiveIntegerField(_("changed"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    refused = models.JSONField(_("refused"), default=list)
    """Row number, column or "", and reason of each fault."""
    refused_rows = models.PositiveIntegerField(_("refused rows"), default=0)
    created_ids = models.JSONField(default=list, editable=False)
    """The players that it created, for their sign-in slips."""
    created_at = models.DateTimeField(_("created"), auto_now_add=True, db_index=True)
    progress_at = models.DateTimeField(_("last progress"), auto_now_add=True)

    class Meta:
        verbose_name = _("import of students")
        verbose_name_plural = _("imports of students")
        default_permissions = ()

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def done(self) -> int:
        """The number of rows that were handled."""
        return self.created + self.updated + self.unchanged + self.refused_rows
