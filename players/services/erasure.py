"""Erasing a student.

All rows in the database change in one transaction: a crash leaves them unchanged or
erased. The same transaction adds an `Erasure`, which records the data outside the
database: the photo's file, and keys in Redis. `finish` removes these and is idempotent.
Where the disk or Redis does not answer, the `Erasure` records the remaining steps.

A request of the student that was in progress may still write afterwards. Where the
player's row is gone, a foreign key refuses new rows. Redis and a kept ledger have no
such key, so `finish` runs once more after `LATE_WRITES`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol

import structlog
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.apps import apps
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError, models, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from core import statement_guard
from core.fields import FoldingQuerySet
from core.hooks import Registry
from players import audit, records
from players.errors import PlayerNotFoundError, StaffAccountError
from players.models import (
    Device,
    Erasure,
    PlayerProfile,
    SecurityEvent,
    SecurityEventType,
    User,
)
from players.services import access, photos, selection
from players.services.devices import lock_player

log = structlog.get_logger(__name__)

LATE_WRITES = timedelta(minutes=10)
"""Longer than any request or write to Redis takes."""
LEDGERS = ("delete", "pseudonymise")
"""The valid values of ``MEMORA_ERASED_LEDGER``."""


class Fate(Enum):
    """What an erasure does to the rows of one relation."""

    DELETED = "deleted"
    EMPTIED = "emptied"
    """The row stays, without the reference and without personal columns."""
    UNLINKED = "unlinked"
    """The reference becomes NULL; the row has no other data about the student."""
    KEPT = "kept"
    """Work of a former staff account; the account stays, without a name."""
    LEDGER = "ledger"
    """Deleted, or kept under the player's number: ``MEMORA_ERASED_LEDGER``."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A relation from rows about a student to the student.

    Args:
        relation: ``app.Model.field``.
        fate: what an erasure does to the rows.
        name: their key in an export; "" excludes them.
        withheld: columns that an export excludes: secrets, and other people's ids.
        also: columns of related rows that an export adds.
    """

    relation: str
    fate: Fate
    name: str = ""
    withheld: frozenset[str] = frozenset()
    also: tuple[str, ...] = ()

    @property
    def model(self) -> type[models.Model]:
        return apps.get_model(self.relation.rpartition(".")[0])

    @property
    def field(self) -> Any:
        return self.model._meta.get_field(self.relation.rpartition(".")[2])

    def rows(self, profile: PlayerProfile) -> "QuerySet[Any]":
        """Return the rows about this player, without the filters of the manager."""
        is_account = self.field.related_model is User
        key = profile.user_id if is_account else profile.pk
        return QuerySet(self.model).filter(**{self.field.attname: key})


HOLDINGS = (
    Holding("players.PlayerProfile.user", Fate.DELETED),
    Holding("players.PlayerWallet.player", Fate.DELETED, "wallet_written_back"),
    Holding(
        "players.Session.player",
        Fate.DELETED,
        "session",
        withheld=frozenset({"token_sha256"}),
    ),
    Holding("players.Device.player", Fate.DELETED, "devices"),
    Holding("players.DeviceReplacement.player", Fate.DELETED, "device_replacements"),
    # After the sessions: their deletion adds ended sessions.
    Holding(
        "players.EndedSession.player",
        Fate.DELETED,
        "ended_sessions",
        withheld=frozenset({"token_sha256"}),
    ),
    Holding(
        "players.PasswordResetCode.player",
        Fate.DELETED,
        "password_reset_codes",
        withheld=frozenset({"code_hash"}),
    ),
    Holding(
        "players.Enrollment.player",
        Fate.DELETED,
        "enrollments",
        also=("plan__public_id", "plan__title"),
    ),
    Holding("players.Entitlement.player", Fate.DELETED, "entitlements"),
    Holding(
        "players.GroupMember.player", Fate.DELETED, "groups", also=("group__name",)
    ),
    Holding(
        "players.SecurityEvent.user",
        Fate.EMPTIED,
        "security_events",
        withheld=frozenset({"actor_id"}),
    ),
    Holding("players.SecurityEvent.actor", Fate.UNLINKED),
    Holding("players.Erasure.actor", Fate.UNLINKED),
    Holding("players.StudentImport.owner", Fate.UNLINKED),
    Holding("players.StaffRequest.owner", Fate.DELETED),
    Holding("players.User_groups.user", Fate.DELETED),
    Holding("players.User_user_permissions.user", Fate.DELETED),
    # A teacher of groups; a student teaches none.
    Holding("players.StudyGroup_teachers.user", Fate.DELETED),
    Holding("admin.LogEntry.user", Fate.KEPT),
    Holding("content.FormDraft.user", Fate.DELETED),
    Holding("content.UnfinishedLesson.saved_by", Fate.UNLINKED),
    Holding("content.HistoricalNode.history_user", Fate.UNLINKED),
    Holding("content.HistoricalLessonStage.history_user", Fate.UNLINKED),
    Holding("plans.HistoricalAcademicPlan.history_user", Fate.UNLINKED),
    Holding("plans.HistoricalPlanSubject.history_user", Fate.UNLINKED),
    Holding("plans.HistoricalPlanOverride.history_user", Fate.UNLINKED),
    # What an editor scheduled; a student schedules nothing.
    Holding("plans.ScheduledChange.created_by", Fate.UNLINKED),
    Holding("plans.HistoricalScheduledChange.created_by", Fate.UNLINKED),
    Holding("plans.HistoricalScheduledChange.history_user", Fate.UNLINKED),
    Holding("publishing.SyncLog.started_by", Fate.UNLINKED),
)


class Holder(Protocol):
    """Another app that stores data about students."""

    @property
    def HOLDINGS(self) -> Sequence[Holding]:  # noqa: N802 - a module's constant
        """All relations from its models' rows to a student."""

    def subject_ids(self, player_id: int) -> list[str]:
        """Return the subjects whose progress Redis may hold."""

    def erase_rows(self, player_id: int, *, keep_ledger: bool) -> None:
        """Erase the player's rows, in the caller's transaction."""

    def forget(self, player_id: int, subject_ids: Sequence[str]) -> None:
        """Delete the player's keys in Redis.

        Raises:
            StoreUnavailableError: Redis does not answer.
        """


