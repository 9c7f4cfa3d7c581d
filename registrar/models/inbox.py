"""The inbox: what arrived, and the records that it names."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from registrar.models.work import Work


class Operation(models.TextChoices):
    """What a delivery says has happened. Only a hint: the record is read from Zoho."""

    CHANGED = "changed", _("record changed")
    DELETED = "deleted", _("record deleted")
    LIST = "list", _("whole module")


class Delivery(models.Model):
    """A webhook or a notification with a right signature, as it arrived."""

    endpoint = models.CharField(_("endpoint"), max_length=80)
    verifier = models.CharField(_("verified by"), max_length=10)
    body = models.BinaryField(_("body"))
    dedup_key = models.CharField(max_length=64, unique=True, editable=False)
    """The same delivery again has the same key."""
    has_version = models.BooleanField(default=False, editable=False)
    """Whether the next change of the same records will have another body. Else the key
    is replaced when the read begins."""
    received_at = models.DateTimeField(_("received"), db_index=True)
    times = models.PositiveIntegerField(_("times"), default=1)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")

    def __str__(self) -> str:
        return f"{self.endpoint} {self.pk}"


class Hint(Work):
    """A record that may have changed: read it from Zoho and apply it."""

    delivery = models.ForeignKey(
        Delivery,
        on_delete=models.CASCADE,
        null=True,
        related_name="hints",
        verbose_name=_("delivery"),
    )
    """None for a parent that a child needs, and for a replay."""
    operation = models.CharField(
        _("operation"), max_length=10, choices=Operation.choices
    )
    not_before = models.DateTimeField(null=True, editable=False)
    """The ``Modified_Time`` in the delivery: an older copy is not what it announced."""
    depth = models.PositiveSmallIntegerField(default=0, editable=False)
    """How many children lead to this parent."""
    decision = models.JSONField(null=True, editable=False)
    """`registrar.mirror.decisions.Decision`, when it is done."""

    class Meta:
        verbose_name = _("hint")
        verbose_name_plural = _("hints")
        permissions = [("replay_hint", _("Can process hints again"))]
        indexes = [
            # What is due, and the first unfinished row of a record.
            models.Index(fields=["state", "due_at"], name="registrar_hint_due"),
            models.Index(
                fields=["module", "record_id", "state"], name="registrar_hint_record"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.module} {self.record_id}"
