"""Receivers that delete a player's progress and statistics with the player."""

from functools import partial
from typing import Any

import structlog
from django.db import transaction
from django.db.models.signals import pre_delete
from django.dispatch import receiver

from players import records
from players.models import PlayerProfile
from progress.services import erasure, lesson_counting

log = structlog.get_logger(__name__)


@receiver(pre_delete, sender=PlayerProfile)
def _player_goes(instance: PlayerProfile, **_kwargs: Any) -> None:
    lesson_counting.forget(instance.pk)
    subjects = erasure.subject_ids(instance.pk)
    transaction.on_commit(partial(_forget, instance.pk, subjects))


def _forget(player_id: int, subject_ids: list[str]) -> None:
    try:
        records.forget_player(player_id, subject_ids)
    except records.StoreUnavailableError as error:
        log.warning("player_not_forgotten", error=type(error).__name__)
