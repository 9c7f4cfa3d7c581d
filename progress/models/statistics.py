"""Statistics of lessons and questions: of each player, and their sums for each plan."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from content.kinds import ID_MAX_LENGTH
from core.fields import ExactCharField
from players.models import PlayerProfile


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
