"""Snapshots of progress, written back from Redis."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from content.kinds import ID_MAX_LENGTH
from core.fields import ExactCharField
from players.models import PlayerProfile


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
        permissions = [("correct_structureprogress", _("Can grant and reset progress"))]
        constraints = [
            models.UniqueConstraint(
                fields=["player", "subject_id"],
                name="progress_one_snapshot_per_subject",
            )
        ]

    def __str__(self) -> str:
        return str(self.subject_id)
