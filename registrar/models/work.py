"""What rows of both queues, the inbox and the outbox, have in common."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import ExactCharField
from registrar.models.rows import ID_LENGTH


class WorkState(models.TextChoices):
    """Where a row of a queue stands."""

    PENDING = "pending", _("waiting")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    DEAD = "dead", _("failed")


UNFINISHED = (WorkState.PENDING, WorkState.RUNNING)


class Work(models.Model):
    """Work on one record; rows of one record are done in the order of their keys."""

    module = models.CharField(_("module"), max_length=40)
    record_id = ExactCharField(
        _("Zoho id"), max_length=ID_LENGTH, default="", blank=True
    )
    state = models.CharField(
        _("state"),
        max_length=10,
        choices=WorkState.choices,
        default=WorkState.PENDING,
    )
    created_at = models.DateTimeField(_("received"))
    due_at = models.DateTimeField(_("next attempt"))
    """When the row may be claimed; while it runs, when the claim expires."""
    claim = models.CharField(max_length=32, default="", editable=False)
    """A random word of the run that has the row."""
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    last_error = models.TextField(_("last error"), default="", blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        abstract = True
