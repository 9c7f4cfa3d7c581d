"""The queries of the reviews that every request makes, as constant SQL.

The same querysets cost the process ten times as much, nearly all of it for compiling
them.

Each query is one statement. It also reads how far the player's cards follow the ledger
and the items, so the caller knows from the same snapshot whether its rows are current.

Times are answered as text, as the API shows them. All functions raise
`OperationalError` when the database does not answer.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.db import connection

from players.local_days import LocalDays
from progress import scheduler
from progress.api_types import DueItem, Intervals, SubjectReviews
from progress.scheduler import Parameters
from progress.services import review_parameters

_ALMOST_A_SECOND = timedelta(microseconds=999_999)


class Watermark(NamedTuple):
    """How far a player's cards follow, and the last position of the ledger, if any."""

    ledger_position: int
    items_version: str
    last_position: int | None

    def is_at(self, items_version: str) -> bool:
        """Return whether the cards follow the whole ledger and this version."""
        return (
            self.ledger_position == (self.last_position or 0)
            and self.items_version == items_version
        )


_WATERMARK = """
    SELECT mark.ledger_position, mark.items_version,
      (SELECT MAX(seq) FROM progress_interactionlog WHERE player_id = %(player)s)
    FROM progress_reviewwatermark AS mark
    WHERE mark.player_id = %(player)s
"""

# The cards are a table of their own inside each statement: MariaDB then reads them in
# the order of the index and stops at the limit. Of a plain join it sorts all due cards.

_SUBJECTS = """
    SELECT mark.ledger_position, mark.items_version,
      (SELECT MAX(seq) FROM progress_interactionlog WHERE player_id = %(player)s),
      cards.*
    FROM progress_reviewwatermark AS mark
    LEFT JOIN (
      SELECT subject_id, COUNT(*), COUNT(CASE WHEN due_at <= %(now)s THEN 1 END),
        MIN(due_at), COUNT(CASE WHEN due_at < %(tomorrow)s THEN 1 END),
        COUNT(CASE WHEN last_reviewed_at IS NULL THEN 1 END),
        COUNT(CASE WHEN failures >= %(leech)s THEN 1 END)
      FROM progress_reviewcard
      WHERE player_id = %(player)s AND is_active = 1
      GROUP BY subject_id
    ) AS cards ON 1 = 1
    WHERE mark.player_id = %(player)s
"""

_DUE = """
    SELECT mark.ledger_position, mark.items_version,
      (SELECT MAX(seq) FROM progress_interactionlog WHERE player_id = %(player)s),
      cards.item_id, cards.lesson_id, cards.subject_id, cards.due_at,
      cards.last_reviewed_at, cards.state, cards.failures
    FROM progress_reviewwatermark AS mark
    LEFT JOIN (
      SELECT item_id, lesson_id, subject_id, due_at, last_reviewed_at, state,
        failures, id
      FROM progress_reviewcard
      WHERE player_id = %(player)s AND is_active = 1 AND due_at <= %(now)s
      ORDER BY due_at, id
      LIMIT %(limit)s
    ) AS cards ON 1 = 1
    WHERE mark.player_id = %(player)s
    ORDER BY cards.due_at, cards.id
"""

# In the order of its index, which has two more columns for the overview.
_DUE_IN_SUBJECT = (
    _DUE.replace("is_active = 1", "is_active = 1 AND subject_id = %(subject)s")
    .replace("ORDER BY due_at, id", "ORDER BY due_at, last_reviewed_at, failures, id")
    .replace(
        "cards.due_at, cards.id",
        "cards.due_at, cards.last_reviewed_at, cards.failures, cards.id",
    )
)


def watermark(player_id: int) -> Watermark | None:
    """Return how far the player's cards follow; None: they have never followed."""
    rows = _rows(_WATERMARK, {"player": player_id})
    return Watermark(*rows[0]) if rows else None


def count_by_subject(
    player_id: int, days: LocalDays, now: datetime
) -> tuple[Watermark | None, list[SubjectReviews]]:
    """Return the watermark, and the counts of each subject with active cards.

    Those of today are by the player's days.

    Reads the player's part of the index ``progress_due_in_subject``.
    """
    parameters = {
        "player": player_id,
        "now": _parameter(now),
        "tomorrow": _parameter(days.end_of_day(now)),
        "leech": settings.REVIEW_LEECH_FAILURES,
    }
    rows = _rows(_SUBJECTS, parameters)
    counts = [
        SubjectReviews(
            total, due, _due_text(next_due_at), today, new, leeches, subject_id
        )
        for *_mark, subject_id, total, due, next_due_at, today, new, leeches in rows
        if subject_id is not None
    ]
    return _watermark_of(rows), counts


