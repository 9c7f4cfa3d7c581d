"""The snapshots of wallets, and the runs that write them."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from players.models.accounts import PlayerProfile


class PlayerWallet(models.Model):
    """A snapshot of XP, streak and freezes; see docs/architecture.md, "Ledger"."""

    player = models.OneToOneField(
        PlayerProfile, models.CASCADE, primary_key=True, related_name="wallet"
    )
    total_xp = models.PositiveBigIntegerField(_("XP"), default=0)
    current_streak = models.PositiveIntegerField(_("streak (days)"), default=0)
    last_success_date = models.DateField(_("last success"), null=True, blank=True)
    last_played_at = models.DateTimeField(_("last played"), null=True, blank=True)
    freezes = models.PositiveIntegerField(_("streak freezes"), default=0, db_default=0)
    seq = models.PositiveBigIntegerField(
        _("position"), default=0, help_text=_("In the player's ledger.")
    )

    class Meta:
        verbose_name = _("wallet")
        verbose_name_plural = _("wallets")
        permissions = [
            ("correct_playerwallet", _("Can give and take XP")),
            ("give_freezes_playerwallet", _("Can give streak freezes")),
        ]
        constraints = [
            # XP and streak are never negative.
            models.CheckConstraint(
                condition=Q(total_xp__gte=0, current_streak__gte=0),
                name="players_wallet_not_negative",
            )
        ]

    def __str__(self) -> str:
        return f"{self.total_xp} XP"


class WriteBackRun(models.Model):
    """The last run of one kind of write-back, or of reconciliation.

    See `players.write_back`.
    """

    kind = models.CharField(max_length=20, primary_key=True)
    complete_until = models.DateTimeField(null=True)
    """Every change that was received before this time was handled by a run without
    errors; NULL before the first one."""
    written = models.PositiveIntegerField(default=0)
    """How many rows or records the last run wrote or deleted;"""
    errors = models.PositiveIntegerField(default=0)
    """and how many it could not."""

    def __str__(self) -> str:
        return str(self.kind)
