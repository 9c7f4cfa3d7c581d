"""The numbers of the player dashboard and of the metrics.

They come from the snapshots (`PlayerWallet`), from indexes of the tables of players,
sessions and security events, and from the last 48 hours of the ledger. The number of
queries does not depend on the data. Snapshots are up to 15 minutes old.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone
from django.utils.functional import Promise

from players.errors import DeviceLimitError, DeviceNotAuthorizedError
from players.models import (
    DEVICE_SLOTS,
    PlayerProfile,
    PlayerWallet,
    SecurityEvent,
    SecurityEventType,
    Session,
    User,
)
from players.services.wallet import ledger
from publishing.api import periodic_jobs

HOURS = 48
XP_STEPS = (0, 1, 100, 500, 1_000, 5_000, 10_000)
STREAK_STEPS = (0, 1, 2, 3, 7, 14, 30)
"""The lowest values of the ranges that players are counted in."""
LISTED = 10
"""How many players near the limit of devices are listed."""
DAY, WEEK, MONTH = timedelta(days=1), timedelta(days=7), timedelta(days=30)
_DEVICE_CODES = (DeviceNotAuthorizedError.code, DeviceLimitError.code)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which players are counted, by primary keys; None: all."""

    plan: int | None = None
    """The players are enrolled in it."""
    grade: int | None = None
    group: int | None = None

    @property
    def players(self) -> QuerySet[Any] | None:
        """The selected players; None without a filter."""
        filters: dict[str, Any] = {}
        if self.plan is not None:
            filters["enrollments__plan"] = self.plan
        if self.grade is not None:
            filters["grade"] = self.grade
        if self.group is not None:
            filters["memberships__group"] = self.group
        if not filters:
            return None
        return PlayerProfile.objects.filter(erased_at=None, **filters)


@dataclass(frozen=True, slots=True)
class Periods:
    """Counts of players since midnight, and in the last 7 and 30 days."""

    today: int
    week: int
    month: int


@dataclass(frozen=True, slots=True)
class Range:
    """How many players have a value from ``low`` to ``high``; None: and more."""

    low: int
    high: int | None
    players: int


@dataclass(frozen=True, slots=True)
class NearLimit:
    """A player who has two devices and tried to sign in from another one."""

    player: int
    name: str
    refusals: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Lag:
    """Until when a write-back is complete; None before its first run."""

    label: Promise
    complete_until: datetime | None
    is_late: bool


@dataclass(frozen=True, slots=True)
class Dashboard:
    """All numbers at one moment."""

    now: datetime
    players: int
    new: Periods
    active: Periods
    """Players who completed or failed a lesson, by the snapshots."""
    xp: tuple[Range, ...]
    streaks: tuple[Range, ...]
    """Streaks that have not ended; a streak of 0 days is none."""
    hours: tuple[tuple[datetime, int], ...]
    """The completions of each of the last 48 hours, the oldest first."""
    signed_in: int
    refused: Mapping[str, int]
    """The refused sign-ins of the last 24 hours, by error code."""
    near_limit: tuple[NearLimit, ...]
    """The `LISTED` players with the most refusals in the last 7 days."""
    near_limit_total: int
    lags: tuple[Lag, ...]

    @property
    def completions(self) -> int:
        return sum(count for _hour, count in self.hours)

    @property
    def refused_total(self) -> int:
        return sum(self.refused.values())


def load(selection: Selection, *, now: datetime) -> Dashboard:
    """Return the numbers of the selected players. Eight queries.

    Raises:
        django.db.Error: the database is unavailable.
    """
    players = selection.players
    counted = _count_players(players, now)
    wallets = _count_wallets(players, now)
    near_limit, near_limit_total = _near_limit(players, now)
    return Dashboard(
        now=now,
        players=counted["total"],
        new=_periods(counted),
        active=_periods(wallets),
        xp=_ranges(wallets, "xp", XP_STEPS, counted["total"]),
        streaks=_ranges(wallets, "streak", STREAK_STEPS, counted["total"]),
        hours=_hours(players, now),
        signed_in=signed_in(players),
        refused=refused_sign_ins(players, since=now - DAY),
        near_limit=near_limit,
        near_limit_total=near_limit_total,
        lags=_lags(now),
    )


def count_players() -> int:
    """Return how many students there are. One query."""
    return PlayerProfile.objects.filter(erased_at=None).count()


def signed_in(players: QuerySet[Any] | None = None) -> int:
    """Return how many of the players have a session. One query."""
    held = Session.objects.all()
    return (held if players is None else held.filter(player__in=players)).count()


def refused_sign_ins(
    players: QuerySet[Any] | None = None, *, since: datetime
) -> dict[str, int]:
    """Return the refused sign-ins by error code, the most frequent first. One query.

    Without ``players``, sign-ins with unknown addresses are counted, too.
    """
    events = _refusals(players, since)
    rows = (
        events.annotate(code=KeyTextTransform("code", "details"))
        .order_by()
        .values_list("code")
        .annotate(count=Count("pk"))
    )
    return dict(sorted(rows, key=lambda row: (-row[1], str(row[0]))))