holders: Registry[Holder] = Registry()
"""The apps that store data about students; they add themselves at start-up."""


def holdings() -> list[Holding]:
    """Return all relations from rows about a student, of all apps."""
    return [*HOLDINGS, *(held for holder in holders for held in holder.HOLDINGS)]


def keeps_ledger() -> bool:
    """Return whether an erased student's ledger is kept under their number."""
    return bool(settings.ERASED_LEDGER == "pseudonymise")


def find_player(text: str) -> int:
    """Return the number of a player given as a number or an e-mail address.

    The number of an erased player is also accepted, so that an erasure can be finished.

    Raises:
        PlayerNotFoundError: there is no such player.
    """
    try:
        return selection.find(text)
    except PlayerNotFoundError:
        if not selection.is_number(text):
            raise
        if not Erasure.objects.filter(player_number=int(text)).exists():
            raise
        return int(text)


# --- Erasing ------------------------------------------------------------------


def erase(
    *,
    player_id: int,
    actor_id: int | None = None,
    ip_address: str | None = None,
    now: datetime,
) -> Erasure:
    """Erase a student. This cannot be undone.

    A second call for the same player continues where the first one was interrupted.

    Args:
        actor_id: the member of staff who does it.

    Returns:
        The erasure; its ``remaining`` names the steps that failed, which `finish_all`
        tries again.

    Raises:
        PlayerNotFoundError: there is no such player.
        StaffAccountError: the account also has admin rights.
        StoreAwayError: Redis does not answer and the player may be signed in; nothing
            has changed.
        DatabaseError: the database does not answer; nothing has changed.
    """
    erasure = Erasure.objects.filter(player_number=player_id).first()
    if erasure is None:
        erasure = _erase_rows(player_id, actor_id, ip_address, now)
    finish(erasure, now=now)
    return erasure


@transaction.atomic(durable=True)
def _erase_rows(
    player_id: int, actor_id: int | None, ip_address: str | None, now: datetime
) -> Erasure:
    profile = _lock(player_id)
    user = profile.user
    if user.is_staff or user.is_superuser:
        raise StaffAccountError(
            _(
                "“%(name)s” also works in the admin: take these rights away first, and "
                "erase the student then."
            )
            % {"name": user}
        )
    erasure = Erasure.objects.create(
        player_number=profile.pk,
        user_number=user.pk,
        actor_id=actor_id,
        keeps_ledger=keeps_ledger(),
        photo=profile.photo.name or "",
        subject_ids=sorted(
            {found for holder in holders for found in holder.subject_ids(profile.pk)}
        ),
        erased_at=now,
        remaining=[name for name, _step in _STEPS],
    )
    device_ids = list(
        Device.objects.filter(player=profile).values_list("device_id", flat=True)
    )
    _forget_sign_in_attempts(user.email)
    for holder in holders:
        holder.erase_rows(profile.pk, keep_ledger=erasure.keeps_ledger)
    if erasure.keeps_ledger:
        for holding in HOLDINGS:
            if holding.fate is Fate.DELETED and holding.model is not PlayerProfile:
                holding.rows(profile).delete()
    # After the deletions above, because they add audit rows.
    _empty_events(Q(user_id=user.pk) | Q(user=None, device_id__in=device_ids))
    _empty_admin_log(profile)
    if erasure.keeps_ledger:
        _empty_profile(profile, now)
        _empty_account(user, now)
    else:
        profile.delete()
        if LogEntry.objects.filter(user=user).exists():
            _empty_account(user, now)
        else:
            user.delete()
    audit.record(
        SecurityEventType.PLAYER_ERASED,
        actor_id=actor_id,
        ip_address=ip_address,
        player=erasure.player_number,
    )
    return erasure


