"""The ledger's part of a wallet (`players.services.wallet.Ledger`)."""

from dataclasses import replace
from datetime import date, datetime
from functools import partial

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
    PositionTakenError,
    completions_per_hour,
    heads_of,
    wallet_of,
    wallets_behind,
    wallets_of,
)

__all__ = [
    "add_correction",
    "completions_per_hour",
    "earliest_last_success",
    "heads_of",
    "streak_at",
    "wallet_of",
    "wallets_behind",
    "wallets_of",
]

_ATTEMPTS = 5


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
        PositionTakenError: the player completed lessons at the same moment, five times.
    """
    if not xp:
        raise InvalidCorrectionError(_("Write how much XP to give."))
    if not reason.strip():
        raise InvalidCorrectionError(_("Write why the XP is corrected."))
    for left in reversed(range(_ATTEMPTS)):
        start = writing.from_ledger(player_id)
        total = start.wallet.total_xp
        if total + xp < 0:
            raise InvalidCorrectionError(
                _("The player has %(total)d XP: you cannot take %(taken)d.")
                % {"total": total, "taken": -xp}
            )
        row = InteractionLog(
            player_id=player_id,
            seq=start.next_seq,
            event_id=ledger.server_event(),
            type=InteractionType.XP_CORRECTED,
            reference_id="wallet",
            xp=xp,
            data={"reason": reason.strip(), "actor_id": actor_id},
            occurred_at=now,
            received_at=now,
        )
        try:
            ledger.append_in_transaction([row])
        except PositionTakenError:
            if not left:
                raise
        else:
            break
    after = replace(start.wallet, seq=row.seq, total_xp=total + xp)
    transaction.on_commit(partial(writing.finish, start, after))
    return after
