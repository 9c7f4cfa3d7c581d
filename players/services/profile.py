"""A player's own profile: what the app shows, and what the player changes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from core.parsing import time_text
from players.errors import LockedTimeZone, TimeZoneLockedError
from players.models import PlayerProfile
from players.services import access, photos
from players.services.devices import lock_player

TIME_ZONE_LOCK = timedelta(days=1)
"""A player changes their time zone at most once in this time."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the app shows of a player; titles are None where nothing is set.

    ``plan`` is the active plan's public id and title. ``photo_uri`` is path and query,
    valid for `photos.URL_SECONDS`. ``locale`` and ``time_zone`` are "" while the player
    uses those of the installation.
    """

    id: int
    name: str
    email: str
    grade: str | None
    stream: str | None
    season: str | None
    photo_uri: str | None
    locale: str
    time_zone: str
    plan: tuple[str, str] | None


def of_player(player_id: int, *, now: datetime) -> Profile:
    """Return the player's profile. One query.

    Raises:
        PlayerProfile.DoesNotExist: the player has been deleted.
    """
    with connection.cursor() as cursor:
        cursor.execute(_profile_sql(), [player_id])
        row = cursor.fetchone()
    if row is None:
        raise PlayerProfile.DoesNotExist
    pk, name, email, grade, stream, season, photo, locale, zone, plan_id, title = row
    return Profile(
        pk,
        name,
        email,
        grade,
        stream,
        season,
        photo_uri=photos.signed_uri(photo, player_id=player_id, now=now),
        locale=locale,
        time_zone=zone,
        plan=None if plan_id is None else (plan_id, title),
    )


@cache
def _profile_sql() -> str:
    """Return the SQL of one player's row, compiled once: it costs more than the query.

    Its only parameter is the player's number.
    """
    rows = PlayerProfile.objects.filter(pk=0).values_list(
        "pk",
        "user__full_name",
        "user__email",
        "grade__title",
        "stream__title",
        "season__title",
        "photo",
        "locale",
        "time_zone",
        "active_plan__public_id",
        "active_plan__title",
    )
    sql, parameters = rows.query.sql_with_params()
    assert parameters == (0,)
    return sql


@transaction.atomic
def change(
    *,
    player_id: int,
    name: str | None = None,
    locale: str | None = None,
    time_zone: str | None = None,
    now: datetime,
) -> None:
    """Change what the arguments name; all of it or nothing.

    Args:
        name: runs of white space become one space.
        locale: a code of ``LANGUAGES``, or "" for the installation's language.
        time_zone: an IANA name, or "" for the installation's zone. The zone that the
            player has already is no change.

    Raises:
        TimeZoneLockedError: the last change of the zone is less than `TIME_ZONE_LOCK`
            ago, or the day during which it was made has not ended (`LocalDays`).
        PlayerNotFoundError: there is no such player.
    """
    profile = lock_player(player_id)
    # Read again: `lock_player` reads the profile before it holds the lock.
    profile.refresh_from_db(
        fields=["locale", "time_zone", "time_zone_changed_at", "earlier_time_zones"]
    )
    if time_zone is not None and time_zone != profile.time_zone:
        _require_unlocked_zone(profile, now)
        before = profile.local_days
        days = before.changed(time_zone or settings.STREAK_TIME_ZONE, now)
        if days != before:
            access.changing([player_id], revokes=False)
        profile.earlier_time_zones = days.stored()
        profile.time_zone = time_zone
        # Whole seconds, as the API writes times.
        profile.time_zone_changed_at = now.replace(microsecond=0)
        profile.save(
            update_fields=["time_zone", "time_zone_changed_at", "earlier_time_zones"]
        )
    if locale is not None and locale != profile.locale:
        profile.locale = locale
        profile.save(update_fields=["locale"])
    if name is not None:
        profile.user.full_name = " ".join(name.split())
        profile.user.save(update_fields=["full_name"])


def _require_unlocked_zone(profile: PlayerProfile, now: datetime) -> None:
    if profile.time_zone_changed_at is None:
        return
    unlocked_at = profile.time_zone_changed_at + TIME_ZONE_LOCK
    # The day of the last change still goes on: another would make it longer.
    if settled_at := profile.local_days.settled_at:
        unlocked_at = max(unlocked_at, settled_at)
    if now < unlocked_at:
        raise TimeZoneLockedError(
            _("The time zone can be changed once a day. Please try again later."),
            details=LockedTimeZone(time_text(unlocked_at)),
        )
