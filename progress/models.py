"""The ledger of what players did, its snapshots, review cards and their ratings."""

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
    XP_CORRECTED = "xp_corrected", _("XP corrected")


class InteractionLog(AppendOnlyModel):
    """One row of the ledger; see docs/architecture.md, "Ledger".

    Ids are public ids, not foreign keys: rows stay when their content is deleted.
    """

    player = models.ForeignKey(
        PlayerProfile,
        models.CASCADE,
        related_name="interactions",
        verbose_name=_("player"),
        db_index=False,  # the constraint on the position is its index
    )
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
        help_text=_("The date when it was done; a correction has none."),
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

    def __str__(self) -> str:
        return f"{self.get_type_display()}: {self.reference_id}"


class StructureProgress(models.Model):
    """A snapshot of a player's progress in a subject, as last written from Redis."""

    player = models.ForeignKey(
        PlayerProfile,
        models.CASCADE,
        related_name="structure_progress",
        verbose_name=_("player"),
    )
    subject_id = ExactCharField(_("subject"), max_length=ID_MAX_LENGTH)
    progress_bitmap = models.TextField(
        _("bitmap"), blank=True, help_text=_("Redis's own bytes, as Base64.")
    )
    best_hearts = models.JSONField(
        _("best hearts"),
        default=dict,
        blank=True,
        help_text=_("By progress bit."),
    )
    total_xp_earned = models.PositiveBigIntegerField(_("XP"), default=0)
    passed_lessons = models.PositiveIntegerField(_("lessons passed"), default=0)
    seq = models.PositiveBigIntegerField(
        _("position"), default=0, help_text=_("In the player's ledger.")
    )
    last_synced_at = models.DateTimeField(_("written back"))

    class Meta:
        verbose_name = _("subject progress")
        verbose_name_plural = _("subject progress")
        constraints = [
            models.UniqueConstraint(
                fields=["player", "subject_id"],
                name="progress_one_snapshot_per_subject",
            )
        ]

    def __str__(self) -> str:
        return str(self.subject_id)


class ReviewCard(models.Model):
    """An item that a player has met, with its FSRS memory state.

    The memory is a projection of the card's ratings in time order (`ReviewRating`).
    See docs/architecture.md, "Reviews".
    """

    player = models.ForeignKey(
        PlayerProfile,
        models.CASCADE,
        related_name="review_cards",
        verbose_name=_("player"),
        db_index=False,  # the constraint is its index
    )
    item_id = ExactCharField(_("item"), max_length=ID_MAX_LENGTH)
    lesson_id = ExactCharField(
        _("lesson"),
        max_length=ID_MAX_LENGTH,
        help_text=_("Where the item is published, or was last."),
    )
    subject_id = ExactCharField(_("subject"), max_length=ID_MAX_LENGTH)
    is_active = models.BooleanField(
        _("active"),
        default=False,
        help_text=_(
            "The item is in the release of the player's plan, and the player may open "
            "its lesson."
        ),
    )
    met_at = models.DateTimeField(
        _("met"), help_text=_("When its lesson was completed for the first time.")
    )
    state = models.JSONField(_("memory"), help_text=_("The FSRS card."))
    due_at = models.DateTimeField(_("due"))
    last_reviewed_at = models.DateTimeField(_("last review"), null=True, blank=True)

    class Meta:
        verbose_name = _("review card")
        verbose_name_plural = _("review cards")
        constraints = [
            # Meeting an item again does not reset its memory.
            models.UniqueConstraint(
                fields=["player", "item_id", "lesson_id"], name="progress_one_card"
            )
        ]
        indexes = [
            # The list of due items: of all subjects, and of one.
            models.Index(fields=["player", "is_active", "due_at"], name="progress_due"),
            # The overview reads only this index, too.
            models.Index(
                fields=["player", "is_active", "subject_id", "due_at"],
                name="progress_due_in_subject",
            ),
        ]

    def __str__(self) -> str:
        return str(self.item_id)


