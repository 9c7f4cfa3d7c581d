"""Accounts, and a player's devices, session, plans, entitlements and wallet."""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import PurePath
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from django.contrib.auth.models import (
    AbstractBaseUser,
    BaseUserManager,
    PermissionsMixin,
)
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import Q
from django.dispatch import Signal
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from content.fields import validate_item_code
from core.append_only import AppendOnlyModel, AppendOnlyQuerySet
from core.fields import (
    ExactCharField,
    FoldedField,
    FoldedKeyField,
    FoldingModel,
    FoldingQuerySet,
    PictureField,
    TitleField,
)
from plans.models import AcademicPlan, Grade, Season, Stream
from players import credentials, signals
from players.fields import CanonicalEmailField, PhoneField, SchoolNumberField

WATCHED = ("email", "password", "is_active", "is_staff", "is_superuser")
"""Columns of an account whose change is audited and may end sessions."""


def _watched(accounts: models.QuerySet["User"], names: Iterable[str]) -> dict[int, Any]:
    return {row.pop("pk"): row for row in accounts.order_by().values("pk", *names)}


def _tell_changes(
    before: dict[int, Any], after: dict[int, Any], *, keep_sessions: bool = False
) -> None:
    changes = {}
    for pk, now in after.items():
        old = before.get(pk, {})
        changed = {name: new for name, new in now.items() if old.get(name) != new}
        if changed:
            changes[pk] = changed
    if changes:
        signals.users_changed.send(
            sender=User, changes=changes, keep_sessions=keep_sessions
        )


@contextmanager
def _no_new_rows(users: models.QuerySet[Any]) -> Iterator[None]:
    """A transaction to delete accounts in, and the players with them.

    A row that is added to a player after Django has listed what to delete would make the
    deletion fail. It now waits for the lock and is refused after the commit. Accounts are
    locked before players, as everywhere.
    """
    with transaction.atomic(using=users.db):
        locked = users.order_by("pk").select_for_update()
        keys = list(locked.values_list("pk", flat=True))
        players: models.QuerySet[Any] = models.QuerySet(PlayerProfile, using=users.db)
        players = players.filter(user_id__in=keys).order_by("pk")
        list(players.select_for_update().values_list("pk"))
        yield


def _accounts(keys: Iterable[int | None], using: str | None) -> models.QuerySet[Any]:
    return models.QuerySet(User, using=using).filter(pk__in=list(keys))


class UserQuerySet(FoldingQuerySet):
    """Users; `update` is audited and ends sessions, as `User.save` does."""

    def delete(self) -> tuple[int, dict[str, int]]:
        keys = self.order_by().values_list("pk", flat=True)
        with _no_new_rows(_accounts(keys, self.db)):
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def update(self, **kwargs: Any) -> int:
        names = [name for name in WATCHED if name in kwargs]
        if not names:
            return super().update(**kwargs)
        with transaction.atomic(using=self.db):
            before = _watched(self, names)
            count = super().update(**kwargs)
            changed = User._base_manager.using(self.db).filter(pk__in=list(before))
            _tell_changes(before, _watched(changed, names))
        return count

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable["User"], *args: Any, **kwargs: Any) -> Any:
        """Add accounts.

        Raises:
            ValueError: with ``update_conflicts``, whose changes would not be audited.
        """
        if kwargs.get("update_conflicts"):
            raise ValueError("accounts are changed by save() or update()")
        return super().bulk_create(objs, *args, **kwargs)


class UserManager(BaseUserManager["User"]):
    """Create users by e-mail address."""

    def get_queryset(self) -> UserQuerySet:
        return UserQuerySet(self.model, using=self._db)

    def create_user(
        self, email: str, password: str | None = None, **fields: Any
    ) -> "User":
        """Create a user; the address is stored in its canonical form.

        Raises:
            ValueError: the e-mail address is empty.
        """
        if not email:
            raise ValueError("an e-mail address is required")
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str, **fields: Any) -> "User":
        """Create a user with all rights."""
        return self.create_user(
            email, password, is_staff=True, is_superuser=True, **fields
        )

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """Return the address in its canonical form (`players.credentials`)."""
        return credentials.canonical_email(email or "")


