"""What follows from a changed row of players, whoever changed it."""

from functools import partial
from typing import Any

import structlog
from django.apps import apps as installed_apps
from django.db import transaction
from django.db.models.signals import post_delete, post_migrate, post_save, pre_save
from django.dispatch import receiver

from players import roles, signals, store
from players.models import (
    Device,
    Enrollment,
    Entitlement,
    PlayerProfile,
    Session,
    User,
)
from players.services import access, photos, sessions, sign_in_state

log = structlog.get_logger(__name__)


@receiver([post_save, post_delete], sender=Device)
@receiver([post_save, post_delete], sender=Session)
def _sign_in_changes(instance: Device | Session, **_kwargs: Any) -> None:
    """Deleting a device deletes a session on it, so this ends that session too."""
    sign_in_state.changing(instance.player_id)


@receiver(signals.sign_in_changed)
def _sign_ins_change(player_ids: list[int], **_kwargs: Any) -> None:
    for player_id in player_ids:
        sign_in_state.changing(player_id)


@receiver([post_save, post_delete], sender=Enrollment)
@receiver([post_save, post_delete], sender=Entitlement)
def _access_changes(instance: Enrollment | Entitlement, **_kwargs: Any) -> None:
    transaction.on_commit(partial(access.forget, [instance.player_id]))


@receiver(post_save, sender=PlayerProfile)
def _profile_changes(instance: PlayerProfile, **_kwargs: Any) -> None:
    transaction.on_commit(partial(access.forget, [instance.pk]))


@receiver(pre_save, sender=PlayerProfile)
def _photo_replaced(
    instance: PlayerProfile, update_fields: Any = None, **_kwargs: Any
) -> None:
    if instance._state.adding or (update_fields and "photo" not in update_fields):
        return
    stored = PlayerProfile.objects.filter(pk=instance.pk).exclude(photo="")
    replaced = stored.values_list("photo", flat=True).first()
    if replaced and replaced != instance.photo.name:
        transaction.on_commit(partial(photos.delete, replaced))


@receiver(signals.access_changed)
def _accesses_change(player_ids: list[int], **_kwargs: Any) -> None:
    transaction.on_commit(partial(access.forget, list(player_ids)))


@receiver(post_save, sender=User)
def _user_saved(instance: User, created: bool, **_kwargs: Any) -> None:
    if not created and not instance.is_active:
        sessions.end_sessions_of_users([instance.pk])


@receiver(signals.users_deactivated)
def _users_deactivated(user_ids: list[int], **_kwargs: Any) -> None:
    sessions.end_sessions_of_users(user_ids)


@receiver(post_delete, sender=PlayerProfile)
def _player_deleted(instance: PlayerProfile, **_kwargs: Any) -> None:
    if photo := instance.photo.name:
        transaction.on_commit(partial(photos.delete, photo))
    # Django empties instance.pk once the deletion is done: keep the number.
    transaction.on_commit(partial(_forget, instance.pk))


def _forget(player_id: int) -> None:
    try:
        store.forget_player(player_id)
    except store.StoreUnavailableError as error:
        log.warning("player_not_forgotten", error=type(error).__name__)


@receiver(post_migrate, dispatch_uid="players.roles")
def _after_migrate(
    sender: Any, using: str, apps: Any = installed_apps, **_kwargs: Any
) -> None:
    """``flush`` sends this signal too, without ``apps``."""
    if sender.name == "players":
        roles.ensure(using=using, apps=apps)
