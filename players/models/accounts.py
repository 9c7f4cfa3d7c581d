"""The accounts of students and staff, and the profiles of students as players."""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import (
    AbstractBaseUser,
    BaseUserManager,
    PermissionsMixin,
)
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from core import statement_guard
from core.fields import FoldedField, FoldingModel, FoldingQuerySet, PictureField
from plans.models import AcademicPlan, Grade, Season, Stream
from players import credentials, signals
from players.fields import CanonicalEmailField, PhoneField, SchoolNumberField
from players.local_days import LocalDays
from players.models.cached_rows import PlayerPartQuerySet

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

    Append-only rows go with them, or lose their reference to them.

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
        with statement_guard.rewriting():
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


class PlayerQuerySet(PlayerPartQuerySet):
    player_path = "pk"

    def delete(self) -> tuple[int, dict[str, int]]:
        keys = self.order_by().values_list("user_id", flat=True)
        with _no_new_rows(_accounts(keys, self.db)):
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


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
    earlier_time_zones = models.JSONField(default=list, blank=True, editable=False)
    """The zones before it, as `LocalDays.stored` has them."""
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

    @property
    def local_days(self) -> LocalDays:
        """The days of the player, by which streaks are counted."""
        return LocalDays.from_stored(
            self.time_zone,
            self.earlier_time_zones,
            default=settings.STREAK_TIME_ZONE,
        )

    def delete(
        self, using: Any = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        with _no_new_rows(_accounts([self.user_id], using)):
            return super().delete(using, keep_parents)
