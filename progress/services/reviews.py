"""Reviews of items a player has met; see docs/architecture.md, "Reviews".

A card is a reviewable item of a lesson that the player has completed. The ledger records
the completed lessons; cards follow it on the next request (`review_cards`), so that a
completion writes only its own row.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import orjson
import structlog
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from core.db import retry_on_conflict
from core.errors import MemoraError
from core.parsing import time_text
from players.records import Found
from players.services import access
from players.services.access import PlayerAccess
from progress.api_types import (
    AcceptedRatings,
    DueItems,
    Rating,
    ReviewedItem,
    Reviews,
    SubjectReviews,
)
from progress.errors import ItemNotMetError, UnmetItem
from progress.models import ReviewCard
from progress.services import (
    ledger,
    review_cards,
    review_items,
    review_queries,
    review_ratings,
)
from progress.services.completion import key_conflict
from progress.services.progress import require_subject
from progress.services.review_items import OpenItems
from progress.services.review_queries import Watermark
from progress.services.review_ratings import Answer, Batch
from publishing import api
from publishing.api import PlanStructure

log = structlog.get_logger(__name__)

_ATTEMPTS = 5

Row = TypeVar("Row")


# --- What is due ------------------------------------------------------------


def overview(*, player_id: int, now: datetime, found: Found | None = None) -> Reviews:
    """Return how many items the player has met and how many are due, by subject.

    Only items of the plan's release in lessons that the player may open count.

    Args:
        found: what the request's session check read; None: ask Redis now.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no plan to read.
    """
    return overview_of(player_id, access.of_player(player_id, found), now)


def overview_of(player_id: int, player_access: PlayerAccess, now: datetime) -> Reviews:
    """Return the same for a player whose access is known; see `overview`."""
    plan, items = _plan_with_items(player_access, now)
    rows = _current(
        player_id, items, partial(review_queries.count_by_subject, player_id, now)
    )
    counts = {row.subject_id: row for row in rows}
    subjects = [
        counts.get(subject_id) or SubjectReviews(0, 0, None, subject_id)
        for subject_id in plan.subjects
    ]
    times = [row.next_due_at for row in subjects if row.next_due_at is not None]
    return Reviews(
        total=sum(row.total for row in subjects),
        due=sum(row.due for row in subjects),
        next_due_at=min(times, default=None),
        subjects=subjects,
    )


def due(
    *,
    player_id: int,
    subject_id: str | None,
    limit: int,
    now: datetime,
    found: Found | None = None,
) -> DueItems:
    """Return the items to review now, longest due first, at most ``limit``.

    Args:
        subject_id: only of this subject; None: of all.
        found: what the request's session check read; None: ask Redis now.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no plan to read.
        InvalidSubjectError: the subject is not in it.
    """
    plan, items = _plan_with_items(access.of_player(player_id, found), now)
    if subject_id is not None:
        require_subject(plan, subject_id)
    read = partial(
        review_queries.due_items, player_id, now, subject_id=subject_id, limit=limit
    )
    return DueItems(_current(player_id, items, read))


def _plan_with_items(
    player_access: PlayerAccess, now: datetime
) -> tuple[PlanStructure, OpenItems]:
    """Return the player's plan, and the items that their cards should follow."""
    plan = api.load_plan(access.require_enrolled(player_access))
    return plan, review_items.of_player(plan, player_access, now.timestamp())


def _current(
    player_id: int,
    items: OpenItems,
    read: Callable[[], tuple[Watermark | None, list[Row]]],
) -> list[Row]:
    """Return the rows of ``read`` once the cards follow the ledger and the items.

    One call of ``read`` if they do already.
    """
    mark, rows = read()
    if mark is None or not mark.is_at(items.version):
        review_cards.follow(player_id, items)
        _mark, rows = read()
    return rows


# --- Answers ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Request:
    player_id: int
    ratings: Sequence[Rating]
    key_hash: str | None
    now: datetime

    @property
    def fingerprint(self) -> str:
        body = orjson.dumps([asdict(rated) for rated in self.ratings])
        return hashlib.sha256(body).hexdigest()


def submit(
    *,
    player_id: int,
    ratings: Sequence[Rating],
    idempotency_key: str | None,
    now: datetime,
    found: Found | None = None,
) -> AcceptedRatings:
    """Record a batch of answers: all of them or none.

    Batches may come in any order: a card is scheduled as if all its answers had come in
    the order of their times. An answer from before the item was met counts as given when
    it was met; one from the future counts as given now.

    Args:
        idempotency_key: the client's name for this batch; a repeat changes nothing
            and is answered as the first one was.
        found: what the request's session check read; None: ask Redis now.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no plan to read.
        ItemNotMetError: an item the player has not met; names which.
        IdempotencyConflictError: the key named another request.
        SessionUnknownError: the player has been deleted.
        OperationalError, IntegrityError: the database does not answer, or other batches
            of this player were faster five times. Nothing was recorded.
    """
    key_hash = None if idempotency_key is None else ledger.client_event(idempotency_key)
    request = _Request(player_id, ratings, key_hash, now)
    try:
        _plan, items = _plan_with_items(access.of_player(player_id, found), now)
        review_cards.follow_if_behind(player_id, items)
        response = _record_once(request)
    except MemoraError:
        # Refused now, but perhaps this is the repeat of what was accepted.
        first = _first_response(request)
        if first is None:
            raise
        return first
    return response


