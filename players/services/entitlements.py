"""A player's products, and what each opens in the active plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from players.services.access import PlayerAccess
from publishing import api
from publishing.api import NotPublishedError, SoldNode


@dataclass(frozen=True, slots=True)
class OwnedProduct:
    """A product that the player has, or had.

    ``opens`` has the topmost nodes of the active plan that need it. ``valid_until`` is
    None for no end.
    """

    code: str
    valid_until: datetime | None
    is_valid: bool
    opens: Sequence[SoldNode]


def of_access(player_access: PlayerAccess, now: float) -> list[OwnedProduct]:
    """Return the products by code at Unix time ``now``. No query, no Redis.

    They open nothing without an active plan that the player is enrolled in, and before
    its first release.
    """
    sold = _sold_nodes(player_access)
    return [
        OwnedProduct(
            code=code,
            valid_until=None if until is None else datetime.fromtimestamp(until, UTC),
            is_valid=player_access.is_entitled(code, now),
            opens=sold.get(code, ()),
        )
        for code, until in sorted(player_access.items.items())
    ]


def _sold_nodes(player_access: PlayerAccess) -> dict[str, tuple[SoldNode, ...]]:
    plan_id = player_access.active_plan_id
    if plan_id not in player_access.enrolled_plan_ids:
        return {}
    try:
        return dict(api.load_plan(plan_id).sold_nodes)
    except NotPublishedError:
        return {}
