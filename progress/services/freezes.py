"""The streak and its freezes in a wallet, and their rows in the ledger."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from players.player_state import WalletState
from progress import streak
from progress.models import InteractionLog, InteractionType
from progress.services import ledger
from progress.streak import Change, Streak


def streak_of(wallet: WalletState) -> Streak:
    """Return the streak as of the wallet's last completion."""
    return Streak(wallet.current_streak, wallet.last_success_date, wallet.freezes)


def wallet_fields(wallet: WalletState, change: Change) -> dict[str, Any]:
    """Return the fields of the wallet that the change sets."""
    frozen = {*wallet.frozen_days, *change.spent} - set(change.returned)
    return {
        "current_streak": change.streak.days,
        "last_success_date": change.streak.last,
        "freezes": change.streak.freezes,
        "frozen_days": streak.shown(frozen, change.streak.last),
    }


def rows_of(change: Change, cause: InteractionLog) -> Iterator[InteractionLog]:
    """Yield the rows of a change beside that of its cause, without positions.

    One for each freeze that is spent or given back, and one for each run of days off.
    """
    for first, last in change.off:
        yield _row(InteractionType.STREAK_PAUSED, cause, first, last_day=last)
    for day in change.returned:
        yield _row(InteractionType.FREEZE_RETURNED, cause, day, freezes=1)
    for day in change.spent:
        yield _row(InteractionType.FREEZE_SPENT, cause, day, freezes=-1)


def _row(
    kind: InteractionType,
    cause: InteractionLog,
    day: date,
    *,
    freezes: int = 0,
    last_day: date | None = None,
) -> InteractionLog:
    return InteractionLog(
        player_id=cause.player_id,
        event_id=ledger.server_event(),
        type=kind,
        reference_id="streak",
        day=day,
        last_day=last_day,
        freezes=freezes,
        occurred_at=cause.occurred_at,
        received_at=cause.received_at,
    )
