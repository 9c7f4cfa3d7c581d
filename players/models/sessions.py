"""Devices, sessions, and the codes for new passwords."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from plans.models import Season
from players.models.accounts import PlayerProfile
from players.models.cached_rows import SignInQuerySet

DEVICE_SLOTS = (1, 2)


class Device(models.Model):
    """A device that a player may sign in from, in one of two slots."""

    player = models.ForeignKey(PlayerProfile, models.CASCADE, related_name="devices")
    slot = models.PositiveSmallIntegerField(
        _("slot"), validators=[MinValueValidator(1), MaxValueValidator(2)]
    )
    device_id = models.UUIDField(_("device id"))
    name = models.CharField(_("name"), max_length=100, blank=True)
    added_at = models.DateTimeField(_("added"), auto_now_add=True)

    objects = SignInQuerySet.as_manager()

    class Meta:
        verbose_name = _("device")
        verbose_name_plural = _("devices")
        ordering = ["slot"]
        constraints = [
            # Two slots: concurrent requests cannot add a third device.
            models.CheckConstraint(
                condition=Q(slot__in=DEVICE_SLOTS), name="players_two_device_slots"
            ),
            models.UniqueConstraint(
                fields=["player", "slot"],
                name="players_one_device_per_slot",
                violation_error_message=_("This slot is taken."),
            ),
            models.UniqueConstraint(
                fields=["player", "device_id"],
                name="players_device_once_per_player",
                violation_error_message=_("This device is already authorised."),
            ),
        ]

    def __str__(self) -> str:
        return self.name or str(self.device_id)


class DeviceReplacement(models.Model):
    """A device that a player replaced without staff; they are counted per season."""

    player = models.ForeignKey(PlayerProfile, models.CASCADE, related_name="+")
    season = models.ForeignKey(Season, models.SET_NULL, null=True, related_name="+")
    """The player's season at that time; None if they had none."""
    replaced_at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("device replacement")
        verbose_name_plural = _("device replacements")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.player)


class Session(models.Model):
    """A player's only session, in the database; Redis holds a copy.

    The token itself is never stored. ``token_sha256`` is 64 hexadecimal digits.
    """

    player = models.OneToOneField(
        # One session per player: a new sign-in replaces the row.
        PlayerProfile,
        models.CASCADE,
        primary_key=True,
        related_name="session",
    )
    token_sha256 = models.CharField(max_length=64, unique=True)
    device = models.ForeignKey(Device, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(_("since"))
    last_used_at = models.DateTimeField(_("last used"), default=timezone.now)
    """Accurate to one hour: `players.services.sessions` writes it once an hour."""

    end_reason = ""
    """A `SessionEndReason` to set before `delete()`. Not a column."""

    objects = SignInQuerySet.as_manager()

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")

    def __str__(self) -> str:
        return str(self.player)


class SessionEndReason(models.TextChoices):
    """Why a session ended; each reason has an error code in the API."""

    REPLACED = "replaced", _("another sign-in")
    SIGNED_OUT = "signed_out", _("signed out")
    IDLE = "idle", _("not used for too long")
    TOO_OLD = "too_old", _("too long since the sign-in")
    DEVICE_REMOVED = "device_removed", _("device removed")
    PASSWORD_CHANGED = "password_changed", _("password changed")
    DEACTIVATED = "deactivated", _("account switched off")
    ENDED_BY_STAFF = "ended_by_staff", _("ended by staff")


class EndedSession(models.Model):
    """A token of an ended session, with the reason."""

    token_sha256 = models.CharField(max_length=64, primary_key=True)
    player = models.ForeignKey(PlayerProfile, models.CASCADE, related_name="+")
    reason = models.CharField(max_length=20, choices=SessionEndReason.choices)
    ended_at = models.DateTimeField(_("when"), auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("ended session")
        verbose_name_plural = _("ended sessions")
        default_permissions = ()

    def __str__(self) -> str:
        return self.get_reason_display()


class PasswordResetCode(models.Model):
    """A code from support with which a player sets a new password; only its hash.

    `players.services.password_resets` issues and judges codes.
    """

    player = models.OneToOneField(
        # One code per player: a new one replaces the row.
        PlayerProfile,
        models.CASCADE,
        primary_key=True,
        related_name="+",
    )
    code_hash = models.CharField(max_length=64)
    attempts_left = models.PositiveSmallIntegerField(_("attempts left"))
    expires_at = models.DateTimeField(_("expires"), db_index=True)

    class Meta:
        verbose_name = _("password reset code")
        verbose_name_plural = _("password reset codes")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.player)
