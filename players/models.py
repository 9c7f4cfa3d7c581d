"""Accounts, and what a player has: devices, a session, plans, items, a wallet."""

import secrets
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, ClassVar, NoReturn

from asgiref.sync import sync_to_async
from django.contrib.auth.models import (
    AbstractBaseUser,
    BaseUserManager,
    PermissionsMixin,
)
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import Q
from django.dispatch import Signal
from django.utils.translation import gettext_lazy as _

from content.fields import ExactCharField, PictureField, validate_item_code
from plans.models import AcademicPlan, Grade, Season, Stream
from players import credentials, signals
from players.errors import AppendOnlyError
from players.fields import CanonicalEmailField


class UserQuerySet(models.QuerySet["User"]):
    """Users; switching many off at once still ends their sessions."""

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            switched_off = (
                list(self.filter(is_active=True).values_list("pk", flat=True))
                if kwargs.get("is_active") is False
                else []
            )
            count = super().update(**kwargs)
            if switched_off:
                signals.users_deactivated.send(sender=User, user_ids=switched_off)
        return count

    update.alters_data = True  # type: ignore[attr-defined]


class UserManager(BaseUserManager["User"]):
    """Makes users by e-mail address."""

    def get_queryset(self) -> UserQuerySet:
        return UserQuerySet(self.model, using=self._db)

    def create_user(
        self, email: str, password: str | None = None, **fields: Any
    ) -> "User":
        """A new user; the address is stored in its canonical form.

        Raises:
            ValueError: no e-mail address was given.
        """
        if not email:
            raise ValueError("an e-mail address is required")
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str, **fields: Any) -> "User":
        """A user who may do everything."""
        return self.create_user(
            email, password, is_staff=True, is_superuser=True, **fields
        )

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """The address in its canonical form (`players.credentials`)."""
        return credentials.canonical_email(email or "")


