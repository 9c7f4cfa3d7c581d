"""The log of ratings, and the memory of cards; see docs/architecture.md, "Reviews".

The ratings of a player have positions 1, 2, 3 …. A batch is decided on the cards as they
are at one position, and its ratings are inserted after it in the same transaction. The
database refuses them if another batch was first.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db import connection

from core.upsert import insert, upsert
from players.local_days import LocalDays
from progress import scheduler
from progress.models import ArchivedRating, ReviewCard, ReviewRating
from progress.scheduler import Parameters
from progress.services import review_parameters
from progress.services.events import Origin


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a card, rated 1 to 4, at an aware time not before it was met.

    With the rating `scheduler.BURIED` it hides the card until the next day.

    ``lesson_id`` is the app's; the card may have moved since. ``origin`` is that of a
    queued event.
    """

    card: ReviewCard
    lesson_id: str
    rating: int
    reviewed_at: datetime
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A request or event with a key: the key's hash, and what a repeat gets."""

    key_hash: str
    fingerprint: str
    response: dict[str, Any]


def find_answer(player_id: int, key_hash: str) -> StoredAnswer | None:
    """Return what was recorded with that key. One query."""
    rows, archived = (
        model.objects.order_by().filter(player_id=player_id, idempotency_key=key_hash)
        for model in (ReviewRating, ArchivedRating)
    )
    for (found,) in rows.values_list("batch").union(archived.values_list("batch")):
        return StoredAnswer(key_hash, found["fingerprint"], found["response"])
    return None


def last_position(player_id: int) -> int:
    """Return the last position of the player's log; 0 without ratings. One query.

    Read it before the cards: they are then not older than the log at this position, and
    `append` fails if they are newer.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT MAX(position) FROM progress_reviewrating WHERE player_id = %s",
            [player_id],
        )
        [(last,)] = cursor.fetchall()
    return last or 0


def remember(answers: Sequence[Answer], days: LocalDays) -> None:
    """Change the memory of the answered cards, which are not saved.

    A memory is the one of the card's ratings in the order of their times, those of equal
    times in the order of their positions. One query if an answer is older than another
    one that its card has had already, or if the parameters have changed since.

    Args:
        answers: those of one card in the order of their times.
        days: the player's.
    """
    parameters = review_parameters.current()
    fresh: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
    cards = {answer.card.pk: answer.card for answer in answers}
    for answer in answers:
        card, at = answer.card, answer.reviewed_at
        if answer.rating == scheduler.BURIED:
            until = days.end_of_day(at)
            card.buried_until = max(until, card.buried_until or until)
        else:
            fresh[card.pk].append((at, answer.rating))
    again = [
        pk for pk, rated in fresh.items() if _is_replayed(cards[pk], rated, parameters)
    ]
    history = _history(again)
    for pk, rated in fresh.items():
        card = cards[pk]
        card.failures += sum(rating == scheduler.AGAIN for _at, rating in rated)
        if pk in history:
            ratings = sorted(history[pk] + rated, key=itemgetter(0))
            memory = scheduler.replay(card.met_at, ratings, parameters)
            card.state, card.last_reviewed_at = memory.state, memory.last_reviewed_at
            continue
        for at, rating in rated:
            memory = scheduler.review(
                card.state, rating=rating, at=at, parameters=parameters
            )
            card.state, card.last_reviewed_at = memory.state, memory.last_reviewed_at
    for card in cards.values():
        due_at = scheduler.due_at(card.state)
        card.due_at = max(due_at, card.buried_until or due_at)


def _is_replayed(
    card: ReviewCard, rated: Sequence[tuple[datetime, int]], parameters: Parameters
) -> bool:
    """Return whether all ratings of the card are needed to add these."""
    return card.last_reviewed_at is not None and (
        rated[0][0] < card.last_reviewed_at
        or not scheduler.is_made_with(card.state, parameters)
    )


def _history(card_pks: Collection[int]) -> dict[int, list[tuple[datetime, int]]]:
    found: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
    if card_pks:
        columns = ("card", "reviewed_at", "position", "rating")
        rows, archived = (
            model.objects.order_by()
            .filter(card__in=card_pks, rating__in=scheduler.RATINGS)
            .values_list(*columns)
            for model in (ReviewRating, ArchivedRating)
        )
        for pk, at, _position, rating in rows.union(archived, all=True).order_by(
            *columns[:3]
        ):
            found[pk].append((at, rating))
    return found


def append(
    player_id: int,
    answers: Sequence[Answer],
    stored: Sequence[StoredAnswer | None],
    *,
    after: int,
    now: datetime,
) -> None:
    """Add answers to the log, in this order, in the caller's transaction. One query.

    Args:
        stored: what the row of each answer stores for a repeat.
        after: the position that the answers' cards were read at (`last_position`).

    Raises:
        IntegrityError: another batch was added meanwhile, or a key was used before.
    """
    rows: list[tuple[Any, ...]] = []
    pairs = zip(answers, stored, strict=True)
    for position, (answer, one) in enumerate(pairs, start=after + 1):
        key, recorded = None, None
        if one is not None:
            key = one.key_hash
            recorded = {"fingerprint": one.fingerprint, "response": one.response}
        card, origin = answer.card, answer.origin
        rows.append(
            (
                *(player_id, position, card.pk, card.item_id, answer.lesson_id),
                *(card.subject_id, answer.rating, answer.reviewed_at, now),
                *(key, recorded),
                *((origin.device_id, origin.seq, origin.time) if origin else _ONLINE),
            )
        )
    insert(ReviewRating, _LOGGED, _adapted(rows))


_ONLINE = (None, None, None)
_LOGGED = (
    *("player_id", "position", "card_id", "item_id", "lesson_id", "subject_id"),
    *("rating", "reviewed_at", "received_at", "idempotency_key", "batch"),
    *("device_id", "device_seq", "device_time"),
)
_WRITTEN = (
    *("player_id", "item_id", "lesson_id", "subject_id", "is_active", "met_at"),
    *("state", "due_at", "last_reviewed_at", "failures", "buried_until"),
)


def save_memories(cards: Collection[ReviewCard]) -> None:
    """Save the memory of cards that exist. One statement; `bulk_update` takes longer."""
    rows = [tuple(getattr(card, name) for name in _WRITTEN) for card in cards]
    upsert(
        ReviewCard,
        _WRITTEN,
        _adapted(rows),
        key=("player_id", "item_id", "lesson_id"),
    )


def _adapted(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Return the rows with their values in types of the database."""
    return [[_adapt(value) for value in row] for row in rows]


def _adapt(value: Any) -> Any:
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, dict):
        return connection.ops.adapt_json_value(value, None)
    if isinstance(value, UUID):
        return _DEVICE.get_db_prep_value(value, connection)
    return value


_DEVICE = ReviewRating._meta.get_field("device_id")
