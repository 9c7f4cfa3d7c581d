"""Refused requests of people who are signed in, in the audit trail."""

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

    A flood of refused requests is one line. Without a known caller, and while Redis
    does not answer, nothing is recorded.

    Args:
        code: the answer's ``error_code``.
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