class User(AbstractBaseUser, PermissionsMixin):
    """An account: a student's, or a member of staff's."""

    email = CanonicalEmailField(_("e-mail"), unique=True)
    full_name = models.CharField(_("name"), max_length=150, blank=True)
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Switch off instead of deleting.")
    )
    is_staff = models.BooleanField(_("may use the admin"), default=False)
    date_joined = models.DateTimeField(_("joined"), auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        ordering = ["email"]

    def __str__(self) -> str:
        return self.full_name or self.email

    def set_password(self, raw_password: str | None) -> None:
        """Hash the canonical form of a password; None makes it unusable."""
        if raw_password is not None:
            raw_password = credentials.canonical_password(raw_password)
        super().set_password(raw_password)

    def check_password(self, raw_password: str | None) -> bool:
        """Whether the password is right, in its canonical form or as it was typed.

        The typed form costs a second hash, and only where it differs. A hash of it is
        replaced by one of the canonical form, which is no change of password.
        """
        if raw_password is None:
            return super().check_password(None)
        canonical, *typed = credentials.password_forms(raw_password)
        if super().check_password(canonical):
            return True
        if not any(super(User, self).check_password(form) for form in typed):
            return False
        self.set_password(raw_password)
        self._password = None
        self.save(update_fields=["password"])
        return True

    async def acheck_password(self, raw_password: str | None) -> bool:
        return await sync_to_async(self.check_password)(raw_password)

    def get_full_name(self) -> str:
        return self.full_name or self.email

    def get_short_name(self) -> str:
        return self.full_name.split(" ")[0] or self.email


class PlayerPartQuerySet(models.QuerySet[Any]):
    """Bulk writes of what Redis holds a copy of, for which Django sends no signal."""

    changed: ClassVar[Signal] = signals.access_changed
    player_path: ClassVar[str] = "player_id"

    def _player_ids(self) -> set[int]:
        return set(self.order_by().values_list(self.player_path, flat=True).distinct())

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            players = self._player_ids()
            if "player" in kwargs:
                players.add(kwargs["player"].pk)
            if "player_id" in kwargs:
                players.add(kwargs["player_id"])
            count = super().update(**kwargs)
            self.changed.send(sender=self.model, player_ids=sorted(players))
        return count

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        with transaction.atomic(using=self.db):
            created = super().bulk_create(objs, *args, **kwargs)
            players = {getattr(made, self.player_path) for made in created} - {None}
            self.changed.send(sender=self.model, player_ids=sorted(players))
        return created


class PlayerQuerySet(PlayerPartQuerySet):
    player_path = "pk"


class SignInQuerySet(PlayerPartQuerySet):
    changed = signals.sign_in_changed


def photo_name(_player: Any, filename: str) -> str:
    """A name for a photo that tells nothing of its player and cannot be guessed.

    Args:
        filename: its suffix is kept; a `PictureField` made it.
    """
    return f"photos/{secrets.token_hex(16)}{PurePath(filename).suffix}"


class PlayerProfile(models.Model):
    """A student as a player; made with its wallet by ``players.services.accounts``."""

    user = models.OneToOneField(
        User, models.CASCADE, related_name="player", verbose_name=_("user")
    )
    grade = models.ForeignKey(
        Grade, models.SET_NULL, null=True, blank=True, verbose_name=_("grade")
    )
    stream = models.ForeignKey(
        Stream, models.SET_NULL, null=True, blank=True, verbose_name=_("stream")
    )
    season = models.ForeignKey(
        Season, models.SET_NULL, null=True, blank=True, verbose_name=_("season")
    )
    active_plan = models.ForeignKey(
        AcademicPlan,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("active plan"),
        help_text=_("The plan the app shows; the player must be enrolled in it."),
    )
    photo = PictureField(_("photo"), upload_to=photo_name, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = PlayerQuerySet.as_manager()

    class Meta:
        verbose_name = _("player")
        verbose_name_plural = _("players")

    def __str__(self) -> str:
        return str(self.user)


class PlayerWallet(models.Model):
    """XP and streak as last written back; the ledger is the truth (DESIGN 7)."""

    player = models.OneToOneField(
        PlayerProfile, models.CASCADE, primary_key=True, related_name="wallet"
    )
    total_xp = models.PositiveBigIntegerField(_("XP"), default=0)
    current_streak = models.PositiveIntegerField(_("streak (days)"), default=0)
    last_success_date = models.DateField(_("last success"), null=True, blank=True)
    last_played_at = models.DateTimeField(_("last played"), null=True, blank=True)

    class Meta:
        verbose_name = _("wallet")
        verbose_name_plural = _("wallets")
        constraints = [
            # XP and streak never go below zero (spec 4).
            models.CheckConstraint(
                condition=Q(total_xp__gte=0, current_streak__gte=0),
                name="players_wallet_not_negative",
            )
        ]

    def __str__(self) -> str:
        return f"{self.total_xp} XP"


DEVICE_SLOTS = (1, 2)


class Device(models.Model):
    """A device a player may sign in from; it holds one of two slots."""

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
            # At most two devices, whatever races: there are two slots.
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


class Session(models.Model):
    """A player's one session; the copy that outlives Redis.

    The token itself is never stored: ``token_sha256`` is 64 hexadecimal digits.
    """

    player = models.OneToOneField(
        # One session per player: the last sign-in replaces the row.
        PlayerProfile,
        models.CASCADE,
        primary_key=True,
        related_name="session",
    )
    token_sha256 = models.CharField(max_length=64, unique=True)
    device = models.ForeignKey(Device, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(_("since"))

    objects = SignInQuerySet.as_manager()

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")

    def __str__(self) -> str:
        return str(self.player)


class Enrollment(models.Model):
    """A player's right to a plan."""

    player = models.ForeignKey(
        PlayerProfile, models.CASCADE, related_name="enrollments"
    )
    plan = models.ForeignKey(
        AcademicPlan,
        models.CASCADE,
        related_name="enrollments",
        verbose_name=_("plan"),
    )
    created_at = models.DateTimeField(_("since"), auto_now_add=True)

    objects = PlayerPartQuerySet.as_manager()

    class Meta:
        verbose_name = _("enrolment")
        verbose_name_plural = _("enrolments")
        constraints = [
            models.UniqueConstraint(
                fields=["player", "plan"],
                name="players_enrolled_once_per_plan",
                violation_error_message=_("The player is enrolled in this plan."),
            )
        ]

    def __str__(self) -> str:
        return str(self.plan)


class Entitlement(models.Model):
    """A player's right to something sold, by its product code."""

    player = models.ForeignKey(
        PlayerProfile, models.CASCADE, related_name="entitlements"
    )
    item = ExactCharField(
        _("product code"), max_length=64, validators=[validate_item_code]
    )
    valid_until = models.DateTimeField(
        _("until"), null=True, blank=True, help_text=_("Empty: for good.")
    )
    created_at = models.DateTimeField(_("since"), auto_now_add=True)

    objects = PlayerPartQuerySet.as_manager()

    class Meta:
        verbose_name = _("entitlement")
        verbose_name_plural = _("entitlements")
        constraints = [
            models.UniqueConstraint(
                fields=["player", "item"],
                name="players_entitled_once_per_item",
                violation_error_message=_("The player has this product already."),
            )
        ]

    def __str__(self) -> str:
        return str(self.item)


class SecurityEventType(models.TextChoices):
    LOGIN = "login", _("signed in")
    LOGOUT = "logout", _("signed out")
    REFUSED = "refused", _("refused")
    SESSION_ENDED = "session_ended", _("session ended")
    DEVICE_ADDED = "device_added", _("device added")
    DEVICE_REMOVED = "device_removed", _("device removed")
    RATE_LIMITED = "rate_limited", _("too many requests")
    WALLET_CORRECTED = "wallet_corrected", _("XP corrected")
    WALLETS_SYNCED = "wallets_synced", _("wallets written back")


class AppendOnlyQuerySet(models.QuerySet[Any]):
    """Rows may be added and read.

    Deleting a user still empties the rows' references to it: Django does that
    without asking this class.
    """

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise AppendOnlyError(f"{self.model.__name__} is append-only")

    update = _refuse
    delete = _refuse
    bulk_update = _refuse
    update_or_create = _refuse


class SecurityEvent(models.Model):
    """One line of the audit trail; written, never changed."""

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

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        verbose_name = _("security event")
        verbose_name_plural = _("security events")
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.get_type_display()

    def save(self, **kwargs: Any) -> None:
        """Write a new line.

        Raises:
            AppendOnlyError: the line is written already.
        """
        if not self._state.adding:
            raise AppendOnlyError("SecurityEvent is append-only")
        super().save(**kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse.

        Raises:
            AppendOnlyError: always.
        """
        raise AppendOnlyError("SecurityEvent is append-only")
