"""Wallets and histories of streaks, from the sums of a player's rows of each day."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import orjson
from django.db import connection

from core.db import utc_time
from players.player_state import WalletState
from progress import streak
from progress.models import ArchivedInteraction, InteractionType


def wallet_of(player_id: int) -> WalletState:
    """Return the player's wallet, computed from the ledger. One query."""
    return wallets_of([player_id])[player_id]


def wallets_of(player_ids: Sequence[int]) -> dict[int, WalletState]:
    """Return the wallets of these players, computed from the ledger. One query."""
    wallets = dict.fromkeys(player_ids, WalletState())
    if not wallets:
        return wallets
    for player_id, days in _days(wallets):
        wallets[player_id] = _wallet(days)
    return wallets


# One row for each player and day; the rows without a day are corrections of XP. Texts
# and integers, because conversions of times and decimals take longer than the query.
_DAYS = """
SELECT player_id, CAST(day AS CHAR), COUNT(CASE WHEN type = %s THEN 1 END), MAX(seq),
  CAST(SUM(xp) AS SIGNED),
  CAST(MAX(CASE WHEN type NOT IN (%s, %s, %s, %s, %s) THEN occurred_at END) AS CHAR),
  CAST(SUM(freezes) AS SIGNED),
  CAST(SUM(CASE WHEN type IN (%s, %s) THEN -freezes ELSE 0 END) AS SIGNED),
  CAST(SUM(CASE WHEN type IN (%s, %s) THEN freezes ELSE 0 END) AS SIGNED),
  CAST(MAX(CASE WHEN type = %s THEN last_day END) AS CHAR),
  CAST(MAX(CASE WHEN type = %s THEN last_day END) AS CHAR)
FROM {table} WHERE player_id IN ({players}) GROUP BY player_id, day
"""
# All days of the archived rows, in one text (`archived_days`); a count of -1 marks it.
_BASELINES = """
UNION ALL SELECT player_id, CAST(days AS CHAR), -1, seq, 0, NULL, 0, 0, 0, NULL, NULL
FROM progress_baseline WHERE player_id IN ({players})
"""
_TYPES = (
    InteractionType.LESSON_COMPLETED,
    # Nothing was played.
    *(InteractionType.STREAK_PAUSED, InteractionType.FREEZE_GIVEN),
    *(InteractionType.FREEZE_SPENT, InteractionType.FREEZE_RETURNED),
    InteractionType.SEASON_OPENED,
    *(InteractionType.FREEZE_SPENT, InteractionType.FREEZE_RETURNED),
    # A season takes freezes away on the days on which staff gave them.
    *(InteractionType.FREEZE_GIVEN, InteractionType.SEASON_OPENED),
    InteractionType.STREAK_PAUSED,
    InteractionType.SEASON_OPENED,
)


class _Day(NamedTuple):
    """The sums of a player's rows of one day; ``day`` is None for those without one.

    ``frozen`` is 1 on a day whose freeze was spent and not given back; ``off_until`` is
    the last of the days off that begin with it; ``ended`` the last day of an earlier
    season (`streak.History.ended`).
    """

    player_id: int
    day: str | None
    completions: int
    last: int
    xp: int
    played: str | None
    freezes: int
    frozen: int
    given: int
    off_until: str | None
    ended: str | None

    def plus(self, other: "_Day") -> "_Day":
        """Return the sums of both parts of the day's rows."""
        return _Day(
            self.player_id,
            self.day,
            self.completions + other.completions,
            max(self.last, other.last),
            self.xp + other.xp,
            max(self.played or "", other.played or "") or None,
            self.freezes + other.freezes,
            self.frozen + other.frozen,
            self.given + other.given,
            max(self.off_until or "", other.off_until or "") or None,
            max(self.ended or "", other.ended or "") or None,
        )


def _days(player_ids: Collection[int]) -> Iterator[tuple[int, list[_Day]]]:
    """Yield the days of each of these players who has rows. One query."""
    for player_id, days in _grouped_days(player_ids, _DAYS + _BASELINES):
        if days[0].completions >= 0:
            yield player_id, days
            continue
        whole: dict[str | None, _Day] = {}
        for one in [*_unpacked_days(days[0]), *days[1:]]:
            whole[one.day] = whole[one.day].plus(one) if one.day in whole else one
        yield player_id, list(whole.values())


