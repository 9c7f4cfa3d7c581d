"""What is known of the peers' state."""

from django.db import models
from django.utils.translation import gettext_lazy as _


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

    class Meta:
        verbose_name = _("state of a system")
        verbose_name_plural = _("states of the systems")

    def __str__(self) -> str:
        return self.peer
