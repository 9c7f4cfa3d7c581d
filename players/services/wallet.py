"""A player's wallet: XP and streak; see docs/architecture.md, "Ledger".

``progress`` keeps the ledger. The copy in Redis is read first and rebuilt from the
ledger when it is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol

import structlog
from django.db import transaction

from core.hooks import Registry
from players import audit, store
from players.models import SecurityEventType
from players.services.devices import lock_player

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WalletState:
    """The contents of a wallet; the defaults are those of a new one.

    ``current_streak`` is as of ``last_success_date``; `current` returns it as of now.
    """

    total_xp: int = 0
    current_streak: int = 0
    last_success_date: date | None = None
    last_played_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CurrentStreak:
    """A streak at one moment; it ends at ``ends_at`` unless a lesson is completed.

    ``ends_at`` is None if there is no streak.
    """

    days: int = 0
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CurrentWallet:
    """A wallet at one moment: the streak is 0 after a missed day."""

    total_xp: int
    current_streak: int
    streak_ends_at: datetime | None
    last_success_date: date | None
    last_played_at: datetime | None


class Ledger(Protocol):
    """The interface of the ledger that the wallet needs."""

    def wallet_of(self, player_id: int) -> WalletState:
        """Return the wallet, computed from the player's rows in the ledger."""

    def streak_at(self, state: WalletState, now: datetime) -> CurrentStreak:
        """Return the streak of that wallet at that aware time."""

    def add_correction(
        self, *, player_id: int, xp: int, reason: str, actor_id: int, now: datetime
    ) -> WalletState:
        """Add XP that staff give, and return the wallet with it.

        Part of the caller's transaction; Redis's copy is updated after the commit.
        """


ledger: Registry[Ledger] = Registry(single=True)
"""The ledger, which ``progress`` adds at start-up."""


def get(player_id: int) -> WalletState:
    """Return the wallet, from Redis if it is there, else from the ledger."""
    try:
        fields, lease = store.read_wallet(player_id)
    except store.StoreUnavailableError as error:
        log.warning("wallet_read_from_ledger", error=type(error).__name__)
        return ledger.only.wallet_of(player_id)
    if fields is not None:
        return from_fields(fields)
    state = ledger.only.wallet_of(player_id)
    if lease:
        _keep(player_id, lease, state)
    return state


def current(player_id: int, *, now: datetime) -> CurrentWallet:
    """Return the wallet at that aware time; the state is read as by `get`."""
    state = get(player_id)
    streak = ledger.only.streak_at(state, now)
    return CurrentWallet(
        total_xp=state.total_xp,
        current_streak=streak.days,
        streak_ends_at=streak.ends_at,
        last_success_date=state.last_success_date,
        last_played_at=state.last_played_at,
    )


def _keep(player_id: int, lease: str, state: WalletState) -> None:
    try:
        store.put_wallet(player_id, lease=lease, fields=to_fields(state))
    except store.StoreUnavailableError as error:
        log.warning("wallet_not_kept", error=type(error).__name__)


def to_fields(state: WalletState) -> dict[str, str | int]:
    """Return the wallet as the fields of Redis's hash; "" is None.

    Times are UTC texts of equal length, so comparing the texts compares the times.
    """
    day, played = state.last_success_date, state.last_played_at
    return {
        "total_xp": state.total_xp,
        "current_streak": state.current_streak,
        "last_success_date": day.isoformat() if day else "",
        "last_played_at": (
            played.astimezone(UTC).isoformat(timespec="microseconds") if played else ""
        ),
    }


def from_fields(fields: Mapping[str, str]) -> WalletState:
    """Return the wallet of fields made by `to_fields`; a missing field is None or 0."""
    day, played = fields.get("last_success_date"), fields.get("last_played_at")
    return WalletState(
        total_xp=int(fields.get("total_xp") or 0),
        current_streak=int(fields.get("current_streak") or 0),
        last_success_date=date.fromisoformat(day) if day else None,
        last_played_at=datetime.fromisoformat(played) if played else None,
    )


@transaction.atomic
def correct(
    *,
    player_id: int,
    xp: int,
    reason: str,
    actor_id: int,
    ip_address: str | None = None,
    now: datetime,
) -> WalletState:
    """Give a player ``xp`` points by hand, with an audit row.

    Raises:
        PlayerNotFoundError: there is no such player.
    """
    profile = lock_player(player_id)
    state = ledger.only.add_correction(
        player_id=player_id, xp=xp, reason=reason, actor_id=actor_id, now=now
    )
    audit.record(
        SecurityEventType.WALLET_CORRECTED,
        user_id=profile.user_id,
        actor_id=actor_id,
        ip_address=ip_address,
        xp=xp,
        reason=reason,
    )
    return state
