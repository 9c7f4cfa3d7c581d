"""Review cards, the log of their ratings, and how far cards follow the ledger."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from content.kinds import ID_MAX_LENGTH
from core.append_only import AppendOnlyModel
from core.fields import ExactCharField
from players.models import PlayerProfile


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
    due_at = models.DateTimeField(
        _("due"), help_text=_("As its memory says, but not before it is buried until.")
    )
    last_reviewed_at = models.DateTimeField(_("last review"), null=True, blank=True)
    failures = models.PositiveIntegerField(
        _("failures"), default=0, help_text=_("How many of its ratings were “again”.")
    )
    buried_until = models.DateTimeField(
        _("buried until"),
        null=True,
        blank=True,
        help_text=_("It is not due before, whatever its memory says."),
    )

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
                fields=[
                    *("player", "is_active", "subject_id", "due_at"),
                    *("last_reviewed_at", "failures"),
                ],
                name="progress_due_in_subject",
            ),
        ]

    def __str__(self) -> str:
        return str(self.item_id)


class Rating(AppendOnlyModel):
    """The columns of an answer to a card, or of its burial.

    Ids are public ids, as the app sent them; the card may have moved since.
    """

    position = models.PositiveBigIntegerField(
        _("position"), help_text=_("1, 2, 3 … in the player's log of ratings.")
    )
    item_id = ExactCharField(_("item"), max_length=ID_MAX_LENGTH)
    lesson_id = ExactCharField(_("lesson"), max_length=ID_MAX_LENGTH)
    subject_id = ExactCharField(_("subject"), max_length=ID_MAX_LENGTH)
    rating = models.PositiveSmallIntegerField(
        _("rating"),
        validators=[MinValueValidator(0), MaxValueValidator(4)],
        help_text=_("1 again, 2 hard, 3 good, 4 easy; 0 buried until the next day."),
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
        abstract = True

    def __str__(self) -> str:
        return f"{self.item_id}: {self.rating}"


class ReviewRating(Rating):
    """A row of the player's log of ratings that is not archived."""

    player = models.ForeignKey(
        PlayerProfile,
        models.CASCADE,
        related_name="review_ratings",
        verbose_name=_("player"),
        db_index=False,  # the constraint on the position is its index
    )
    # Not CASCADE: ratings are the source that cards are computed from.
    card = models.ForeignKey(
        ReviewCard,
        models.RESTRICT,
        related_name="ratings",
        verbose_name=_("card"),
        db_index=False,
    )

    class Meta(Rating.Meta):
        abstract = False
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
                condition=Q(rating__lte=4), name="progress_rating_known"
            ),
        ]
        indexes = [
            # A card's history in the order in which it is replayed.
            models.Index(
                fields=["card", "reviewed_at", "position"],
                name="progress_card_history",
            ),
            # Whether a rating begins a session.
            models.Index(
                fields=["player", "reviewed_at"], name="progress_player_reviews"
            ),
            # Who has failed an item lately: the statistics of questions.
            models.Index(fields=["rating", "received_at"], name="progress_rated_at"),
        ]


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
