"""A player's own profile, as the app shows it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from players.models import PlayerProfile
from players.services import photos


@dataclass(frozen=True, slots=True)
class Profile:
    """What the app shows of a player; titles are None where nothing is set.

    ``plan`` is the active plan's public id and title. ``photo_uri`` is path and query,
    valid for `photos.URL_SECONDS`.
    """

    id: int
    name: str
    email: str
    grade: str | None
    stream: str | None
    season: str | None
    photo_uri: str | None
    plan: tuple[str, str] | None


def of_player(player_id: int, *, now: datetime) -> Profile:
    """Return the player's profile. One query.

    Raises:
        PlayerProfile.DoesNotExist: the player has been deleted.
    """
    row: tuple[Any, ...] = PlayerProfile.objects.values_list(
        "pk",
        "user__full_name",
        "user__email",
        "grade__title",
        "stream__title",
        "season__title",
        "photo",
        "active_plan__public_id",
        "active_plan__title",
    ).get(pk=player_id)
    pk, name, email, grade, stream, season, photo, plan_id, plan_title = row
    return Profile(
        pk,
        name,
        email,
        grade,
        stream,
        season,
        photo_uri=photos.signed_uri(photo, player_id=player_id, now=now),
        plan=None if plan_id is None else (plan_id, plan_title),
    )
