"""Requests of the staff API that are executed once."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from players.models.accounts import User


class StaffRequest(models.Model):
    """A request of the staff API that was sent with an Idempotency-Key, and its answer.

    `players.services.staff_requests` writes and reads the rows.
    """

    owner = models.ForeignKey(User, models.CASCADE, related_name="+")
    key_hash = models.CharField(max_length=64)
    request_hash = models.CharField(max_length=64)
    """Of method, path and body."""
    status = models.PositiveSmallIntegerField(default=0)
    answer = models.JSONField(null=True)
    """Without passwords."""
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("request of the staff API")
        verbose_name_plural = _("requests of the staff API")
        default_permissions = ()
        constraints = [
            # The second of two requests that are sent at once waits for the first.
            models.UniqueConstraint(
                fields=["owner", "key_hash"], name="players_staff_key_once"
            )
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