def due_items(
    player_id: int, now: datetime, *, subject_id: str | None, limit: int
) -> tuple[Watermark | None, list[DueItem]]:
    """Return the watermark, and the items that are due, longest due first.

    Reads at most ``limit`` cards, by the index ``progress_due``, or of one subject by
    ``progress_due_in_subject``.
    """
    parameters: dict[str, Any] = {
        "player": player_id,
        "now": _parameter(now),
        "limit": limit,
    }
    if subject_id is None:
        rows = _rows(_DUE, parameters)
    else:
        rows = _rows(_DUE_IN_SUBJECT, parameters | {"subject": subject_id})
    fsrs = review_parameters.current()
    items = [_due_item(now, fsrs, *row[3:]) for row in rows if row[3] is not None]
    return _watermark_of(rows), items


def _due_item(
    now: datetime,
    fsrs: Parameters,
    item_id: str,
    lesson_id: str,
    subject_id: str,
    due_at: datetime | str,
    reviewed_at: datetime | str | None,
    state: str,
    failures: int,
) -> DueItem:
    last = None if reviewed_at is None else _time(reviewed_at).replace(tzinfo=UTC)
    known, seconds = scheduler.forecast(
        state, last_reviewed_at=last, now=now, parameters=fsrs
    )
    return DueItem(
        item_id,
        lesson_id,
        subject_id,
        _due_text(due_at),
        None if reviewed_at is None else _text(_time(reviewed_at)),
        known,
        Intervals(*seconds),
        failures,
        review_parameters.is_leech(failures),
    )


class ChangedCard(NamedTuple):
    """A card as an app keeps it."""

    item_id: str
    lesson_id: str
    subject_id: str
    due_at: str
    last_reviewed_at: str | None
    is_active: bool
    buried_until: str | None
    failures: int
    is_leech: bool
    stability: float | None


_CARDS = """
    SELECT item_id, lesson_id, subject_id, due_at, last_reviewed_at, is_active,
      buried_until, failures, state
    FROM progress_reviewcard WHERE player_id = %(player)s
"""
_ACTIVE_CARDS = f"{_CARDS} AND is_active = 1 ORDER BY id"
_ALL_CARDS = f"{_CARDS} ORDER BY id"
_CHANGED_CARDS = f"""{_CARDS} AND (
      id IN (
        SELECT card_id FROM progress_reviewrating
        WHERE player_id = %(player)s AND position > %(rating)s
      ) OR id IN (
        SELECT card_id FROM progress_archivedrating
        WHERE player_id = %(player)s AND position > %(rating)s
      ) OR lesson_id IN (
        SELECT first_of FROM progress_interactionlog
        WHERE player_id = %(player)s AND seq > %(seq)s AND first_of IS NOT NULL
      ) OR lesson_id IN (
        SELECT first_of FROM progress_archivedinteraction
        WHERE player_id = %(player)s AND seq > %(seq)s AND first_of IS NOT NULL
      )
    ) ORDER BY id
"""  # noqa: S608 - constant texts


def active_cards(player_id: int) -> list[ChangedCard]:
    """Return the cards whose items are published and open to the player."""
    return _cards(_ACTIVE_CARDS, {"player": player_id})


def all_cards(player_id: int) -> list[ChangedCard]:
    """Return all cards, also those that are not active."""
    return _cards(_ALL_CARDS, {"player": player_id})


def cards_after(player_id: int, *, seq: int, rating: int) -> list[ChangedCard]:
    """Return the cards that changed after these positions of ledger and ratings.

    The cards must follow the ledger. Changes of the release, and of what the player may
    open, change other cards, too.
    """
    parameters = {"player": player_id, "seq": seq, "rating": rating}
    return _cards(_CHANGED_CARDS, parameters)


def _cards(statement: str, parameters: dict[str, Any]) -> list[ChangedCard]:
    return [
        ChangedCard(
            item_id,
            lesson_id,
            subject_id,
            _due_text(due_at),
            None if reviewed_at is None else _text(_time(reviewed_at)),
            bool(is_active),
            None if buried_until is None else _text(_time(buried_until)),
            failures,
            review_parameters.is_leech(failures),
            None if reviewed_at is None else orjson.loads(state)["stability"],
        )
        for (
            item_id,
            lesson_id,
            subject_id,
            due_at,
            reviewed_at,
            is_active,
            buried_until,
            failures,
            state,
        ) in _rows(statement, parameters)
    ]


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def _watermark_of(rows: list[tuple[Any, ...]]) -> Watermark | None:
    return Watermark(*rows[0][:3]) if rows else None


def _parameter(at: datetime) -> str:
    """Return what Django passes for an aware time, in a quarter of the time."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def _time(column: datetime | str) -> datetime:
    """Return the value of a time column, in UTC; SQLite has it as text."""
    return datetime.fromisoformat(column) if isinstance(column, str) else column


def _text(at: datetime) -> str:
    """Return what `core.parsing.time_text` does, in less time."""
    return f"{at.isoformat(timespec='seconds')}Z"


def _due_text(column: datetime | str) -> str:
    """Return the time rounded up: the item is due at the time that is answered."""
    return _text(_time(column) + _ALMOST_A_SECOND)
