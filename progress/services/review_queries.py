"""The queries of the reviews that every request makes, as constant SQL.

The same querysets cost the process ten times as much, nearly all of it for compiling
them.

Each query is one statement. It also reads how far the player's cards follow the ledger
and the items, so the caller knows from the same snapshot whether its rows are current.

Times are texts: what the statements cast them to takes less time than the conversions
of the driver. The functions return them as the API shows them. All functions raise
`OperationalError` when the database does not answer.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.db import connection

from core.batches import batches
from core.db import parameter_marks, utc_time
from players.local_days import LocalDays
from progress import scheduler
from progress.api_types import DueItem, Intervals, SubjectReviews
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

    def is_behind(self, items_version: str) -> bool:
        """Return whether the cards follow this version and the first rows of the ledger.

        Not after a restore that lost rows which the cards follow.
        """
        return (
            self.ledger_position <= (self.last_position or 0)
            and self.items_version == items_version
        )


class Place(NamedTuple):
    """What a card says about its item, without the memory."""

    pk: int
    item_id: str
    lesson_id: str
    subject_id: str
    is_active: bool


_WATERMARK = """
    SELECT COALESCE(mark.ledger_position, 0), COALESCE(mark.items_version, ''),
      (SELECT MAX(seq) FROM progress_interactionlog WHERE player_id = %(player)s)
    FROM players_playerprofile AS player
    LEFT JOIN progress_reviewwatermark AS mark ON mark.player_id = player.id
    WHERE player.id = %(player)s
"""

_MOVE_WATERMARK = """
    UPDATE progress_reviewwatermark SET ledger_position = %s
    WHERE player_id = %s AND ledger_position = %s AND items_version = %s
"""

_PLACES = """
    SELECT id, item_id, lesson_id, subject_id, is_active FROM progress_reviewcard
    WHERE player_id = %s {condition} ORDER BY id
"""

_SUBJECTS = """
    SELECT mark.ledger_position, mark.items_version,
      (SELECT MAX(seq) FROM progress_interactionlog WHERE player_id = %(player)s),
      cards.*
    FROM progress_reviewwatermark AS mark
    LEFT JOIN (
      SELECT subject_id, COUNT(*), COUNT(CASE WHEN due_at <= %(now)s THEN 1 END),
        CAST(MIN(due_at) AS CHAR), COUNT(CASE WHEN due_at < %(tomorrow)s THEN 1 END),
        COUNT(CASE WHEN last_reviewed_at IS NULL THEN 1 END),
        COUNT(CASE WHEN failures >= %(leech)s THEN 1 END)
      FROM progress_reviewcard
      WHERE player_id = %(player)s AND is_active = 1
      GROUP BY subject_id
    ) AS cards ON 1 = 1
    WHERE mark.player_id = %(player)s
"""

# The due cards are a table of their own inside the statement: MariaDB then reads them in
# the order of an index and stops at the limit. Of a plain join it sorts all due cards.
# That table has no texts and the result no order, because MariaDB would write tables with
# long texts, such as ``state``, to the disk.
_DUE = """
    SELECT mark.ledger_position, mark.items_version,
      (SELECT MAX(seq) FROM progress_interactionlog WHERE player_id = %(player)s),
      CAST(card.due_at AS CHAR), card.id, card.item_id, card.lesson_id,
      card.subject_id, CAST(card.last_reviewed_at AS CHAR), card.state, card.failures
    FROM progress_reviewwatermark AS mark
    LEFT JOIN (
      SELECT id FROM progress_reviewcard
      WHERE player_id = %(player)s AND is_active = 1 AND due_at <= %(now)s
      ORDER BY due_at, id
      LIMIT %(limit)s
    ) AS due ON 1 = 1
    LEFT JOIN progress_reviewcard AS card ON card.id = due.id
    WHERE mark.player_id = %(player)s
"""

# In the order of its index, which has two more columns for the overview.
_DUE_IN_SUBJECT = _DUE.replace(
    "is_active = 1", "is_active = 1 AND subject_id = %(subject)s"
).replace("ORDER BY due_at, id", "ORDER BY due_at, last_reviewed_at, failures, id")


def watermark(player_id: int) -> Watermark:
    """Return how far the player's cards follow.

    Position 0 and no version if they have never followed.
    """
    rows = _rows(_WATERMARK, {"player": player_id})
    return Watermark(*rows[0]) if rows else Watermark(0, "", None)


def move_watermark(player_id: int, mark: Watermark) -> bool:
    """Let the cards follow up to the last position of ``mark``, which needs no new ones.

    Returns:
        False: the watermark is no longer the one that ``mark`` was read from.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVE_WATERMARK,
            [
                mark.last_position or 0,
                player_id,
                mark.ledger_position,
                mark.items_version,
            ],
        )
        return bool(cursor.rowcount)


def places(player_id: int, item_ids: Collection[str] | None) -> list[Place]:
    """Return the player's cards without their memory; of these items, or all."""
    if item_ids is None:
        found = _rows(_PLACES.format(condition=""), [player_id])
    else:
        found = [
            row
            for batch in batches(list(item_ids))
            for row in _rows(
                _PLACES.format(
                    condition=f"AND item_id IN ({parameter_marks(len(batch))})"
                ),
                [player_id, *batch],
            )
        ]
    return [
        Place(pk, item_id, lesson_id, subject_id, bool(is_active))
        for pk, item_id, lesson_id, subject_id, is_active in found
    ]


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
    cards = [row[3:] for row in rows if row[3] is not None]
    cards.sort(key=itemgetter(0, 1))
    fsrs, leech = review_parameters.current(), settings.REVIEW_LEECH_FAILURES
    items = []
    for card in cards:
        due_at, _id, item, lesson, subject, reviewed_at, state, failures = card
        last = None if reviewed_at is None else utc_time(reviewed_at)
        known, seconds = scheduler.forecast(
            state, last_reviewed_at=last, now=now, parameters=fsrs
        )
        items.append(
            DueItem(
                item,
                lesson,
                subject,
                _due_text(due_at),
                None if reviewed_at is None else _text(reviewed_at),
                known,
                Intervals(*seconds),
                failures,
                failures >= leech,
            )
        )
    return _watermark_of(rows), items


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
    SELECT item_id, lesson_id, subject_id, CAST(due_at AS CHAR),
      CAST(last_reviewed_at AS CHAR), is_active, CAST(buried_until AS CHAR), failures,
      state
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
    leech = settings.REVIEW_LEECH_FAILURES
    return [
        ChangedCard(
            item_id,
            lesson_id,
            subject_id,
            _due_text(due_at),
            None if reviewed_at is None else _text(reviewed_at),
            bool(is_active),
            None if buried_until is None else _text(buried_until),
            failures,
            failures >= leech,
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


def _rows(
    statement: str, parameters: dict[str, Any] | list[Any]
) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def _watermark_of(rows: list[tuple[Any, ...]]) -> Watermark | None:
    return Watermark(*rows[0][:3]) if rows else None


def _parameter(at: datetime) -> str:
    """Return what Django passes for an aware time, in a quarter of the time."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def _text(time: str) -> str:
    """Return what `core.parsing.time_text` does."""
    return f"{time[:10]}T{time[11:19]}Z"


def _due_text(time: str) -> str:
    """Return the time rounded up: the item is due at the time that is answered."""
    rounded = datetime.fromisoformat(time) + _ALMOST_A_SECOND
    return f"{rounded.isoformat(timespec='seconds')}Z"
