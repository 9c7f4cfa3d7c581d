"""What is known of the peers' state."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import ExactCharField
from registrar.models.rows import ID_LENGTH


class PeerState(models.Model):
    """The circuit breaker of a peer (`registrar.breakers`), and what it was last found
    to lack (`registrar.upkeep`)."""

    peer = models.CharField(_("system"), max_length=10, unique=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    needs_staff = models.BooleanField(_("refuses our account"), default=False)
    """Whether the last failure was one that only staff can solve."""
    open_until = models.DateTimeField(_("paused until"), null=True)
    last_error = models.TextField(_("last error"), default="", blank=True)
    failed_at = models.DateTimeField(_("last failure"), null=True)
    missing_names = models.JSONField(_("missing fields"), default=dict, blank=True)
    """Zoho: api names that the mapping reads and the CRM lacks, by module."""
    names_checked_at = models.DateTimeField(_("fields checked"), null=True)
    channel_expires_at = models.DateTimeField(
        _("notifications arrive until"), null=True
    )
    """Zoho: when its channel of notifications expires; None before the first one."""
    players_losing = models.PositiveIntegerField(null=True, editable=False)
    """Zoho: how many players would lose something by their registrations, if these were so
    many that the last run did nothing (`registrar.player_access`)."""
    newest_account = models.PositiveBigIntegerField(default=0, editable=False)
    """Moodle: the highest id of an account that was read."""
    accounts_read_at = models.DateTimeField(_("accounts read"), null=True)

    class Meta:
        verbose_name = _("state of a system")
        verbose_name_plural = _("states of the systems")

    def __str__(self) -> str:
        return self.peer


class UnlinkedAccount(models.Model):
    """An account in Moodle that belongs to no student and no teacher of the mirror.

    It has the account's id alone: who it is, Moodle says.
    """

    class Reason(models.TextChoices):
        """Why an account belongs to nobody here."""

        UNKNOWN = "unknown", _("no student or teacher has its number or address")
        LINKING = "linking", _("is being linked; if it stays, see the timeline")
        TAKEN = "taken", _("its student or teacher has another account")

    moodle_id = models.PositiveBigIntegerField(_("Moodle id"), unique=True)
    found_at = models.DateTimeField(_("found"))
    reason = models.CharField(_("reason"), max_length=10, choices=Reason.choices)
    module = models.CharField(_("module"), max_length=40, default="", blank=True)
    record_id = ExactCharField(
        _("Zoho id"), max_length=ID_LENGTH, default="", blank=True
    )
    """The record with its number or address; "" for none."""

    class Meta:
        verbose_name = _("account in Moodle without a record")
        verbose_name_plural = _("accounts in Moodle without a record")

    def __str__(self) -> str:
        return str(self.moodle_id)
