"""The events that devices queue: how far they are decided, and those that are held."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from content.kinds import ID_MAX_LENGTH
from core.fields import ExactCharField
from players.models import PlayerProfile


class DeviceSequence(models.Model):
    """How far the events of a device have been decided; see "Batches".

    No foreign key to the device: its numbers continue when it is removed and comes back.
    """

    player = models.ForeignKey(
        PlayerProfile,
        models.CASCADE,
        related_name="device_sequences",
        verbose_name=_("player"),
        db_index=False,  # the constraint is its index
    )
    device_id = models.UUIDField(_("device"))
    last_seq = models.PositiveBigIntegerField(
        _("last event"), help_text=_("The number of the last event that was decided.")
    )
    last_at = models.DateTimeField(
        _("its time"),
        null=True,
        blank=True,
        help_text=_("The corrected time; no later event counts as earlier."),
    )

    class Meta:
        verbose_name = _("device sequence")
        verbose_name_plural = _("device sequences")
        constraints = [
            # A batch moves the row that it was decided on.
            models.UniqueConstraint(
                fields=["player", "device_id"], name="progress_one_sequence"
            )
        ]

    def __str__(self) -> str:
        return f"{self.device_id}: {self.last_seq}"


class HeldEvent(models.Model):
    """An event about a lesson that is not published now; see "Batches".

    It is applied when the lesson is in the release of the player's plan, and deleted.
    """

    player = models.ForeignKey(
        PlayerProfile,
        models.CASCADE,
        related_name="held_events",
        verbose_name=_("player"),
        db_index=False,  # the constraint is its index
    )
    event_id = models.CharField(_("event id"), max_length=64)
    """Hashed as in the ledger."""
    fingerprint = models.CharField(_("fingerprint"), max_length=64)
    lesson_id = ExactCharField(_("lesson"), max_length=ID_MAX_LENGTH)
    hearts = models.PositiveSmallIntegerField(_("hearts"), null=True, blank=True)
    item_id = ExactCharField(
        _("item"), max_length=ID_MAX_LENGTH, blank=True, help_text=_("Of a review.")
    )
    rating = models.PositiveSmallIntegerField(_("rating"), null=True, blank=True)
    device_id = models.UUIDField(_("device"))
    device_seq = models.PositiveBigIntegerField(_("position on the device"))
    device_time = models.DateTimeField(_("when, by the device's clock"))
    occurred_at = models.DateTimeField(
        _("when"), help_text=_("The corrected time of the device.")
    )
    received_at = models.DateTimeField(_("received"))

    class Meta:
        verbose_name = _("held event")
        verbose_name_plural = _("held events")
        constraints = [
            # A repeated event is held once.
            models.UniqueConstraint(
                fields=["player", "event_id"], name="progress_held_once"
            )
        ]

    def __str__(self) -> str:
        return str(self.lesson_id)
