"""What a player may open: see docs/architecture.md, "Access"."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from core.db import utc_time
from plans.access import Level
from players import records
from players.errors import (
    InvalidLessonError,
    NotEnrolledError,
    NotEntitledError,
    RequiredItem,
)
from players.local_days import LocalDays
from players.records import Found, StoreUnavailableError, Wanted
from players.services import versions
from publishing import api
from publishing.api import LessonEntry

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PlayerAccess:
    """A player's plans and entitlements.

    ``active_plan_id`` is a public id, or "" without one. ``items`` maps each product
    code to its expiry in Unix seconds, None for no end. ``days`` are the player's, in
    their time zone.
    """

    active_plan_id: str
    enrolled_plan_ids: frozenset[str]
    items: Mapping[str, float | None]
    days: LocalDays

    def is_entitled(self, item: str, now: float) -> bool:
        """Return whether the player has product ``item`` at Unix time ``now``."""
        if item not in self.items:
            return False
        expiry = self.items[item]
        return expiry is None or now < expiry

    def may_open(self, lesson: LessonEntry, now: float) -> bool:
        """Return whether the player is entitled to a lesson at Unix time ``now``."""
        if lesson.access_level != Level.PAID:
            return True
        return self.is_entitled(lesson.required_item, now)

    def current_items(self, now: float) -> frozenset[str]:
        """Return the products that the player has at Unix time ``now``."""
        return frozenset(
            item
            for item, expiry in self.items.items()
            if expiry is None or now < expiry
        )


def of_player(player_id: int, found: Found | None = None) -> PlayerAccess:
    """Return the player's access, from Redis if it is cached, else with one query.

    The access of a player that does not exist is empty. When Redis does not answer, the
    database is read.

    Args:
        found: what the request's session check read; None: ask Redis now.
    """
    if found is None or not found.wanted.access:
        try:
            found = records.look(player_id, Wanted(access=True))
        except StoreUnavailableError as error:
            log.warning("access_read_from_database", error=type(error).__name__)
            return _read(player_id)[1]
    if found.access is not None and (known := _decode(found.access)) is not None:
        return known
    version, player_access = _read(player_id)
    if found.may_fill_access:
        try:
            value = _encode(player_access)
            records.fill_access(found, version=version, value=value)
        except StoreUnavailableError as error:
            log.warning("access_not_kept", error=type(error).__name__)
    return player_access


def in_database(player_id: int) -> PlayerAccess:
    """Return the player's access as the database has it. One query."""
    return _read(player_id)[1]


# Constant text: Django compiles such a query anew in more time than it takes. One
# statement, so the version is that of the plans and products.
_ACCESS = """
SELECT access_version, time_zone, earlier_time_zones, active.public_id, NULL, NULL, NULL
FROM players_playerprofile AS player
LEFT JOIN plans_academicplan AS active ON active.id = player.active_plan_id
WHERE player.id = %s
UNION ALL SELECT NULL, NULL, NULL, NULL, plan.public_id, NULL, NULL
FROM players_enrollment AS enrolled
JOIN plans_academicplan AS plan ON plan.id = enrolled.plan_id
WHERE enrolled.player_id = %s
UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, item, CAST(valid_until AS CHAR)
FROM players_entitlement WHERE player_id = %s
"""


def _read(player_id: int) -> tuple[int, PlayerAccess]:
    """Return the version and the access; of no such player version 0. One query."""
    version, zone, earlier, active = 0, "", "[]", None
    plans: set[str] = set()
    items: dict[str, float | None] = {}
    with connection.cursor() as cursor:
        cursor.execute(_ACCESS, [player_id] * 3)
        for *player, plan, item, until in cursor.fetchall():
            if plan is not None:
                plans.add(plan)
            elif item is not None:
                items[item] = until and utc_time(until).timestamp()
            else:
                version, zone, earlier, active = player
    # A UNION of a number and NULL is a decimal on MariaDB.
    return int(version), PlayerAccess(
        active_plan_id=active or "",
        enrolled_plan_ids=frozenset(plans),
        items=items,
        days=_days(zone, orjson.loads(earlier)),
    )


def _encode(player_access: PlayerAccess) -> bytes:
    return orjson.dumps(
        [
            player_access.active_plan_id,
            sorted(player_access.enrolled_plan_ids),
            dict(player_access.items),
            player_access.days.zone,
            player_access.days.stored(),
        ]
    )


def _decode(held: bytes) -> PlayerAccess | None:
    """Return the access of a copy; None: an older version without a zone made it."""
    active, enrolled, items, *zones = orjson.loads(held)
    if not zones:
        return None
    return PlayerAccess(active, frozenset(enrolled), items, _days(*zones))


def _days(zone: str, earlier: Sequence[Any]) -> LocalDays:
    return LocalDays.from_stored(zone, earlier, default=settings.STREAK_TIME_ZONE)


def changing(player_ids: Collection[int], *, revokes: bool = True) -> None:
    """Announce that the current transaction changes these players' plans or products.

    Args:
        revokes: whether the change may take something away.

    Raises:
        StoreAwayError: see `versions.changing`.
    """
    versions.changing(versions.ACCESS, player_ids, revokes=revokes)


def require_enrolled(player_access: PlayerAccess) -> str:
    """Return the public id of the player's active plan.

    Raises:
        NotEnrolledError: no plan is active, or the player is not enrolled in it.
    """
    plan_id = player_access.active_plan_id
    if not plan_id or plan_id not in player_access.enrolled_plan_ids:
        raise NotEnrolledError(
            _("You are not enrolled in a plan. Please ask your school.")
        )
    return plan_id


def require_lesson(
    player_id: int, lesson_id: str, now: float, found: Found | None = None
) -> LessonEntry:
    """Return the lesson in the player's plan if they may open it at Unix time ``now``.

    Raises:
        NotEnrolledError: the player has no plan.
        NotPublishedError: the plan has no release.
        InvalidLessonError: the plan's release has no such lesson.
        NotEntitledError: it is paid, and the player has no current entitlement to it.
    """
    player_access = of_player(player_id, found)
    plan_id = require_enrolled(player_access)
    entry = api.load_plan(plan_id).lessons.get(lesson_id)
    if entry is None:
        raise InvalidLessonError(_("This lesson is not in your plan."))
    require_entitled(player_access, entry, now)
    return entry


def require_entitled(
    player_access: PlayerAccess, entry: LessonEntry, now: float
) -> None:
    """Refuse a paid lesson without an entitlement at Unix time ``now``.

    Raises:
        NotEntitledError: with the product code in ``details``.
    """
    if not player_access.may_open(entry, now):
        raise NotEntitledError(
            _("This lesson is part of something you have not bought yet."),
            details=RequiredItem(entry.required_item),
        )