def _lock(player_id: int) -> PlayerProfile:
    """Lock the player's devices, session and ledger until the transaction ends.

    Every new row of the ledger locks the profile's row for its foreign key.
    """
    profile = lock_player(player_id)
    locked: PlayerProfile = PlayerProfile.objects.select_for_update().get(pk=profile.pk)
    locked.user = profile.user
    return locked


def _forget_sign_in_attempts(email: str) -> None:
    """Clear axes' rows; `delete()` sends signals that need another axes handler."""
    empty = {"username": "", "ip_address": None, "user_agent": ""}
    for model in (AccessAttempt, AccessFailureLog, AccessLog):
        model.objects.filter(username=email).update(**empty)


def _empty_events(about: Q) -> None:
    with statement_guard.rewriting():
        QuerySet(SecurityEvent).filter(about).update(
            user=None, device_id=None, ip_address=None, details={}
        )


def _empty_admin_log(profile: PlayerProfile) -> None:
    """Remove the names from the admin's log entries about the student."""
    for model, pk in ((PlayerProfile, profile.pk), (User, profile.user_id)):
        entries: QuerySet[Any] = QuerySet(LogEntry).filter(
            content_type=ContentType.objects.get_for_model(model), object_id=str(pk)
        )
        with statement_guard.rewriting():
            entries.update(object_repr=f"#{pk}", change_message="")


def _empty_profile(profile: PlayerProfile, now: datetime) -> None:
    """Clear the profile; its number stays, because the ledger's rows refer to it."""
    empty = {
        field.attname: None
        for field in PlayerProfile._meta.concrete_fields
        if field.null
    }
    QuerySet(PlayerProfile).filter(pk=profile.pk).update(
        **empty
        | {
            "photo": "",
            "phone": "",
            "locale": "",
            "time_zone": "",
            "earlier_time_zones": [],
        }
        | {"created_at": now, "erased_at": now}
    )
    access.changing([profile.pk], revokes=False)


def _empty_account(user: User, now: datetime) -> None:
    """Clear the account; its row stays, without a usable password."""
    for rights in (User.groups.through, User.user_permissions.through):
        QuerySet(rights).filter(user_id=user.pk).delete()
    FoldingQuerySet(User).filter(pk=user.pk).update(
        email=f"erased-{user.pk}@erased.invalid",
        full_name="",
        password=make_password(None),
        last_login=None,
        date_joined=now,
        is_active=False,
    )


# --- Data outside the database --------------------------------------------------


def finish(erasure: Erasure, *, now: datetime) -> None:
    """Run all steps; a step that fails is logged and stays in ``remaining``.

    Raises:
        DatabaseError: the database does not answer; call it again.
    """
    remaining = []
    for name, step in _STEPS:
        try:
            step(erasure, now)
        except (records.StoreUnavailableError, OSError, DatabaseError) as error:
            remaining.append(name)
            log.warning(
                "erasure_step_failed",
                step=name,
                player=erasure.player_number,
                error=type(error).__name__,
            )
    erasure.remaining = remaining
    if not remaining and now - erasure.erased_at >= LATE_WRITES:
        erasure.finished_at = now
    erasure.save(update_fields=["remaining", "finished_at", "photo", "subject_ids"])


def finish_all(*, now: datetime) -> int:
    """Finish every unfinished erasure; return how many are still unfinished.

    Raises:
        DatabaseError: the database does not answer.
    """
    unfinished = 0
    for erasure in Erasure.objects.filter(finished_at=None).order_by("pk"):
        finish(erasure, now=now)
        unfinished += erasure.finished_at is None
    return unfinished


@transaction.atomic
def _erase_late_rows(erasure: Erasure, _now: datetime) -> None:
    """Erase what a request in progress has added to a kept ledger since."""
    if not erasure.keeps_ledger:
        return
    late: set[str] = set(erasure.subject_ids)
    for holder in holders:
        late.update(holder.subject_ids(erasure.player_number))
        holder.erase_rows(erasure.player_number, keep_ledger=True)
    erasure.subject_ids = sorted(late)
    _empty_events(Q(user_id=erasure.user_number))


def _delete_files(erasure: Erasure, now: datetime) -> None:
    """Delete the photo, and replaced photos that are still on the disk."""
    if erasure.photo:
        if not photos.delete(erasure.photo):
            raise OSError("the photo's file is still there")
        erasure.photo = ""
    photos.delete_orphans(now=now)


def _forget_in_redis(erasure: Erasure, _now: datetime) -> None:
    records.forget_player(erasure.player_number)
    for holder in holders:
        holder.forget(erasure.player_number, erasure.subject_ids)


_STEPS: tuple[tuple[str, Callable[[Erasure, datetime], None]], ...] = (
    ("rows", _erase_late_rows),
    ("files", _delete_files),
    ("redis", _forget_in_redis),
)
