"""What a player may open: see docs/architecture.md, "Access"."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
import structlog
from django.utils.translation import gettext as _

from plans.access import Level
from players import store
from players.errors import InvalidLessonError, NotEnrolledError, NotEntitledError
from players.models import Enrollment, Entitlement, PlayerProfile
from publishing import api
from publishing.api import LessonEntry

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PlayerAccess:
    """A player's plans and entitlements.

    ``active_plan_id`` is a public id, or "" without one. ``items`` maps each product
    code to its expiry in Unix seconds, None for no end.
    """

    active_plan_id: str
    enrolled_plan_ids: frozenset[str]
    items: Mapping[str, float | None]

    def is_entitled(self, item: str, now: float) -> bool:
        """Return whether the player has product ``item`` at Unix time ``now``."""
        if item not in self.items:
            return False
        expiry = self.items[item]
        return expiry is None or now < expiry

    def current_items(self, now: float) -> frozenset[str]:
        """Return the codes of the products that the player has at Unix time ``now``."""
        return frozenset(item for item in self.items if self.is_entitled(item, now))


def of_player(player_id: int) -> PlayerAccess:
    """Return the player's access, from Redis if it is cached, else with three queries.

    The access of a player that does not exist is empty. When Redis does not answer, the
    database is read.
    """
    try:
        held, lease = store.read_access(player_id)
    except store.StoreUnavailableError as error:
        log.warning("access_read_from_database", error=type(error).__name__)
        return _read(player_id)
    if held is not None:
        return _decode(held)
    found = _read(player_id)
    try:
        store.put_access(player_id, lease=lease, value=_encode(found))
    except store.StoreUnavailableError as error:
        log.warning("access_not_kept", error=type(error).__name__)
    return found


def _read(player_id: int) -> PlayerAccess:
    active = (
        PlayerProfile.objects.filter(pk=player_id)
        .values_list("active_plan__public_id", flat=True)
        .first()
    )
    enrolled = Enrollment.objects.filter(player_id=player_id)
    items = Entitlement.objects.filter(player_id=player_id)
    return PlayerAccess(
        active_plan_id=active or "",
        enrolled_plan_ids=frozenset(enrolled.values_list("plan__public_id", flat=True)),
        items={
            item: until.timestamp() if until is not None else None
            for item, until in items.values_list("item", "valid_until")
        },
    )


def _encode(found: PlayerAccess) -> str:
    return orjson.dumps(
        [found.active_plan_id, sorted(found.enrolled_plan_ids), dict(found.items)]
    ).decode()


def _decode(held: str) -> PlayerAccess:
    active, enrolled, items = orjson.loads(held)
    return PlayerAccess(active, frozenset(enrolled), items)


def forget(player_ids: list[int]) -> None:
    """Delete the cached access of these players; call it after the commit.

    When Redis does not answer, the old copy stays in use for at most five minutes.
    """
    try:
        store.drop_access(player_ids)
    except store.StoreUnavailableError as error:
        log.warning("access_not_dropped", error=type(error).__name__)


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


def require_lesson(player_id: int, lesson_id: str, now: float) -> LessonEntry:
    """Return the lesson in the player's plan if they may open it at Unix time ``now``.

    Raises:
        NotEnrolledError: the player has no plan.
        NotPublishedError: the plan has no release.
        InvalidLessonError: the plan's release has no such lesson.
        NotEntitledError: it is paid, and the player has no current entitlement to it.
    """
    player_access = of_player(player_id)
    plan_id = require_enrolled(player_access)
    entry = api.find_lesson(plan_id, lesson_id)
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
    if entry.access_level != Level.PAID:
        return
    if not player_access.is_entitled(entry.required_item, now):
        raise NotEntitledError(
            _("This lesson is part of something you have not bought yet."),
            details={"required_item": entry.required_item},
        )
