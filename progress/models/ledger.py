"""The ledger of what players did."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from content.kinds import ID_MAX_LENGTH
from core.append_only import AppendOnlyModel
from core.fields import ExactCharField
from players.models import PlayerProfile


class InteractionType(models.TextChoices):
    LESSON_COMPLETED = "lesson_completed", _("lesson completed")
    LESSON_FAILED = "lesson_failed", _("lesson failed")
    LESSON_GRANTED = "lesson_granted", _("lesson granted")
    LESSON_RESET = "lesson_reset", _("lesson reset")
    XP_CORRECTED = "xp_corrected", _("XP corrected")
    REVIEW_SESSION = "review_session", _("session of reviews")
    STREAK_PAUSED = "streak_paused", _("days off of a streak")
    FREEZE_SPENT = "freeze_spent", _("streak freeze spent")
    FREEZE_RETURNED = "freeze_returned", _("streak freeze given back")
    FREEZE_GIVEN = "freeze_given", _("streak freeze given by staff")
    SEASON_OPENED = "season_opened", _("season opened")
    SUBJECT_RESET = "subject_reset", _("subject begun anew in a season")


PROGRESS_TYPES = (
    InteractionType.LESSON_COMPLETED,
    InteractionType.LESSON_GRANTED,
    InteractionType.LESSON_RESET,
    InteractionType.SUBJECT_RESET,
)
"""The rows that change which lessons are passed; see "Grants and resets"."""


class Interaction(AppendOnlyModel):
    """The columns of a row of the ledger; see docs/architecture.md, "Ledger".

    Ids are public ids, not foreign keys: rows stay when their content is deleted.
    """

    seq = models.PositiveBigIntegerField(
        _("position"), help_text=_("1, 2, 3 … in the player's ledger.")
    )
    type = models.CharField(_("what"), max_length=20, choices=InteractionType.choices)
    reference_id = ExactCharField(
        _("about"), max_length=ID_MAX_LENGTH, help_text=_("A lesson's id, usually.")
    )
    subject_id = ExactCharField(_("subject"), max_length=ID_MAX_LENGTH, blank=True)
    bit_index = models.PositiveIntegerField(_("progress bit"), null=True, blank=True)
    hearts = models.PositiveSmallIntegerField(
        _("hearts"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(5)],
    )
    xp = models.IntegerField(_("XP"), default=0)
    data = models.JSONField(_("details"), default=dict, blank=True)
    day = models.DateField(
        _("streak day"),
        null=True,
        blank=True,
        help_text=_("The date when it was done; what staff correct has none."),
    )
    last_day = models.DateField(
        _("last day"),
        null=True,
        blank=True,
        help_text=_("Of days off, which begin with the streak day."),
    )
    freezes = models.SmallIntegerField(
        _("streak freezes"),
        default=0,
        db_default=0,
        help_text=_("How many more, or fewer, the player has with this row."),
    )
    event_id = models.CharField(
        _("event id"),
        max_length=64,
        help_text=_("The SHA-256 of the client's key, or the server's own id."),
    )
    """Hashed, because keys are exact and a database may compare text without case."""
    device_id = models.UUIDField(_("device"), null=True, blank=True)
    device_seq = models.PositiveBigIntegerField(
        _("position on the device"), null=True, blank=True
    )
    device_time = models.DateTimeField(
        _("when, by the device's clock"), null=True, blank=True
    )
    best_hearts = models.PositiveSmallIntegerField(
        _("best hearts"),
        null=True,
        blank=True,
        help_text=_("Of this lesson in all subjects, with this row."),
    )
    first_of = ExactCharField(
        max_length=ID_MAX_LENGTH,
        null=True,
        blank=True,
        editable=False,
    )
    """The lesson's id if this was its first completion, else NULL."""
    occurred_at = models.DateTimeField(
        _("when"), help_text=_("The corrected time of the device.")
    )
    received_at = models.DateTimeField(_("received"))

    class Meta(AppendOnlyModel.Meta):
        abstract = True

    def __str__(self) -> str:
        return f"{self.get_type_display()}: {self.reference_id}"


class InteractionLog(Interaction):
    """One row of the ledger that is not archived."""

    player = models.ForeignKey(
        PlayerProfile,
        models.CASCADE,
        related_name="interactions",
        verbose_name=_("player"),
        db_index=False,  # the constraint on the position is its index
    )

    class Meta(Interaction.Meta):
        abstract = False
        verbose_name = _("interaction")
        verbose_name_plural = _("interactions")
        ordering = ["-received_at", "-pk"]
        constraints = [
            # A row is decided on exactly the rows before it.
            models.UniqueConstraint(
                fields=["player", "seq"], name="progress_position_once"
            ),
            # A repeated request is recorded once.
            models.UniqueConstraint(
                fields=["player", "event_id"], name="progress_event_once"
            ),
            # A lesson that moved to another subject, where it has a new bit without
            # progress, is not paid as a first completion again.
            models.UniqueConstraint(
                fields=["player", "first_of"], name="progress_first_completion_once"
            ),
            models.CheckConstraint(
                condition=Q(hearts__isnull=True) | Q(hearts__lte=5),
                name="progress_at_most_five_hearts",
            ),
        ]
        indexes = [
            # Who has played lately: reconciliation and write-back.
            models.Index(fields=["received_at"], name="progress_received"),
            # The days of the streak, and the repeats of a lesson on a day.
            models.Index(fields=["player", "day"], name="progress_player_day"),
        ]
