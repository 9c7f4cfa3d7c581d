"""What an app needs when it starts, in one answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from players.errors import NotEnrolledError
from players.records import Found
from players.services import (
    access,
    content,
    enrolled_plans,
    entitlements,
    profile,
    wallet,
)
from players.services.access import PlayerAccess
from players.services.content import PlanContent
from players.services.enrolled_plans import EnrolledPlan
from players.services.entitlements import OwnedProduct
from players.services.profile import Profile
from players.services.wallet import CurrentWallet
from progress.services import reviews
from publishing.api import NotPublishedError


@dataclass(frozen=True, slots=True)
class Start:
    """The parts of the answer; each is that of its own endpoint.

    ``plan`` is None and ``due_reviews`` is 0 while the player has no plan with a
    release.
    """

    profile: Profile
    plan: PlanContent | None
    plans: Sequence[EnrolledPlan]
    wallet: CurrentWallet
    products: Sequence[OwnedProduct]
    due_reviews: int


def of_player(player_id: int, *, now: datetime, found: Found | None = None) -> Start:
    """Return what the player's app needs at its start.

    Four queries: the profile, the plans, the due reviews, and at most once a second the
    publishing settings. With the CDN a fifth. More if Redis has no copies, and if the reviews are behind.

    Args:
        found: what the request's session check read; None: ask Redis now.

    Raises:
        PlayerProfile.DoesNotExist: the player has been deleted.
    """
    player_access = access.of_player(player_id, found)
    plan, due_reviews = _of_plan(player_id, player_access, now)
    return Start(
        profile=profile.of_player(player_id, now=now),
        plan=plan,
        plans=enrolled_plans.of_player(player_id),
        wallet=wallet.current(player_id, days=player_access.days, now=now, found=found),
        products=entitlements.of_access(player_access, now.timestamp()),
        due_reviews=due_reviews,
    )


def _of_plan(
    player_id: int, player_access: PlayerAccess, now: datetime
) -> tuple[PlanContent | None, int]:
    try:
        plan = content.plan_of_access(player_access)
        return plan, reviews.overview_of(player_id, player_access, now).due
    except (NotEnrolledError, NotPublishedError):
        return None, 0
