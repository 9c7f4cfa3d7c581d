"""The audit trail."""

from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import statement_guard
from core.append_only import AppendOnlyModel, AppendOnlyQuerySet
from players.models.accounts import User

_BATCH = 10_000
"""Rows that one statement deletes: a second, so that replicas and locks keep up."""


class SecurityEventType(models.TextChoices):
    LOGIN = "login", _("signed in")
    LOGOUT = "logout", _("signed out")
    REFUSED = "refused", _("sign-in refused")
    SESSION_ENDED = "session_ended", _("session ended")
    DEVICE_ADDED = "device_added", _("device added")
    DEVICE_REMOVED = "device_removed", _("device removed")
    DEVICE_REPLACED = "device_replaced", _("device replaced")
    RATE_LIMITED = "rate_limited", _("too many requests")
    STAFF_LOGIN = "staff_login", _("signed in to the admin")
    STAFF_LOGIN_FAILED = "staff_login_failed", _("sign-in to the admin failed")
    STAFF_LOGOUT = "staff_logout", _("signed out of the admin")
    ACCOUNT_ACTIVATED = "account_activated", _("account switched on")
    ACCOUNT_DEACTIVATED = "account_deactivated", _("account switched off")
    PASSWORD_CHANGED = "password_changed", _("password changed")
    RESET_REQUESTED = "reset_requested", _("password reset requested")
    RESET_CODE_ISSUED = "reset_code_issued", _("password reset code issued")
    PASSWORD_RESET = "password_reset", _("password reset")
    EMAIL_CHANGED = "email_changed", _("e-mail changed")
    RIGHTS_CHANGED = "rights_changed", _("rights changed")
    ENROLLMENT_ADDED = "enrollment_added", _("enrolment added")
    ENROLLMENT_CHANGED = "enrollment_changed", _("enrolment changed")
    ENROLLMENT_REMOVED = "enrollment_removed", _("enrolment removed")
    ENTITLEMENT_ADDED = "entitlement_added", _("entitlement added")
    ENTITLEMENT_CHANGED = "entitlement_changed", _("entitlement changed")
    ENTITLEMENT_REMOVED = "entitlement_removed", _("entitlement removed")
    PLAN_ACTIVATED = "plan_activated", _("plan chosen")
    WALLET_CORRECTED = "wallet_corrected", _("XP corrected")
    FREEZES_GIVEN = "freezes_given", _("streak freezes given")
    PROGRESS_GRANTED = "progress_granted", _("progress granted")
    PROGRESS_RESET = "progress_reset", _("progress reset")
    WALLETS_SYNCED = "wallets_synced", _("wallets saved")
    PLAYER_CREATED = "player_created", _("student created")
    PLAYER_CHANGED = "player_changed", _("student changed")
    SLIP_PRINTED = "slip_printed", _("sign-in slip printed")
    PLAYER_ERASED = "player_erased", _("student erased")
    PLAYER_EXPORTED = "player_exported", _("student exported")
    PHOTO_CHANGED = "photo_changed", _("photo changed")
    PHOTO_REMOVED = "photo_removed", _("photo removed")
    EVENTS_EXPORTED = "events_exported", _("security events exported")


class SecurityEventQuerySet(AppendOnlyQuerySet):
    """Rows are added and read; only `expire` deletes them."""

    def expire(self, *, before: datetime) -> int:
        """Delete those of these rows that are older than ``before``, in batches.

        After an error the batches before it stay deleted: call it again.

        Returns:
            How many were deleted.
        """
        deleted = 0
        oldest = self.filter(created_at__lt=before).order_by("created_at")
        while keys := list(oldest.values_list("pk", flat=True)[:_BATCH]):
            rows: models.QuerySet[Any] = models.QuerySet(self.model, using=self.db)
            with statement_guard.rewriting():
                deleted += rows.filter(pk__in=keys)._raw_delete(self.db)
        return deleted

    expire.alters_data = True  # type: ignore[attr-defined]


class SecurityEvent(AppendOnlyModel):
    """One row of the audit trail; it is never changed."""

    type = models.CharField(_("what"), max_length=20, choices=SecurityEventType.choices)
    user = models.ForeignKey(
        User,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="security_events",
        verbose_name=_("user"),
    )
    actor = models.ForeignKey(
        User,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("done by"),
        help_text=_("The member of staff who did it, if one did."),
    )
    device_id = models.UUIDField(_("device id"), null=True, blank=True)
    ip_address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    details = models.JSONField(_("details"), default=dict, blank=True)
    created_at = models.DateTimeField(_("when"), auto_now_add=True, db_index=True)

    objects: ClassVar[Any] = SecurityEventQuerySet.as_manager()

    class Meta(AppendOnlyModel.Meta):
        verbose_name = _("security event")
        verbose_name_plural = _("security events")
        ordering = ["-created_at", "-pk"]
        permissions = [("export_securityevent", _("Can export security events"))]
        indexes = [
            # The events of one type in a period: refused sign-ins, the list's filter.
            models.Index(fields=["type", "created_at"], name="players_event_type"),
            # The newest events of an account, of a member of staff, and of what the
            # list's search finds; without them, a search reads every event.
            models.Index(fields=["user", "created_at"], name="players_event_user"),
            models.Index(fields=["actor", "created_at"], name="players_event_actor"),
            models.Index(
                fields=["ip_address", "created_at"], name="players_event_address"
            ),
            models.Index(
                fields=["device_id", "created_at"], name="players_event_device"
            ),
        ]

    def __str__(self) -> str:
        return self.get_type_display()
