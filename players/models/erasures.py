"""The erasures of students."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from players.models.accounts import User


class Erasure(models.Model):
    """The erasure of a student (`players.services.erasure`): numbers, no name."""

    player_number = models.PositiveBigIntegerField(_("player number"), unique=True)
    user_number = models.PositiveBigIntegerField(_("account number"))
    actor = models.ForeignKey(
        User,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("done by"),
    )
    keeps_ledger = models.BooleanField(_("ledger pseudonymised"))
    photo = models.CharField(max_length=100, blank=True, editable=False)
    """The file to delete; "" after its deletion."""
    subject_ids = models.JSONField(default=list, editable=False)
    """Subjects whose progress Redis may hold."""
    erased_at = models.DateTimeField(_("when"))
    remaining = models.JSONField(_("remaining steps"), default=list)
    """Names of the steps of `players.services.erasure` that have failed."""
    finished_at = models.DateTimeField(_("finished"), null=True, db_index=True)

    class Meta:
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")
        ordering = ["-erased_at", "-pk"]

    def __str__(self) -> str:
        return f"#{self.player_number}"
