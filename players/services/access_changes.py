"""Audit rows of changed enrolments and entitlements."""

from collections.abc import Iterable, Sequence
from typing import Any

from plans.models import AcademicPlan
from players import audit
from players.models import Enrollment, Entitlement, PlayerProfile, SecurityEventType

_EVENTS = {
    (Enrollment, "added"): SecurityEventType.ENROLLMENT_ADDED,
    (Enrollment, "changed"): SecurityEventType.ENROLLMENT_CHANGED,
    (Enrollment, "removed"): SecurityEventType.ENROLLMENT_REMOVED,
    (Entitlement, "added"): SecurityEventType.ENTITLEMENT_ADDED,
    (Entitlement, "changed"): SecurityEventType.ENTITLEMENT_CHANGED,
    (Entitlement, "removed"): SecurityEventType.ENTITLEMENT_REMOVED,
}


def record(rows: Sequence[Enrollment | Entitlement], *, change: str) -> None:
    """Record that these rows, all of one model, changed. Two queries.

    Args:
        change: ``added``, ``changed`` or ``removed``.
    """
    if not rows:
        return
    users = _user_ids(row.player_id for row in rows)
    audit.record_each(
        _EVENTS[type(rows[0]), change],
        [(users.get(row.player_id), _details(row)) for row in rows],
    )


def _user_ids(player_ids: Iterable[int]) -> dict[int, int]:
    players = PlayerProfile.objects.filter(pk__in=set(player_ids))
    return dict(players.values_list("pk", "user_id"))


def _details(row: Enrollment | Entitlement) -> dict[str, Any]:
    if isinstance(row, Enrollment):
        return {"plan": row.plan_id}
    until = row.valid_until
    return {"item": row.item, "until": until.isoformat() if until else None}


def record_plan_deleted(plan: AcademicPlan) -> None:
    """Record in one row that a plan is deleted with its enrolments; call it before."""
    count = Enrollment.objects.filter(plan=plan).count()
    if count:
        audit.record(
            SecurityEventType.ENROLLMENT_REMOVED,
            plan=plan.pk,
            plan_id=plan.public_id,
            players=count,
        )
