"""What is known of the peers' state."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class PeerState(models.Model):
    """The circuit breaker of a peer (`registrar.breakers`)."""

    peer = models.CharField(_("system"), max_length=10, unique=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    open_until = models.DateTimeField(_("paused until"), null=True)
    last_error = models.TextField(_("last error"), default="", blank=True)
    failed_at = models.DateTimeField(_("last failure"), null=True)

    class Meta:
        verbose_name = _("state of a system")
        verbose_name_plural = _("states of the systems")

    def __str__(self) -> str:
        return self.peer
