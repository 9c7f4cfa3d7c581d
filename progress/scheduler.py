"""The memory of one item, scheduled by FSRS. No Django imports.

A state is a JSON object. Times are aware datetimes; returned ones are in UTC. Without
fuzz the same history always results in the same due time.

A memory is computed with one set of `Parameters` and has its name (`is_made_with`).
Under other ones it goes on with `replay`, from all its ratings.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from fsrs import Card, Rating, Scheduler

RATINGS = range(1, 5)
"""1 again, 2 hard, 3 good, 4 easy."""
AGAIN = RATINGS.start
BURIED = 0
"""In place of a rating: the item is hidden until the student's next day."""

_NAME = "parameters"


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of FSRS; the defaults are those of the library.

    ``desired_retention`` is the share of items that is still known when they are due.
    The steps are those of new and of forgotten items, in minutes. ``weights`` are the 21
    of FSRS-6, or none: those of the library.
    """

    desired_retention: float = 0.9
    maximum_days: int = 36_500
    learning_minutes: tuple[float, ...] = (1, 10)
    relearning_minutes: tuple[float, ...] = (10,)
    weights: tuple[float, ...] = ()


DEFAULT = Parameters()


@dataclass(frozen=True, slots=True)
class Memory:
    """A player's memory of an item, with the time of the next review."""

    state: dict[str, Any]
    due_at: datetime
    last_reviewed_at: datetime | None


class Forecast(NamedTuple):
    """What is known of an item, and the seconds to the next review for each rating.

    ``retrievability`` is the probability that the player knows it now; None for an item
    that was never answered.
    """

    retrievability: float | None
    seconds: tuple[int, int, int, int]


def fault_of(parameters: Parameters) -> str | None:
    """Return what is wrong with the parameters, in English; None: nothing."""
    if not 0.7 <= parameters.desired_retention <= 0.99:
        return "The desired retention is not between 0.7 and 0.99."
    if not 1 <= parameters.maximum_days <= DEFAULT.maximum_days:
        return f"The maximum interval is not 1 to {DEFAULT.maximum_days} days."
    steps = parameters.learning_minutes + parameters.relearning_minutes
    if not all(0 < minutes <= 24 * 60 for minutes in steps):
        return "A learning step is not more than 0 and at most 1,440 minutes."
    try:
        _scheduler(parameters)
    except ValueError as error:
        return f"The weights are wrong: {error}"
    return None


def met(at: datetime) -> Memory:
    """Return the memory of an item first met at that time: due immediately."""
    # A fixed id: without one the library sleeps a millisecond to generate it.
    return _memory(Card(card_id=0, due=at.astimezone(UTC)), "")


def review(
    state: dict[str, Any],
    *,
    rating: int,
    at: datetime,
    parameters: Parameters = DEFAULT,
) -> Memory:
    """Return the memory after an answer rated 1 to 4.

    A time before the last review is replaced by the time of the last review.

    Raises:
        ValueError: the rating is not one of `RATINGS`.
    """
    card = _card(state)
    at = at.astimezone(UTC)
    if card.last_review is not None:
        at = max(at, card.last_review)
    reviewed, _log = _scheduler(parameters).review_card(card, Rating(rating), at)
    return _memory(reviewed, _name(parameters))


def replay(
    met_at: datetime,
    ratings: Iterable[tuple[datetime, int]],
    parameters: Parameters = DEFAULT,
) -> Memory:
    """Return the memory of an item met at that time, after all answers to it.

    Args:
        ratings: of each answer, its time and its rating of 1 to 4, in time order.

    Raises:
        ValueError: a rating is not one of `RATINGS`.
    """
    memory = met(met_at)
    for at, rating in ratings:
        memory = review(memory.state, rating=rating, at=at, parameters=parameters)
    return memory


def is_made_with(state: dict[str, Any], parameters: Parameters) -> bool:
    """Return whether a memory was computed with these parameters."""
    return bool(state.get(_NAME, "") == _name(parameters))


def due_at(state: dict[str, Any]) -> datetime:
    """Return when a memory is due."""
    return datetime.fromisoformat(state["due"])


def forecast(
    state: str | None,
    *,
    last_reviewed_at: datetime | None,
    now: datetime,
    parameters: Parameters = DEFAULT,
) -> Forecast:
    """Return what is known of an item now, and what each rating would give.

    Whole days count, so the result for one state is cached for a day.

    Args:
        state: the memory as JSON text; None for an item that was never answered.
    """
    if state is None or last_reviewed_at is None:
        return _forecast(None, 0, parameters)
    return _forecast(state, max(0, (now - last_reviewed_at).days), parameters)


@lru_cache(maxsize=4096)
def _forecast(state: str | None, days: int, parameters: Parameters) -> Forecast:
    card = Card(card_id=0) if state is None else _card(orjson.loads(state))
    now = (card.last_review or datetime.now(UTC)) + timedelta(days=days)
    scheduler = _scheduler(parameters)
    again, hard, good, easy = (
        int(
            (
                scheduler.review_card(card, Rating(rating), now)[0].due - now
            ).total_seconds()
        )
        for rating in RATINGS
    )
    known = None
    if card.last_review is not None:
        known = round(float(scheduler.get_card_retrievability(card, now)), 4)
    return Forecast(known, (again, hard, good, easy))


@lru_cache(maxsize=8)
def _scheduler(parameters: Parameters) -> Scheduler:
    weights = {"parameters": parameters.weights} if parameters.weights else {}
    return Scheduler(
        desired_retention=parameters.desired_retention,
        maximum_interval=parameters.maximum_days,
        learning_steps=_steps(parameters.learning_minutes),
        relearning_steps=_steps(parameters.relearning_minutes),
        enable_fuzzing=False,
        **weights,
    )


def _steps(minutes: Iterable[float]) -> tuple[timedelta, ...]:
    return tuple(timedelta(minutes=one) for one in minutes)


@lru_cache(maxsize=8)
def _name(parameters: Parameters) -> str:
    """Return the name of the parameters; "" for the defaults."""
    if parameters == DEFAULT:
        return ""
    about = orjson.dumps(astuple(parameters))
    return hashlib.blake2b(about, digest_size=8).hexdigest()


def _card(state: dict[str, Any]) -> Card:
    return Card.from_dict({**state, "card_id": 0})  # type: ignore[typeddict-item]


def _memory(card: Card, name: str) -> Memory:
    state = dict(card.to_dict())
    del state["card_id"]
    if name:
        state[_NAME] = name
    return Memory(state=state, due_at=card.due, last_reviewed_at=card.last_review)
