"""The plans that a player is enrolled in, and which of them is active."""

from dataclasses import dataclass
from functools import cache, partial
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext as _

from core.db import retry_on_conflict
from players import audit
from players.errors import NotEnrolledError
from players.models import Enrollment, PlayerProfile, SecurityEventType
from players.services.devices import lock_player
from publishing import api


@dataclass(frozen=True, slots=True)
class EnrolledPlan:
    """A plan of a player; ``is_published``: it has a release that an app can read."""

    id: str
    title: str
    is_active: bool
    is_published: bool


def of_player(player_id: int) -> list[EnrolledPlan]:
    """Return the plans in the order in which the player was enrolled. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_plans_sql(), [player_id])
        rows = cursor.fetchall()
    return [
        EnrolledPlan(
            public_id,
            title,
            is_active=plan == active,
            is_published=api.is_published(public_id),
        )
        for public_id, title, plan, active in rows
    ]


@cache
def _plans_sql() -> str:
    """Return the SQL of a player's plans, compiled once: it costs more than the query.

    Its only parameter is the player's number.
    """
    rows = (
        Enrollment.objects.filter(player_id=0)
        .order_by("pk")
        .values_list(
            "plan__public_id",
            "plan__title",
            "plan_id",
            "player__active_plan_id",
        )
    )
    sql, parameters = rows.query.sql_with_params()
    assert parameters == (0,)
    return sql


def activate(
    *, player_id: int, plan_id: str, device_id: UUID | None = None
) -> EnrolledPlan:
    """Make a plan the player's active one; nothing changes if it is active already.

    Progress, reviews and products stay: each plan has its own.

    Args:
        plan_id: the plan's public id.
        device_id: the device that asks, for the audit trail.

    Raises:
        PlayerNotFoundError: there is no such player.
        NotEnrolledError: the player is not enrolled in a plan with this id.
        StoreAwayError: Redis does not answer. Nothing has changed: with an old copy of
            the access, completions in the new plan would be refused.
        OperationalError: the database does not answer. Nothing has changed.
    """
    # Staff who change the player's enrolments lock the same rows in another order.
    return retry_on_conflict(partial(_activate, player_id, plan_id, device_id))


@transaction.atomic
def _activate(player_id: int, plan_id: str, device_id: UUID | None) -> EnrolledPlan:
    profile = lock_player(player_id)
    row = (
        Enrollment.objects.filter(player_id=player_id, plan__public_id=plan_id)
        .values_list("plan_id", "plan__title", "player__active_plan_id")
        .first()
    )
    if row is None:
        raise NotEnrolledError(_("You are not enrolled in this plan."))
    plan, title, active = row
    if plan != active:
        PlayerProfile.objects.filter(pk=player_id).update(active_plan=plan)
        audit.record(
            SecurityEventType.PLAN_ACTIVATED,
            user_id=profile.user_id,
            device_id=device_id,
            plan=plan,
            previous=active,
        )
    return EnrolledPlan(
        plan_id, title, is_active=True, is_published=api.is_published(plan_id)
    )
