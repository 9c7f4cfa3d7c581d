"""Receivers that keep caches, sessions and the audit trail in step with the rows."""

from functools import partial
from typing import Any

import structlog
from django.apps import apps as installed_apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.auth.signals import (
    user_logged_in,
    user_logged_out,
    user_login_failed,
)
from django.db import transaction
from django.db.models import Model, QuerySet
from django.db.models.signals import (
    m2m_changed,
    post_delete,
    post_migrate,
    post_save,
    pre_delete,
    pre_save,
)
from django.dispatch import receiver
from django.http import HttpRequest

from plans.models import AcademicPlan
from players import admin_log, audit, client_info, records, roles, signals
from players.models import (
    Device,
    Enrollment,
    Entitlement,
    PlayerProfile,
    SecurityEventType,
    Session,
    SessionEndReason,
    StudyGroup,
    User,
)
from players.services import (
    access,
    access_changes,
    account_changes,
    photos,
    session_ends,
    sign_in_state,
    staff_changes,
)

log = structlog.get_logger(__name__)


@receiver([post_save, post_delete], sender=Device)
@receiver([post_save, post_delete], sender=Session)
def _player_sign_in_changed(instance: Device | Session, **_kwargs: Any) -> None:
    """Deleting a device also deletes and ends a session on it, by cascade."""
    sign_in_state.changing([instance.player_id])


@receiver(signals.sign_in_changed)
def _players_sign_in_changed(player_ids: list[int], **_kwargs: Any) -> None:
    sign_in_state.changing(player_ids)


@receiver(post_delete, sender=Session)
def _session_deleted(instance: Session, origin: Any, **_kwargs: Any) -> None:
    """Record why the session ended, for services, cascades and query sets alike."""
    if _is_of_player_deletion(origin):
        return
    by_device = _origin_model(origin) is Device
    default = (
        SessionEndReason.DEVICE_REMOVED
        if by_device
        else SessionEndReason.ENDED_BY_STAFF
    )
    session_ends.keep(instance, instance.end_reason or default)


def _origin_model(origin: Any) -> type[Model]:
    """Return the model of the instance or query set that was deleted first."""
    model: type[Model] = origin.model if isinstance(origin, QuerySet) else type(origin)
    return model


def _is_of_player_deletion(origin: Any) -> bool:
    """Return whether the player is deleted too, so that no row can refer to it."""
    return _origin_model(origin) in (User, PlayerProfile)


@receiver([post_save, post_delete], sender=Enrollment)
@receiver([post_save, post_delete], sender=Entitlement)
def _player_access_changed(
    instance: Enrollment | Entitlement, created: bool = False, **_kwargs: Any
) -> None:
    access.changing([instance.player_id], revokes=not created)


@receiver(post_save, sender=Enrollment)
@receiver(post_save, sender=Entitlement)
def _access_saved(
    instance: Enrollment | Entitlement, created: bool, raw: bool, **_kwargs: Any
) -> None:
    if not raw:
        access_changes.record([instance], change="added" if created else "changed")


@receiver(post_delete, sender=Enrollment)
@receiver(post_delete, sender=Entitlement)
def _access_deleted(
    instance: Enrollment | Entitlement, origin: Any, **_kwargs: Any
) -> None:
    """Record a direct deletion.

    The enrolments of a deleted plan are recorded with the plan, those of a deleted
    player not at all.
    """
    if _origin_model(origin) is type(instance):
        access_changes.record([instance], change="removed")


@receiver(pre_delete, sender=AcademicPlan)
def _plan_goes(instance: AcademicPlan, **_kwargs: Any) -> None:
    access_changes.record_plan_deleted(instance)


@receiver(signals.access_rows_written)
def _access_rows_written(rows: list[Any], change: str, **_kwargs: Any) -> None:
    access_changes.record(rows, change=change)


@receiver(post_save, sender=PlayerProfile)
def _profile_changes(
    instance: PlayerProfile, created: bool, update_fields: Any = None, **_kwargs: Any
) -> None:
    if created or (update_fields and "active_plan" not in update_fields):
        return
    access.changing([instance.pk], revokes=False)


@receiver(pre_save, sender=PlayerProfile)
def _photo_changes(
    instance: PlayerProfile, update_fields: Any = None, **_kwargs: Any
) -> None:
    """Record a new or removed photo; the file of the old one is deleted."""
    if instance._state.adding or (update_fields and "photo" not in update_fields):
        return
    stored = PlayerProfile.objects.filter(pk=instance.pk)
    before = stored.values_list("photo", flat=True).first()
    if before is None or before == (instance.photo.name or ""):
        return
    if before:
        transaction.on_commit(partial(photos.delete, before))
    audit.record(
        SecurityEventType.PHOTO_CHANGED
        if instance.photo
        else SecurityEventType.PHOTO_REMOVED,
        user_id=instance.user_id,
    )


@receiver(signals.access_changed)
def _players_access_changed(
    player_ids: list[int], revokes: bool = True, **_kwargs: Any
) -> None:
    access.changing(player_ids, revokes=revokes)


@receiver(signals.users_changed)
def _users_changed(
    changes: dict[int, dict[str, Any]], keep_sessions: bool, **_kwargs: Any
) -> None:
    account_changes.follow(changes, keep_sessions=keep_sessions)


# --- Staff --------------------------------------------------------------------