class ReviewRating(AppendOnlyModel):
    """One answer to a card: a row of the player's log of ratings.

    Ids are public ids, as the app sent them; the card may have moved since.
    """

    player = models.ForeignKey(
        PlayerProfile,
        models.CASCADE,
        related_name="review_ratings",
        verbose_name=_("player"),
        db_index=False,  # the constraint on the position is its index
    )
    position = models.PositiveBigIntegerField(
        _("position"), help_text=_("1, 2, 3 … in the player's log of ratings.")
    )
    # Not CASCADE: ratings are the source that cards are computed from.
    card = models.ForeignKey(
        ReviewCard,
        models.RESTRICT,
        related_name="ratings",
        verbose_name=_("card"),
        db_index=False,
    )
    item_id = ExactCharField(_("item"), max_length=ID_MAX_LENGTH)
    lesson_id = ExactCharField(_("lesson"), max_length=ID_MAX_LENGTH)
    subject_id = ExactCharField(_("subject"), max_length=ID_MAX_LENGTH)
    rating = models.PositiveSmallIntegerField(
        _("rating"),
        validators=[MinValueValidator(1), MaxValueValidator(4)],
        help_text=_("1 again, 2 hard, 3 good, 4 easy."),
    )
    reviewed_at = models.DateTimeField(
        _("answered"), help_text=_("As the app says, but not before the item was met.")
    )
    received_at = models.DateTimeField(_("received"))
    device_id = models.UUIDField(_("device"), null=True, blank=True)
    device_seq = models.PositiveBigIntegerField(
        _("position on the device"), null=True, blank=True
    )
    device_time = models.DateTimeField(
        _("when, by the device's clock"), null=True, blank=True
    )
    idempotency_key = models.CharField(  # noqa: DJ001 - NULL is never a duplicate
        _("idempotency key (SHA-256)"),
        max_length=64,
        null=True,
        blank=True,
    )
    """The key of a request, on its first row, or of an event. Hashed as in the ledger."""
    batch = models.JSONField(
        _("batch"),
        null=True,
        blank=True,
        help_text=_("With a key: the fingerprint of the request, and its answer."),
    )

    class Meta(AppendOnlyModel.Meta):
        verbose_name = _("rating")
        verbose_name_plural = _("ratings")
        ordering = ["-pk"]
        constraints = [
            # A batch is decided on exactly the ratings before it.
            models.UniqueConstraint(
                fields=["player", "position"], name="progress_rating_position_once"
            ),
            # A repeated batch is recorded once.
            models.UniqueConstraint(
                fields=["player", "idempotency_key"],
                name="progress_rating_key_once",
            ),
            models.CheckConstraint(
                condition=Q(rating__gte=1, rating__lte=4),
                name="progress_rating_of_four",
            ),
        ]
        indexes = [
            # A card's history in the order in which it is replayed.
            models.Index(
                fields=["card", "reviewed_at", "position"],
                name="progress_card_history",
            ),
            # Who has failed an item lately: the statistics of questions.
            models.Index(fields=["rating", "received_at"], name="progress_rated_at"),
        ]

    def __str__(self) -> str:
        return f"{self.item_id}: {self.rating}"


class ReviewWatermark(models.Model):
    """How far a player's cards follow the ledger and the published items."""

    player = models.OneToOneField(
        PlayerProfile,
        models.CASCADE,
        primary_key=True,
        related_name="review_watermark",
        verbose_name=_("player"),
    )
    ledger_position = models.PositiveBigIntegerField(
        _("position in the ledger"),
        default=0,
        help_text=_("Completions up to here have their cards."),
    )
    items_version = models.CharField(
        _("items"),
        max_length=64,
        blank=True,
        help_text=_("The published items and products that the cards follow."),
    )

    class Meta:
        verbose_name = _("review watermark")
        verbose_name_plural = _("review watermarks")

    def __str__(self) -> str:
        return str(self.player_id)


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


