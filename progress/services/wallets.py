"""The ledger's part of a wallet (`players.services.wallet.Ledger`)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from players.local_days import LocalDays
from players.player_state import WalletState
from players.services.wallet import CurrentStreak
from progress import streak
from progress.errors import InvalidCorrectionError
from progress.models import InteractionLog, InteractionType
from progress.services import calendar, freezes, ledger, writing
from progress.services.ledger import (
    completions_per_hour,
    heads_of,
    wallet_of,
    wallets_behind,
    wallets_of,
)
from progress.services.writing import Start

__all__ = [
    "add_correction",
    "add_freezes",
    "completions_per_hour",
    "earliest_last_success",
    "heads_of",
    "streak_at",
    "wallet_of",
    "wallets_behind",
    "wallets_of",
]


def streak_at(state: WalletState, days: LocalDays, now: datetime) -> CurrentStreak:
    """Return the wallet's streak at that aware time (`progress.streak`)."""
    rules, held = calendar.rules(days), freezes.streak_of(state)
    current = streak.as_of(held, days.day_of(now), rules.is_off)
    too_late = streak.first_day_too_late(held, rules.is_off) if current.days else None
    return CurrentStreak(
        days=current.days,
        ends_at=None if too_late is None else days.beginning_of(too_late),
        freezes=current.freezes,
        frozen_days=(*state.frozen_days, *current.frozen),
    )


def earliest_last_success(now: datetime, freezes: int) -> date:
    """Return the day before which a last success has ended its streak.

    In the zone of the settings.

    Args:
        freezes: how many the wallet has.
    """
    days = LocalDays(settings.STREAK_TIME_ZONE)
    return streak.earliest_last(days.day_of(now), freezes, calendar.rules(days).is_off)


def add_correction(
    *, player_id: int, xp: int, reason: str, actor_id: int, now: datetime
) -> WalletState:
    """Record XP that a member of staff gives, or (negative) takes away.

    Part of the caller's transaction, which holds the lock on the player. The wallet in
    Redis follows after the commit; after a crash in between, it expires.

    Returns:
        The wallet with the correction.

    Raises:
        InvalidCorrectionError: ``xp`` is 0, the reason is empty, or more XP is taken
            than the player has.
    """
    if not xp:
        raise InvalidCorrectionError(_("Write how much XP to give."))
    if not reason.strip():
        raise InvalidCorrectionError(_("Write why the XP is corrected."))

    def decided(start: Start) -> tuple[InteractionLog, WalletState]:
        total = start.wallet.total_xp
        if total + xp < 0:
            raise InvalidCorrectionError(
                _("The player has %(total)d XP: you cannot take %(taken)d.")
                % {"total": total, "taken": -xp}
            )
        row = InteractionLog(
            type=InteractionType.XP_CORRECTED, reference_id="wallet", xp=xp
        )
        return row, replace(start.wallet, total_xp=total + xp)

    return _append(
        player_id, decided, data={"reason": reason, "actor_id": actor_id}, now=now
    )


def add_freezes(
    *,
    player_id: int,
    number: int,
    reason: str,
    actor_id: int,
    days: LocalDays,
    now: datetime,
) -> WalletState:
    """Record streak freezes that a member of staff gives.

    Part of the caller's transaction, as in `add_correction`.

    Args:
        days: the player's.

    Returns:
        The wallet with them, as of its last completion.

    Raises:
        InvalidCorrectionError: ``number`` is not positive, the reason is empty, or the
            player would have more than ``settings.STREAK_MOST_FREEZES``.
    """
    if number < 1:
        raise InvalidCorrectionError(_("Write how many streak freezes to give."))
    if not reason.strip():
        raise InvalidCorrectionError(_("Write why the freezes are given."))
    most = settings.STREAK_MOST_FREEZES

    def decided(start: Start) -> tuple[InteractionLog, WalletState]:
        left = streak_at(start.wallet, days, now).freezes
        if left + number > most:
            raise InvalidCorrectionError(
                _("The player has streak freezes: %(left)d of at most %(most)d.")
                % {"left": left, "most": most}
            )
        row = InteractionLog(
            type=InteractionType.FREEZE_GIVEN,
            reference_id="streak",
            day=streak.day_of_gift(freezes.streak_of(start.wallet), days.day_of(now)),
            freezes=number,
        )
        return row, replace(start.wallet, freezes=start.wallet.freezes + number)

    return _append(
        player_id, decided, data={"reason": reason, "actor_id": actor_id}, now=now
    )


def _append(
    player_id: int,
    decided: Callable[[Start], tuple[InteractionLog, WalletState]],
    *,
    data: dict[str, Any],
    now: datetime,
) -> WalletState:
    """Append a row of staff, decided on the state before it, and return the wallet."""
    ledger.lock([player_id])
    start = writing.from_ledger(player_id)
    row, wallet = decided(start)
    row.player_id, row.seq = player_id, start.next_seq
    row.event_id = ledger.server_event()
    row.data = {**data, "reason": data["reason"].strip()}
    row.occurred_at = row.received_at = now
    ledger.insert([row])
    after = replace(wallet, seq=row.seq)
    transaction.on_commit(partial(writing.finish, start, after))
    return after
