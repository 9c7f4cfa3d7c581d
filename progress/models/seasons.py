"""Opened and closed seasons: their rows, and what each player has up to there.

See docs/architecture.md, "Seasons". `Baseline` and `BaselineSubject` are computed from a
player's archived rows, and written in the transaction that archives them.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from content.kinds import ID_MAX_LENGTH
from core.fields import ExactCharField
from plans.models import Season
from players.models import PlayerProfile
from progress.models.ledger import Interaction
from progress.models.reviews import Rating, ReviewCard


class ClosedSeason(models.Model):
    """A season whose rows are archived, or are being archived."""

    season = models.OneToOneField(
        Season, models.PROTECT, primary_key=True, verbose_name=_("season")
    )
    until = models.DateTimeField(
        _("until"), help_text=_("Rows received before this time are archived.")
    )
    started_at = models.DateTimeField(_("closed"))
    finished_at = models.DateTimeField(_("archived"), null=True, blank=True)

    class Meta:
        verbose_name = _("closed season")
        verbose_name_plural = _("closed seasons")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.season)


class OpenedSeason(models.Model):
    """A season that was opened, or is being opened, and what students kept."""

    season = models.OneToOneField(
        Season, models.PROTECT, primary_key=True, verbose_name=_("season")
    )
    carries = models.JSONField(_("what students keep"), default=list)
    started_at = models.DateTimeField(_("opened"))
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("opened season")
        verbose_name_plural = _("opened seasons")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.season)


class ArchivedInteraction(Interaction):
    """An archived row of the ledger. Its event id is known for ever."""

    player = models.ForeignKey(
        PlayerProfile,
        models.CASCADE,
        related_name="+",
        verbose_name=_("player"),
        db_index=False,  # the constraint on the position is its index
    )
    # No index, because the archive is read by player.
    season = models.ForeignKey(
        ClosedSeason,
        models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )

    class Meta(Interaction.Meta):
        abstract = False
        verbose_name = _("archived interaction")
        verbose_name_plural = _("archived interactions")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["player", "seq"], name="progress_archived_position_once"
            ),
            # What was answered to an event is found for ever.
            models.UniqueConstraint(
                fields=["player", "event_id"], name="progress_archived_event_once"
            ),
            # A lesson is not paid as a first completion again.
            models.UniqueConstraint(
                fields=["player", "first_of"], name="progress_archived_first_once"
            ),
        ]
        indexes = [
            # The repeats of a lesson on a day.
            models.Index(fields=["player", "day"], name="progress_archived_day"),
        ]


class ArchivedRating(Rating):
    """An archived row of the log of ratings. Its card stays, with the memory."""

    player = models.ForeignKey(
        PlayerProfile,
        models.CASCADE,
        related_name="+",
        verbose_name=_("player"),
        db_index=False,  # the constraint on the position is its index
    )
    card = models.ForeignKey(
        ReviewCard, models.RESTRICT, related_name="+", verbose_name=_("card")
    )
    season = models.ForeignKey(
        ClosedSeason,
        models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )

    class Meta(Rating.Meta):
        abstract = False
        verbose_name = _("archived rating")
        verbose_name_plural = _("archived ratings")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["player", "position"], name="progress_archived_rating_once"
            ),
            models.UniqueConstraint(
                fields=["player", "idempotency_key"],
                name="progress_archived_key_once",
            ),
        ]
        indexes = [
            # Whether a late rating begins a session.
            models.Index(
                fields=["player", "reviewed_at"], name="progress_archived_reviews"
            ),
        ]


class Baseline(models.Model):
    """What the archived rows of a player's ledger add to the wallet."""

    player = models.OneToOneField(
        PlayerProfile, models.CASCADE, primary_key=True, related_name="+"
    )
    seq = models.PositiveBigIntegerField()
    days = models.TextField(blank=True)
    """The sums of each day, as JSON; see `progress.services.ledger`."""

    class Meta:
        verbose_name = _("baseline of a player")
        verbose_name_plural = _("baselines of players")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.player_id)


class BaselineSubject(models.Model):
    """A player's progress in a subject, from the archived rows."""

    player = models.ForeignKey(
        PlayerProfile,
        models.CASCADE,
        related_name="+",
        db_index=False,  # the constraint is its index
    )
    subject_id = ExactCharField(max_length=ID_MAX_LENGTH)
    seq = models.PositiveBigIntegerField()
    """The position of the last archived row of `PROGRESS_TYPES`; 0 without one,"""
    last_seq = models.PositiveBigIntegerField()
    """and of the last archived row of any type."""
    progress_bitmap = models.TextField(blank=True)
    """Redis's bytes, as Base64;"""
    hearts = models.TextField(blank=True)
    """so are these."""
    xp = models.BigIntegerField()
    last_played_at = models.DateTimeField(null=True)
    last_played_bit = models.PositiveIntegerField(null=True)

    class Meta:
        verbose_name = _("baseline of a subject")
        verbose_name_plural = _("baselines of subjects")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["player", "subject_id"], name="progress_baseline_subject_once"
            )
        ]

    def __str__(self) -> str:
        return str(self.subject_id)