_NEW_ACCOUNT = {"is_active": True, "is_staff": False, "is_superuser": False}
"""The base that a new account is compared with: initial extra rights are a change."""


class User(FoldingModel, AbstractBaseUser, PermissionsMixin):
    """An account of a student or of a member of staff."""

    email = CanonicalEmailField(_("e-mail"), unique=True)
    full_name = models.CharField(_("name"), max_length=150, blank=True)
    full_name_folded = FoldedField("full_name")
    """The column that searches use (`core.folding`)."""
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

    _is_upgrading_hash = False

    def save(self, *, keep_session: bool = False, **kwargs: Any) -> None:
        """Save, and announce changes of `WATCHED` columns in the same transaction.

        Every change of a password uses this method or `UserQuerySet.update`.

        Args:
            keep_session: a changed password does not end the player's session.

        Raises:
            StoreAwayError: the change ends a session and Redis does not answer;
                nothing is saved.
        """
        written = kwargs.get("update_fields")
        names = [name for name in WATCHED if written is None or name in written]
        if not names or self._is_upgrading_hash:
            super().save(**kwargs)
            return
        with transaction.atomic(using=kwargs.get("using")):
            saved = User._base_manager.using(kwargs.get("using"))
            before = _watched(saved.filter(pk=self.pk), names) if self.pk else {}
            super().save(**kwargs)
            after = {self.pk: {name: getattr(self, name) for name in names}}
            if not before:
                before = {self.pk: {**after[self.pk], **_NEW_ACCOUNT}}
            _tell_changes(before, after, keep_sessions=keep_session)

    def delete(
        self, using: Any = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        with _no_new_rows(_accounts([self.pk], using)):
            return super().delete(using, keep_parents)

    def set_password(self, raw_password: str | None) -> None:
        """Hash the canonical form of a password; None makes it unusable."""
        if raw_password is not None:
            raw_password = credentials.canonical_password(raw_password)
        super().set_password(raw_password)

    def check_password(self, raw_password: str | None) -> bool:
        """Return whether the password is right, in its canonical or its raw form.

        The raw form costs a second hash, only where it differs. A hash of the raw form
        is replaced by one of the canonical form; this is not a change of password.
        """
        self._is_upgrading_hash = True
        try:
            return self._check_forms(raw_password)
        finally:
            self._is_upgrading_hash = False

    def _check_forms(self, raw_password: str | None) -> bool:
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
    """Bulk writes of rows that Redis caches: send the signal that Django does not."""

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
            self.changed.send(
                sender=self.model, player_ids=sorted(players), revokes=False
            )
        return created


class AccessQuerySet(PlayerPartQuerySet):
    """Players' plans and entitlements; bulk writes are audited like single ones."""

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            keys = list(self.values_list("pk", flat=True))
            count = super().update(**kwargs)
            rows = list(self.model._base_manager.using(self.db).filter(pk__in=keys))
            signals.access_rows_written.send(
                sender=self.model, rows=rows, change="changed"
            )
        return count

    update.alters_data = True  # type: ignore[attr-defined]

    def remove(self) -> int:
        """Delete these rows in a fixed number of queries, and return how many.

        ``delete()`` sends a signal for each row, whose receivers query for each row.
        """
        with transaction.atomic(using=self.db):
            rows = list(self)
            keys = [row.pk for row in rows]
            models.QuerySet(self.model, using=self.db).filter(pk__in=keys)._raw_delete(
                self.db
            )
            self.changed.send(
                sender=self.model, player_ids=sorted({row.player_id for row in rows})
            )
            signals.access_rows_written.send(
                sender=self.model, rows=rows, change="removed"
            )
        return len(rows)

    remove.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        with transaction.atomic(using=self.db):
            created = super().bulk_create(objs, *args, **kwargs)
            signals.access_rows_written.send(
                sender=self.model, rows=created, change="added"
            )
        return created


class PlayerQuerySet(PlayerPartQuerySet):
    player_path = "pk"

    def delete(self) -> tuple[int, dict[str, int]]:
        keys = self.order_by().values_list("user_id", flat=True)
        with _no_new_rows(_accounts(keys, self.db)):
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


class SignInQuerySet(PlayerPartQuerySet):
    changed = signals.sign_in_changed


def photo_name(_player: Any, filename: str) -> str:
    """Return a random name for a photo, which does not identify its player.

    Args:
        filename: its suffix is kept; `PictureField` generated it.
    """
    return f"photos/{secrets.token_hex(16)}{PurePath(filename).suffix}"


class PlayerProfile(models.Model):
    """A student as a player; `players.services.accounts` creates it with its wallet."""

    user = models.OneToOneField(
        User, models.CASCADE, related_name="player", verbose_name=_("user")
    )
    school_number = SchoolNumberField(
        _("school number"),
        max_length=32,
        unique=True,
        null=True,
        blank=True,
        help_text=_("The number by which the school knows the student."),
    )
    phone = PhoneField(
        _("phone"),
        max_length=16,
        blank=True,
        default="",
        help_text=_("With the country's code, such as +964 770 123 4567."),
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
    locale = models.CharField(
        _("language"), max_length=10, blank=True, default="", editable=False
    )
    """The language that the player chose; "": that of the installation."""
    time_zone = models.CharField(
        _("time zone"), max_length=64, blank=True, default="", editable=False
    )
    """The IANA name of the zone that the player chose; "": that of the installation."""
    time_zone_changed_at = models.DateTimeField(null=True, editable=False)
    first_signed_in_at = models.DateTimeField(null=True, editable=False)
    """When a sign-in authorised the first device; staff authorise all later ones."""
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    erased_at = models.DateTimeField(null=True, editable=False)
    """If set, the student is erased and the row only holds a pseudonymous ledger."""
    sign_in_version = models.PositiveBigIntegerField(default=0, editable=False)
    """Raised with every change of session or devices; copies in Redis are stamped
    with it (`players.records`). The same for plans and products:"""
    access_version = models.PositiveBigIntegerField(default=0, editable=False)

    objects = PlayerQuerySet.as_manager()

    class Meta:
        verbose_name = _("player")
        verbose_name_plural = _("players")
        permissions = [
            ("erase_playerprofile", _("Can erase a player")),
            ("export_playerprofile", _("Can export all data of a player")),
            ("switch_playerprofile", _("Can switch a player's account on and off")),
            (
                "reset_password_playerprofile",
                _("Can issue a code or a link for a new password"),
            ),
        ]
        indexes = [
            # How many players there are, and the new ones.
            models.Index(fields=["erased_at", "created_at"], name="players_created"),
        ]

    def __str__(self) -> str:
        return str(self.user)

    def delete(
        self, using: Any = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        with _no_new_rows(_accounts([self.user_id], using)):
            return super().delete(using, keep_parents)


class PlayerWallet(models.Model):
    """A snapshot of XP and streak; see docs/architecture.md, "Ledger"."""

    player = models.OneToOneField(
        PlayerProfile, models.CASCADE, primary_key=True, related_name="wallet"
    )
    total_xp = models.PositiveBigIntegerField(_("XP"), default=0)
    current_streak = models.PositiveIntegerField(_("streak (days)"), default=0)
    last_success_date = models.DateField(_("last success"), null=True, blank=True)
    last_played_at = models.DateTimeField(_("last played"), null=True, blank=True)
    seq = models.PositiveBigIntegerField(
        _("position"), default=0, help_text=_("In the player's ledger.")
    )

    class Meta:
        verbose_name = _("wallet")
        verbose_name_plural = _("wallets")
        permissions = [("correct_playerwallet", _("Can give and take XP"))]
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


class Enrollment(models.Model):
    """A player's membership in a plan."""

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

    objects = AccessQuerySet.as_manager()

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
    """A player's right to a product, by its code."""

    player = models.ForeignKey(
        PlayerProfile, models.CASCADE, related_name="entitlements"
    )
    item = ExactCharField(
        _("product code"), max_length=64, validators=[validate_item_code]
    )
    valid_until = models.DateTimeField(
        _("until"), null=True, blank=True, help_text=_("Empty: no end date.")
    )
    created_at = models.DateTimeField(_("since"), auto_now_add=True)

    objects = AccessQuerySet.as_manager()

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


class StudyGroup(FoldingModel, models.Model):
    """A group of students, such as a class, whose access staff change together.

    A group gives its members nothing by itself: `players.services.groups` enrols them.
    """

    name = TitleField(_("name"), max_length=100)
    # Two spellings of one name («٥ أ», «5 أ») would split its students.
    name_folded = FoldedKeyField("name")
    plan = models.ForeignKey(
        AcademicPlan,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("plan"),
        help_text=_("The plan that the actions on the group offer first."),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = FoldingQuerySet.as_manager()

    class Meta:
        verbose_name = _("group")
        verbose_name_plural = _("groups")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a name that another group has, also in another spelling."""
        field: Any = self._meta.get_field("name_folded")
        others = StudyGroup.objects.exclude(pk=self.pk)
        same = others.filter(name_folded=field.folded(self.name)).first()
        if same is not None:
            message = _("“%(title)s” already exists and looks the same.")
            raise ValidationError({"name": message % {"title": same.name}})


class GroupMember(models.Model):
    """A player's membership in a group."""

    group = models.ForeignKey(
        StudyGroup,
        models.CASCADE,
        related_name="memberships",
        verbose_name=_("group"),
    )
    player = models.ForeignKey(
        PlayerProfile, models.CASCADE, related_name="memberships"
    )
    created_at = models.DateTimeField(_("since"), auto_now_add=True)

    class Meta:
        verbose_name = _("member of a group")
        verbose_name_plural = _("members of groups")
        constraints = [
            # Adding a player again is no second membership.
            models.UniqueConstraint(
                fields=["group", "player"], name="players_member_once_per_group"
            )
        ]

    def __str__(self) -> str:
        return f"#{self.player_id}"


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
    WALLETS_SYNCED = "wallets_synced", _("wallets saved")
    PLAYER_ERASED = "player_erased", _("student erased")
    PLAYER_EXPORTED = "player_exported", _("student exported")
    PHOTO_CHANGED = "photo_changed", _("photo changed")
    PHOTO_REMOVED = "photo_removed", _("photo removed")
    EVENTS_EXPORTED = "events_exported", _("security events exported")


class SecurityEventQuerySet(AppendOnlyQuerySet):
    """Rows are added and read; only `expire` deletes them."""

    def expire(self, *, before: datetime) -> int:
        """Delete those of these rows that are older than ``before``.

        Returns:
            How many were deleted.
        """
        old = self.filter(created_at__lt=before)
        deleted, _per_model = models.QuerySet.delete(old)
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
        ]

    def __str__(self) -> str:
        return self.get_type_display()


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


class ImportStatus(models.TextChoices):
    PREVIEW = "preview", _("not confirmed")
    WAITING = "waiting", _("waiting")
    RUNNING = "running", _("running")
    FINISHED = "finished", _("finished")
    FAILED = "failed", _("failed")


class StudentImport(models.Model):
    """An import of students (`players.services.import_runs`), without their data."""

    owner = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="+", verbose_name=_("done by")
    )
    data = models.BinaryField(default=b"", editable=False)
    """The file, encrypted with a key that is stored nowhere; b"" once it has run."""
    digests = models.JSONField(default=list, editable=False)
    """What the preview showed of each row: the hash of its outcome."""
    status = models.CharField(
        _("status"),
        max_length=10,
        choices=ImportStatus.choices,
        default=ImportStatus.PREVIEW,
    )
    total = models.PositiveIntegerField(_("rows"), default=0)
    created = models.PositiveIntegerField(_("created"), default=0)
    updated = models.PositiveIntegerField(_("changed"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    refused = models.JSONField(_("refused"), default=list)
    """Row number, column or "", and reason of each fault."""
    refused_rows = models.PositiveIntegerField(_("refused rows"), default=0)
    created_at = models.DateTimeField(_("created"), auto_now_add=True, db_index=True)
    progress_at = models.DateTimeField(_("last progress"), auto_now_add=True)

    class Meta:
        verbose_name = _("import of students")
        verbose_name_plural = _("imports of students")
        default_permissions = ()

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def done(self) -> int:
        """The number of rows that were handled."""
        return self.created + self.updated + self.unchanged + self.refused_rows