class PlayerLesson(models.Model):
    """What a player did in a lesson, counted from the ledger.

    Its player is counted in `LessonStatistics` with exactly these values; see
    docs/architecture.md, "Statistics of lessons".
    """

    player = models.ForeignKey(
        PlayerProfile,
        models.CASCADE,
        related_name="+",
        db_index=False,  # the constraint is its index
    )
    lesson_id = ExactCharField(max_length=ID_MAX_LENGTH)
    plan_number = models.PositiveBigIntegerField(default=0)
    """The primary key of the plan that was active when the lesson was counted first;
    0 without one. Not a foreign key: the plan may be deleted."""
    attempts = models.PositiveIntegerField()
    completions = models.PositiveIntegerField()
    """The attempts that were not failed,"""
    hearts = models.PositiveIntegerField()
    """and the sum of their hearts."""
    first_at = models.DateTimeField()
    passed_at = models.DateTimeField(null=True)
    pace = models.PositiveSmallIntegerField()
    """A `progress.lesson_counts.Pace`: the time from the first attempt to the pass."""

    class Meta:
        verbose_name = _("lesson of a player")
        verbose_name_plural = _("lessons of players")
        default_permissions = ()
        constraints = [
            # A player is counted once in a lesson. The statistics of a class read the
            # members' rows by this index.
            models.UniqueConstraint(
                fields=["player", "lesson_id"], name="progress_lesson_counted_once"
            )
        ]

    def __str__(self) -> str:
        return str(self.lesson_id)


class PlayerQuestion(models.Model):
    """An item that a player has failed in reviews, counted from the log of ratings.

    Items that were never failed have no row: that keeps the table small.
    """

    player = models.ForeignKey(
        PlayerProfile,
        models.CASCADE,
        related_name="+",
        db_index=False,  # the constraint is its index
    )
    lesson_id = ExactCharField(max_length=ID_MAX_LENGTH)
    item_id = ExactCharField(max_length=ID_MAX_LENGTH)
    plan_number = models.PositiveBigIntegerField(default=0)
    failures = models.PositiveIntegerField()

    class Meta:
        verbose_name = _("failed question of a player")
        verbose_name_plural = _("failed questions of players")
        default_permissions = ()
        constraints = [
            # A player is counted once in a question.
            models.UniqueConstraint(
                fields=["player", "lesson_id", "item_id"],
                name="progress_question_counted_once",
            )
        ]

    def __str__(self) -> str:
        return str(self.item_id)


class LessonStatistics(models.Model):
    """The sums of `PlayerLesson` for a lesson and a plan; no student is named."""

    lesson_id = ExactCharField(max_length=ID_MAX_LENGTH)
    plan_number = models.PositiveBigIntegerField(default=0)
    started = models.PositiveBigIntegerField(default=0)
    """Players with an attempt;"""
    passed = models.PositiveBigIntegerField(default=0)
    """of these, those who passed, and how soon after their first attempt:"""
    at_once = models.PositiveBigIntegerField(default=0)
    in_hour = models.PositiveBigIntegerField(default=0)
    in_day = models.PositiveBigIntegerField(default=0)
    in_week = models.PositiveBigIntegerField(default=0)
    attempts = models.PositiveBigIntegerField(default=0)
    completions = models.PositiveBigIntegerField(default=0)
    hearts = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("statistics of a lesson")
        verbose_name_plural = _("statistics of lessons")
        default_permissions = ("view",)
        constraints = [
            # One row to add to.
            models.UniqueConstraint(
                fields=["lesson_id", "plan_number"], name="progress_lesson_plan_once"
            )
        ]

    def __str__(self) -> str:
        return str(self.lesson_id)


class QuestionStatistics(models.Model):
    """The sums of `PlayerQuestion` for an item of a lesson and a plan."""

    lesson_id = ExactCharField(max_length=ID_MAX_LENGTH)
    item_id = ExactCharField(max_length=ID_MAX_LENGTH)
    plan_number = models.PositiveBigIntegerField(default=0)
    failures = models.PositiveBigIntegerField(default=0)
    """Answers that were rated 1, “again”,"""
    players = models.PositiveBigIntegerField(default=0)
    """and by how many players."""

    class Meta:
        verbose_name = _("statistics of a question")
        verbose_name_plural = _("statistics of questions")
        default_permissions = ()
        constraints = [
            # One row to add to.
            models.UniqueConstraint(
                fields=["lesson_id", "item_id", "plan_number"],
                name="progress_question_plan_once",
            )
        ]

    def __str__(self) -> str:
        return str(self.item_id)


class StatisticsWatermark(models.Model):
    """How far a player's ledger and ratings are counted in the statistics."""

    player = models.OneToOneField(
        PlayerProfile, models.CASCADE, primary_key=True, related_name="+"
    )
    ledger_position = models.PositiveBigIntegerField(default=0)
    ratings_position = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("statistics watermark")
        verbose_name_plural = _("statistics watermarks")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.player_id)
