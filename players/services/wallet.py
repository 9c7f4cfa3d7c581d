"""A player's wallet: XP and streak; see docs/architecture.md, "Ledger".

``progress`` keeps the ledger. The copy in Redis is read first and rebuilt from the
ledger when it is missing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import structlog
from django.db import transaction
from django.db.models import QuerySet

from core.hooks import Registry
from players import audit, records
from players.local_days import LocalDays
from players.models import SecurityEventType
from players.player_state import WalletState
from players.records import Found, StoreUnavailableError, Wanted
from players.services.devices import lock_player

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CurrentStreak:
    """A streak at one moment; it ends at ``ends_at`` unless a lesson is completed.

    ``ends_at`` is None if there is no streak. ``freezes`` are those left, and
    ``frozen_days`` the days of the last weeks that freezes were spent on: both as of
    that moment, also before a completion records it.
    """

    days: int = 0
    ends_at: datetime | None = None
    freezes: int = 0
    frozen_days: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class CurrentWallet:
    """A wallet at one moment: the streak is 0 after a missed day without a freeze."""

    total_xp: int
    current_streak: int
    streak_ends_at: datetime | None
    freezes: int
    frozen_days: tuple[date, ...]
    time_zone: str
    last_success_date: date | None
    last_played_at: datetime | None


class Ledger(Protocol):
    """The interface of the ledger that the wallet needs."""

    def wallet_of(self, player_id: int) -> WalletState:
        """Return the wallet, computed from the player's rows in the ledger."""

    def wallets_behind(self, since: datetime | None) -> list[tuple[int, int]]:
        """Return whose snapshots are behind the ledger, in the order of the players.

        Args:
            since: looks at rows received since then; None: returns every player.

        Returns:
            Each player, and the last position of their ledger.
        """

    def heads_of(self, player_ids: Collection[int]) -> dict[int, int]:
        """Return the last position of these players; those without rows are left out."""

    def wallets_of(self, player_ids: Sequence[int]) -> dict[int, WalletState]:
        """Return the wallets of these players. One query."""

    def streak_at(
        self, state: WalletState, days: LocalDays, now: datetime
    ) -> CurrentStreak:
        """Return the streak of that wallet at that aware time, in the player's zone."""

    def earliest_last_success(self, now: datetime, freezes: int) -> date:
        """Return the day before which a last success has ended its streak.

        In the zone of the settings.

        Args:
            freezes: how many the wallet has.
        """

    def completions_per_hour(
        self, *, since: datetime, players: QuerySet[Any] | None
    ) -> dict[datetime, int]:
        """Return how many lessons were completed, by the start of each hour in UTC.

        One query, which reads only the rows received since ``since``.

        Args:
            since: the start of an hour, a few days ago at the most.
            players: which `PlayerProfile` to count; None: all.
        """

    def add_correction(
        self, *, player_id: int, xp: int, reason: str, actor_id: int, now: datetime
    ) -> WalletState:
        """Add XP that staff give, and return the wallet with it.

        Part of the caller's transaction; Redis's copy is updated after the commit.
        """

    def add_freezes(
        self,
        *,
        player_id: int,
        number: int,
        reason: str,
        actor_id: int,
        days: LocalDays,
        now: datetime,
    ) -> WalletState:
        """Add streak freezes that staff give, as `add_correction` does."""


ledger: Registry[Ledger] = Registry(single=True)
"""The ledger, which ``progress`` adds at start-up."""


def get(player_id: int, found: Found | None = None) -> WalletState:
    """Return the wallet, from Redis if it is there, else from the ledger.

    Args:
        found: what the request's session check read; None: ask Redis now.
    """
    if found is None or not found.wanted.wallet:
        try:
            found = records.look(player_id, Wanted(wallet=True))
        except StoreUnavailableError as error:
            log.warning("wallet_read_from_ledger", error=type(error).__name__)
            return ledger.only.wallet_of(player_id)
    if found.wallet is not None:
        return found.wallet
    state = ledger.only.wallet_of(player_id)
    try:
        records.fill(found, wallet=state)
    except StoreUnavailableError as error:
        log.warning("wallet_not_kept", error=type(error).__name__)
    return state


def current(
    player_id: int, *, days: LocalDays, now: datetime, found: Found | None = None
) -> CurrentWallet:
    """Return the wallet at that aware time; the state is read as by `get`."""
    return at(get(player_id, found), days, now)


def at(state: WalletState, days: LocalDays, now: datetime) -> CurrentWallet:
    """Return a wallet as it is shown at that aware time. No query.

    Args:
        days: the player's (`access.PlayerAccess`, `PlayerProfile.local_days`).
    """
    streak = ledger.only.streak_at(state, days, now)
    return CurrentWallet(
        total_xp=state.total_xp,
        current_streak=streak.days,
        streak_ends_at=streak.ends_at,
        freezes=streak.freezes,
        frozen_days=streak.frozen_days,
        time_zone=days.zone,
        last_success_date=state.last_success_date,
        last_played_at=state.last_played_at,
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


@transaction.atomic
def give_freezes(
    *,
    player_id: int,
    number: int,
    reason: str,
    actor_id: int,
    ip_address: str | None = None,
    now: datetime,
) -> CurrentWallet:
    """Give a player streak freezes, with an audit row.

    Raises:
        PlayerNotFoundError: there is no such player.
        MemoraError: the number or the reason is refused.
    """
    profile = lock_player(player_id)
    state = ledger.only.add_freezes(
        player_id=player_id,
        number=number,
        reason=reason,
        actor_id=actor_id,
        days=profile.local_days,
        now=now,
    )
    audit.record(
        SecurityEventType.FREEZES_GIVEN,
        user_id=profile.user_id,
        actor_id=actor_id,
        ip_address=ip_address,
        freezes=number,
        reason=reason,
    )
    return at(state, profile.local_days, now)