@receiver(user_logged_in)
def _staff_signed_in(user: User, **_kwargs: Any) -> None:
    audit.record(SecurityEventType.STAFF_LOGIN, user_id=user.pk)


@receiver(user_logged_out)
def _staff_signed_out(user: User | None, **_kwargs: Any) -> None:
    if user is not None:
        audit.record(SecurityEventType.STAFF_LOGOUT, user_id=user.pk)


@receiver(user_login_failed)
def _staff_sign_in_failed(
    credentials: dict[str, Any], request: HttpRequest | None = None, **_kwargs: Any
) -> None:
    staff_changes.record_sign_in_failed(
        username=str(credentials.get("username") or ""),
        ip_address=client_info.address_of(request) if request is not None else None,
    )


_M2M_CHANGES = {"post_add": "added", "post_remove": "removed", "pre_clear": "removed"}


@receiver(m2m_changed, sender=User.groups.through)
@receiver(m2m_changed, sender=User.user_permissions.through)
def _rights_change(
    sender: Any,
    instance: Any,
    action: str,
    reverse: bool,
    pk_set: set[int] | None,
    **_kwargs: Any,
) -> None:
    """Handle both sides: the groups of a user and the users of a group."""
    if action not in _M2M_CHANGES:
        return
    column = "groups" if sender is User.groups.through else "permissions"
    if pk_set is None:  # clear(): all of them are removed
        pk_set = set(_members(sender, instance, reverse))
    users, others = (pk_set, {instance.pk}) if reverse else ({instance.pk}, pk_set)
    if pk_set:
        change = {_M2M_CHANGES[action]: sorted(others)}
        staff_changes.record_rights(users, **{column: change})


def _members(through: Any, instance: Any, reverse: bool) -> QuerySet[Any, Any]:
    """Return the keys of the other side of a many-to-many table."""
    other = "group" if through is User.groups.through else "permission"
    mine, theirs = (other, "user") if reverse else ("user", other)
    rows = through._default_manager.filter(**{f"{mine}_id": instance.pk})
    return rows.values_list(f"{theirs}_id", flat=True)  # type: ignore[no-any-return]


@receiver(m2m_changed, sender=Group.permissions.through)
def _group_changes(
    instance: Any, action: str, reverse: bool, pk_set: set[int] | None, **_kwargs: Any
) -> None:
    if action not in _M2M_CHANGES or reverse:
        return
    if pk_set is None:
        pk_set = set(instance.permissions.values_list("pk", flat=True))
    if pk_set:
        staff_changes.record_group(
            instance, permissions={_M2M_CHANGES[action]: sorted(pk_set)}
        )


@receiver(m2m_changed, sender=StudyGroup.teachers.through)
def _teachers_change(
    instance: Any, action: str, reverse: bool, pk_set: set[int] | None, **_kwargs: Any
) -> None:
    """Record whose classes changed: a teacher sees the students of their own."""
    if action not in _M2M_CHANGES:
        return
    mine, theirs = ("user", "studygroup") if reverse else ("studygroup", "user")
    if pk_set is None:  # clear(): all of them are removed
        rows = StudyGroup.teachers.through._default_manager.filter(
            **{mine: instance.pk}
        )
        pk_set = set(rows.values_list(f"{theirs}_id", flat=True))
    teachers = [instance.pk] if reverse else sorted(pk_set)
    groups = StudyGroup.objects.filter(pk__in=pk_set) if reverse else [instance]
    names = [group.name for group in groups]
    if pk_set:
        staff_changes.record_rights(teachers, classes={_M2M_CHANGES[action]: names})


@receiver(pre_delete, sender=Group)
def _group_goes(instance: Group, **_kwargs: Any) -> None:
    members = instance.user_set.values_list("pk", flat=True)
    staff_changes.record_rights(members, groups={"removed": [instance.pk]})
    staff_changes.record_group(instance, deleted=True)


# --- Deleted players ------------------------------------------------------------


@receiver(post_delete, sender=PlayerProfile)
def _player_deleted(instance: PlayerProfile, **_kwargs: Any) -> None:
    if photo := instance.photo.name:
        transaction.on_commit(partial(photos.delete, photo))
    # Django sets instance.pk to None after the deletion: keep the number.
    transaction.on_commit(partial(_forget, instance.pk))


def _forget(player_id: int) -> None:
    try:
        records.forget_player(player_id)
    except records.StoreUnavailableError as error:
        log.warning("player_not_forgotten", error=type(error).__name__)


# --- The admin's own log ----------------------------------------------------------


@receiver(pre_save, sender=LogEntry)
def _log_entry_saved(instance: LogEntry, **_kwargs: Any) -> None:
    admin_log.require_new(instance)


@receiver(pre_delete, sender=LogEntry)
def _log_entry_goes(origin: Any, **_kwargs: Any) -> None:
    """Refuse a direct deletion; the entries of a deleted account go with it."""
    if _origin_model(origin) is LogEntry:
        admin_log.refuse()


@receiver(post_migrate, dispatch_uid="players.roles")
def _after_migrate(
    sender: Any, using: str, apps: Any = installed_apps, **_kwargs: Any
) -> None:
    """Update the roles; ``flush`` also sends this signal, without ``apps``."""
    if sender.name == "players":
        roles.ensure(using=using, apps=apps)