def _record_once(request: _Request) -> AcceptedRatings:
    attempts = _ATTEMPTS
    while True:
        try:
            return retry_on_conflict(partial(_record, request))
        except IntegrityError:
            # Another batch took the position, or this one was recorded before.
            if (first := _first_response(request)) is not None:
                return first
            attempts -= 1
            if not attempts:
                raise


@transaction.atomic
def _record(request: _Request) -> AcceptedRatings:
    review_cards.lock(request.player_id)
    position = review_ratings.last_position(request.player_id)
    cards = _answered_cards(request)
    answers = _in_time_order(request, cards)
    review_ratings.remember(answers)
    response = AcceptedRatings(
        accepted=len(request.ratings),
        reviews=[
            ReviewedItem(rated.item_id, rated.lesson_id, _due_text(card.due_at))
            for card, rated in _first_of_each(cards, request.ratings)
        ],
    )
    batch = None
    if request.key_hash is not None:
        batch = Batch(request.key_hash, request.fingerprint, asdict(response))
    review_ratings.append(
        request.player_id, answers, after=position, batch=batch, now=request.now
    )
    review_ratings.save_memories({card.pk: card for card in cards}.values())
    return response


def _answered_cards(request: _Request) -> list[ReviewCard]:
    """Return the card of each rating.

    An item that has moved to another lesson is also found by the lesson that it was met
    in: the app may have an older release.
    """
    cards_of: dict[str, dict[str, ReviewCard]] = defaultdict(dict)
    rows = ReviewCard.objects.filter(
        player_id=request.player_id,
        item_id__in={rated.item_id for rated in request.ratings},
    )
    for row in rows:
        cards_of[row.item_id][row.lesson_id] = row
    elsewhere = {
        rated.lesson_id
        for rated in request.ratings
        if rated.lesson_id not in cards_of[rated.item_id]
        and len(cards_of[rated.item_id]) == 1
    }
    completed = ledger.completed_of(request.player_id, elsewhere) if elsewhere else ()
    cards = []
    card: ReviewCard | None
    for index, rated in enumerate(request.ratings):
        card = cards_of[rated.item_id].get(rated.lesson_id)
        if card is None and rated.lesson_id in completed:
            card = next(iter(cards_of[rated.item_id].values()), None)
        if card is None:
            raise ItemNotMetError(
                _("You have not met this item yet: complete its lesson first."),
                details=UnmetItem(index, rated.item_id, rated.lesson_id),
            )
        cards.append(card)
    return cards


def _in_time_order(request: _Request, cards: Sequence[ReviewCard]) -> list[Answer]:
    """Return the answers, their times within those that are possible, oldest first."""
    times = [rated.reviewed_at or request.now for rated in request.ratings]
    order = sorted(range(len(times)), key=lambda index: times[index])
    answers = [
        Answer(
            card=cards[index],
            lesson_id=request.ratings[index].lesson_id,
            rating=request.ratings[index].rating,
            # A client whose clock runs ahead answers now, not in the future.
            reviewed_at=max(cards[index].met_at, min(times[index], request.now)),
        )
        for index in order
    ]
    return sorted(answers, key=lambda answer: answer.reviewed_at)


def _first_of_each(
    cards: Sequence[ReviewCard], ratings: Sequence[Rating]
) -> Iterable[tuple[ReviewCard, Rating]]:
    """Return each card once, with the rating that named it first, in that order."""
    first: dict[int, tuple[ReviewCard, Rating]] = {}
    for card, rated in zip(cards, ratings, strict=True):
        first.setdefault(card.pk, (card, rated))
    return first.values()


def _first_response(request: _Request) -> AcceptedRatings | None:
    """Return the response to the first request with this key, or None.

    Raises:
        IdempotencyConflictError: the key named another request.
    """
    if request.key_hash is None:
        return None
    batch = review_ratings.find_batch(request.player_id, request.key_hash)
    if batch is None:
        return None
    if batch.fingerprint != request.fingerprint:
        raise key_conflict()
    return AcceptedRatings(
        accepted=batch.response["accepted"],
        reviews=[ReviewedItem(**review) for review in batch.response["reviews"]],
    )


def _due_text(at: datetime) -> str:
    """Return the time rounded up: the item is due at the time that is answered."""
    return time_text(at + timedelta(microseconds=999_999))
