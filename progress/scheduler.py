"""The memory of one item, scheduled by FSRS. No Django imports.

A state is a JSON object. Times are aware datetimes; returned ones are in UTC.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fsrs import Card, Rating, Scheduler

RATINGS = range(1, 5)
"""1 again, 2 hard, 3 good, 4 easy."""

# Without fuzz the same history always results in the same due time.
_scheduler = Scheduler(enable_fuzzing=False)


@dataclass(frozen=True, slots=True)
class Memory:
    """A player's memory of an item, with the time of the next review."""

    state: dict[str, Any]
    due_at: datetime
    last_reviewed_at: datetime | None


def met(at: datetime) -> Memory:
    """Return the memory of an item first met at that time: due immediately."""
    # A fixed id: without one the library sleeps a millisecond to generate it.
    return _memory(Card(card_id=0, due=at.astimezone(UTC)))


def review(state: dict[str, Any], *, rating: int, at: datetime) -> Memory:
    """Return the memory after an answer rated 1 to 4.

    A time before the last review is replaced by the time of the last review.

    Raises:
        ValueError: the rating is not one of `RATINGS`.
    """
    card = Card.from_dict({**state, "card_id": 0})  # type: ignore[typeddict-item]
    at = at.astimezone(UTC)
    if card.last_review is not None:
        at = max(at, card.last_review)
    reviewed, _log = _scheduler.review_card(card, Rating(rating), at)
    return _memory(reviewed)


def replay(met_at: datetime, ratings: Iterable[tuple[datetime, int]]) -> Memory:
    """Return the memory of an item met at that time, after all answers to it.

    Args:
        ratings: of each answer, its time and its rating of 1 to 4, in time order.

    Raises:
        ValueError: a rating is not one of `RATINGS`.
    """
    memory = met(met_at)
    for at, rating in ratings:
        memory = review(memory.state, rating=rating, at=at)
    return memory


def _memory(card: Card) -> Memory:
    state = dict(card.to_dict())
    del state["card_id"]
    return Memory(state=state, due_at=card.due, last_reviewed_at=card.last_review)
