"""XP for sessions of reviews; see docs/architecture.md, "Reviews".

A session is a run of ratings with less than ``settings.REVIEW_SESSION_GAP_MINUTES``
between neighbours, on any device. The rating that begins one earns its XP, as a row of
the ledger. Ratings are looked at one after the other in the order in which they are
recorded, so one batch and many give the same rows.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from players.local_days import LocalDays
from progress.models import InteractionType
from progress.services import ledger


class SessionsChangedError(Exception):
    """Other sessions are to be paid than the batch was decided with."""

    def __init__(self, sessions: Mapping[int, datetime]) -> None:
        super().__init__()
        self.sessions = sessions


def to_pay(
    player_id: int,
    ratings: Sequence[tuple[int, datetime]],
    *,
    days: LocalDays,
    own: Collection[str],
) -> dict[int, datetime]:
    """Return the ratings that begin a session that earns XP, with their times.

    One query; one more if a session begins. Call it in the transaction that records the
    ratings, with the lock on the player's cards, before they are inserted.

    Args:
        days: the player's.
        ratings: the place of each in its batch, and its time; in their order.
        own: the event ids of the rows that the batch has inserted; they do not count.
    """
    if not settings.XP_REVIEW_SESSION or not settings.XP_REVIEW_SESSIONS_PER_DAY:
        return {}
    gap = timedelta(minutes=settings.REVIEW_SESSION_GAP_MINUTES)
    begun = _without_neighbours(ratings, gap)
    if not begun:
        return {}
    known = _have_neighbours(player_id, list(begun.values()), gap)
    begun = {
        place: at
        for (place, at), is_known in zip(begun.items(), known, strict=True)
        if not is_known
    }
    if not begun:
        return {}
    day_of = {place: days.day_of(at) for place, at in begun.items()}
    return _below_the_cap(player_id, begun, day_of, own)


def _without_neighbours(
    ratings: Sequence[tuple[int, datetime]], gap: timedelta
) -> dict[int, datetime]:
    """Return those that are not within the gap of an earlier one of the batch."""
    found: dict[int, datetime] = {}
    seen: list[datetime] = []
    for place, at in ratings:
        index = bisect_left(seen, at)
        neighbours = seen[max(index - 1, 0) : index + 1]
        if not any(abs(at - one) < gap for one in neighbours):
            found[place] = at
        insort(seen, at)
    return found


_NEAR = " OR ".join(
    f"""EXISTS (SELECT 1 FROM {table}
  WHERE player_id = %s AND reviewed_at > %s AND reviewed_at < %s AND rating > 0)"""  # noqa: S608
    for table in ("progress_reviewrating", "progress_archivedrating")
)


def _have_neighbours(
    player_id: int, times: Sequence[datetime], gap: timedelta
) -> list[bool]:
    """Return whether a recorded rating is within the gap of each time. One query."""
    adapt = connection.ops.adapt_datetimefield_value
    parameters: list[Any] = []
    for at in times:
        parameters += [player_id, adapt(at - gap), adapt(at + gap)] * 2
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join([_NEAR] * len(times))}", parameters)
        [row] = cursor.fetchall()
    return [bool(value) for value in row]


def _below_the_cap(
    player_id: int,
    begun: Mapping[int, datetime],
    days: Mapping[int, date],
    own: Collection[str],
) -> dict[int, datetime]:
    """Return those that are paid: so many a day. One query."""
    rows = ledger.whole(
        lambda rows: (
            rows.filter(
                player_id=player_id,
                day__in=set(days.values()),
                type=InteractionType.REVIEW_SESSION,
            )
            .exclude(event_id__in=own)
            .values_list("day")
        )
    )
    paid: Counter[date | None] = Counter(day for (day,) in rows)
    found: dict[int, datetime] = {}
    for place, at in begun.items():
        if paid[days[place]] < settings.XP_REVIEW_SESSIONS_PER_DAY:
            paid[days[place]] += 1
            found[place] = at
    return found