def _refusals(players: QuerySet[Any] | None, since: datetime) -> QuerySet[Any]:
    """Return the events of refused sign-ins; other refused requests name a URL."""
    events: QuerySet[Any] = SecurityEvent.objects.filter(
        type=SecurityEventType.REFUSED, created_at__gte=since
    ).exclude(details__has_key="endpoint")
    if players is None:
        return events
    return events.filter(user__in=players.values("user"))


def _midnight(now: datetime) -> datetime:
    return timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)


def _since(column: str, now: datetime) -> dict[str, Any]:
    """Return the aggregates of `Periods` for a column of times."""
    starts = {"today": _midnight(now), "week": now - WEEK, "month": now - MONTH}
    return {
        name: Count("pk", filter=Q(**{f"{column}__gte": start}))
        for name, start in starts.items()
    }


def _periods(counted: Mapping[str, int]) -> Periods:
    return Periods(counted["today"], counted["week"], counted["month"])


def _count_players(players: QuerySet[Any] | None, now: datetime) -> dict[str, int]:
    """Count players, and the new ones. One query, of an index if there is no filter."""
    if players is None:
        players = PlayerProfile.objects.filter(erased_at=None)
    return players.aggregate(total=Count("pk"), **_since("created_at", now))


def _count_wallets(players: QuerySet[Any] | None, now: datetime) -> dict[str, int]:
    """Count the snapshots by their last play, XP and streak. One query."""
    wallets = PlayerWallet.objects.all()
    if players is not None:
        wallets = wallets.filter(player__in=players)
    going_on = _going_on(now)
    counts = _since("last_played_at", now)
    for low, high in _bounds(XP_STEPS):
        counts[f"xp_{low}"] = Count("pk", filter=_within("total_xp", low, high))
    for low, high in _bounds(STREAK_STEPS):
        days = _within("current_streak", low, high)
        counts[f"streak_{low}"] = Count("pk", filter=going_on & days)
    return wallets.aggregate(**counts)


def _going_on(now: datetime) -> Q:
    """Match the snapshots of streaks that have not ended, in the installation's zone."""
    most = settings.STREAK_MOST_FREEZES
    found = Q()
    for freezes in range(most + 1):
        held = Q(freezes__gte=most) if freezes == most else Q(freezes=freezes)
        earliest = ledger.only.earliest_last_success(now, freezes)
        found |= held & Q(last_success_date__gte=earliest)
    return found


def _bounds(steps: tuple[int, ...]) -> list[tuple[int, int | None]]:
    """Return the ranges above 0, each with its lowest and its highest value."""
    highs = [following - 1 for following in steps[2:]]
    return list(zip(steps[1:], [*highs, None], strict=True))


def _within(column: str, low: int, high: int | None) -> Q:
    at_least = Q(**{f"{column}__gte": low})
    return at_least if high is None else at_least & Q(**{f"{column}__lte": high})


def _ranges(
    counted: Mapping[str, int], name: str, steps: tuple[int, ...], total: int
) -> tuple[Range, ...]:
    above = [Range(low, high, counted[f"{name}_{low}"]) for low, high in _bounds(steps)]
    rest = total - sum(found.players for found in above)
    return (Range(0, 0, max(rest, 0)), *above)


def _hours(
    players: QuerySet[Any] | None, now: datetime
) -> tuple[tuple[datetime, int], ...]:
    """Return the completions of the last `HOURS` hours. One query."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    starts = [this_hour - timedelta(hours=back) for back in range(HOURS - 1, -1, -1)]
    counts = ledger.only.completions_per_hour(since=starts[0], players=players)
    return tuple((start, counts.get(start, 0)) for start in starts)


def _near_limit(
    players: QuerySet[Any] | None, now: datetime
) -> tuple[tuple[NearLimit, ...], int]:
    """Return the players near the limit of devices, and how many they are. Two queries.

    They have two devices, and in the last 7 days a sign-in from another one was
    refused.
    """
    full: QuerySet[Any] = PlayerProfile.objects.filter(erased_at=None)
    for slot in DEVICE_SLOTS:
        full = full.filter(devices__slot=slot)
    rows = list(
        _refusals(players, now - WEEK)
        .filter(details__code__in=_DEVICE_CODES, user__in=full.values("user"))
        .order_by()
        .values_list("user")
        .annotate(count=Count("pk"), last=Max("created_at"))
    )
    rows.sort(key=lambda row: (row[1], row[2]), reverse=True)
    names = _names(user for user, _count, _last in rows[:LISTED])
    listed = tuple(
        NearLimit(*names[user], count, last)
        for user, count, last in rows[:LISTED]
        if user in names
    )
    return listed, len(rows)


def _names(user_ids: Iterable[int]) -> dict[int, tuple[int, str]]:
    """Return the player's key and the name of each account."""
    # With 0, which no row has, so that the number of queries is always the same.
    users = User.objects.filter(pk__in=[0, *user_ids], player__isnull=False)
    return {
        user.pk: (user.player.pk, user.get_full_name())
        for user in users.select_related("player")
    }


def _lags(now: datetime) -> tuple[Lag, ...]:
    return tuple(
        Lag(
            job.label,
            job.complete_until,
            job.complete_until is None
            or now - job.complete_until > timedelta(seconds=job.late_after_seconds),
        )
        for jobs in periodic_jobs
        for job in jobs()
    )
