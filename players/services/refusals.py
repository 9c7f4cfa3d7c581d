"""Audit rows of refused requests of signed-in callers."""

from uuid import UUID

from players import audit
from players.models import PlayerProfile, SecurityEventType
from players.services import rates


def note(
    *,
    code: str,
    endpoint: str,
    staff_id: int | None,
    player_id: int | None,
    device_id: UUID | None = None,
) -> None:
    """Record that this caller was refused with ``code``, once an hour for each code.

    Many refused requests add one row. Nothing is recorded for an unknown caller, or
    while Redis does not answer.

    Args:
        code: the response's ``error_code``.
        endpoint: the URL's name.
    """
    who = f"player-{player_id}" if player_id is not None else f"staff-{staff_id}"
    if player_id is None and staff_id is None:
        return
    usage = rates.spend(who=f"{who}:{code}", scope="refused")
    if usage is None or usage.requests > 1:
        return
    user_id = staff_id
    if player_id is not None:
        players = PlayerProfile.objects.filter(pk=player_id)
        user_id = players.values_list("user_id", flat=True).first()
    audit.record(
        SecurityEventType.REFUSED,
        user_id=user_id,
        device_id=device_id,
        code=code,
        endpoint=endpoint,
    )