def _grouped_days(
    player_ids: Collection[int], statement: str, table: str = "progress_interactionlog"
) -> Iterator[tuple[int, list[_Day]]]:
    # Not parameters: to quote them takes as long as the rest.
    numbers = ", ".join(map(str, map(int, player_ids)))
    with connection.cursor() as cursor:
        cursor.execute(
            statement.format(table=table, players=numbers) + "ORDER BY 1, 3", _TYPES
        )
        for player_id, days in groupby(cursor.fetchall(), itemgetter(0)):
            yield player_id, [_Day(*row) for row in days]


def archived_days(player_ids: Collection[int]) -> dict[int, tuple[int, str]]:
    """Return the last position of the archived rows of players, and their days as JSON.

    One query. A player without archived rows is left out.

    The JSON has a list of the values of each `_Day` without the player and without
    zeros at the end. The first one has the sums that are not about a day.
    """
    return {
        player_id: (max(one.last for one in days), _packed_days(days))
        for player_id, days in _grouped_days(
            player_ids, _DAYS, ArchivedInteraction._meta.db_table
        )
    }


def _packed_days(days: Sequence[_Day]) -> str:
    own = sorted((one for one in days if one.day), key=lambda one: one.day or "")
    xp, freezes = sum(one.xp for one in days), sum(one.freezes for one in days)
    played = max((one.played for one in own if one.played), default=None)
    packed = []
    for number, one in enumerate(own or days[:1]):
        sums = (0, 0, None, 0) if number else (0, xp, played, freezes)
        values = [one.day, min(one.completions, 1), *sums, *one[7:]]
        while not values[-1] and len(values) > 1:
            values.pop()
        packed.append(values)
    return orjson.dumps(packed).decode()


def _unpacked_days(baseline: _Day) -> Iterator[_Day]:
    zeros = (None, 0, 0, 0, None, 0, 0, 0, None, None)
    for number, values in enumerate(orjson.loads(baseline.day or "[]")):
        one = _Day(baseline.player_id, *values, *zeros[len(values) :])
        yield one._replace(last=baseline.last) if number == 0 else one


def _wallet(days: Collection[_Day]) -> WalletState:
    history = _history(days)
    freezes = max(0, sum(one.freezes for one in days))
    current = streak.of_history(history, freezes)
    played = max((one.played or "" for one in days if one.day), default="")
    return WalletState(
        seq=max(one.last for one in days),
        total_xp=max(0, sum(one.xp for one in days)),
        current_streak=current.days,
        last_success_date=current.last,
        last_played_at=utc_time(played) if played else None,
        freezes=freezes,
        frozen_days=streak.shown(history.frozen, current.last),
    )


def streak_history(player_id: int) -> streak.History:
    """Return what is recorded of the player's streak. One query."""
    return streak_histories([player_id])[player_id]


def streak_histories(player_ids: Collection[int]) -> dict[int, streak.History]:
    """Return what is recorded of the streaks of these players. One query, or none."""
    found = dict.fromkeys(player_ids, streak.History())
    if found:
        found |= {player_id: _history(days) for player_id, days in _days(found)}
    return found


def _history(days: Collection[_Day]) -> streak.History:
    successes: set[date] = set()
    frozen: set[date] = set()
    off: set[date] = set()
    given: dict[date, int] = {}
    for one in days:
        if one.day is None:
            continue
        day = date.fromisoformat(one.day)
        if one.completions:
            successes.add(day)
        if one.frozen > 0:
            frozen.add(day)
        if one.given:
            given[day] = one.given
        if one.off_until is not None:
            off.update(streak.days_of(day, date.fromisoformat(one.off_until)))
    ended = max((one.ended for one in days if one.ended), default=None)
    history = streak.History(successes, frozen, off, given)
    return history if ended is None else history.after(date.fromisoformat(ended))
