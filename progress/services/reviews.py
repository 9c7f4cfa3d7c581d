"""Reviews of items a player has met; see docs/architecture.md, "Reviews".

A card is a reviewable item of a lesson that the player has completed. The ledger records
the completed lessons; cards follow it on the next request (`review_cards`), so that a
completion writes only its own row.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import TypeVar

import orjson

from core.errors import MemoraError
from core.idempotency import key_conflict
from players.records import Found
from players.services import access
from players.services.access import PlayerAccess
from progress import scheduler
from progress.api_types import (
    AcceptedRatings,
    DueItems,
    Item,
    Rating,
    ReviewedItem,
    Reviews,
    SubjectReviews,
)
from progress.services import (
    ledger,
    recording,
    review_cards,
    review_items,
    review_queries,
    review_ratings,
)
from progress.services.events import ReviewEvent
from progress.services.progress import require_subject
from progress.services.recording import Admitted, Reviewed
from progress.services.review_items import OpenItems
from progress.services.review_queries import Watermark
from progress.services.review_ratings import StoredAnswer
from publishing import api
from publishing.api import PlanStructure

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
    read = partial(review_queries.count_by_subject, player_id, player_access.days, now)
    rows = _current(player_id, items, read)
    counts = {row.subject_id: row for row in rows}
    subjects = [
        counts.get(subject_id) or SubjectReviews(0, 0, None, 0, 0, 0, subject_id)
        for subject_id in plan.subjects
    ]
    times = [row.next_due_at for row in subjects if row.next_due_at is not None]
    return Reviews(
        total=sum(row.total for row in subjects),
        due=sum(row.due for row in subjects),
        next_due_at=min(times, default=None),
        due_today=sum(row.due_today for row in subjects),
        new=sum(row.new for row in subjects),
        leeches=sum(row.leeches for row in subjects),
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

    One call of ``read`` if they do already, or need no other cards.
    """
    mark, rows = read()
    if mark is not None and mark.is_at(items.version):
        return rows
    if review_cards.follow(player_id, items, mark):
        _mark, rows = read()
    return rows


# --- Answers ----------------------------------------------------------------


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
        OperationalError, PositionTakenError: the database does not answer, or ended the
            attempts because of other writes. Nothing was recorded.
    """
    key_hash = None if idempotency_key is None else ledger.client_event(idempotency_key)
    request = _Request(player_id, ratings, key_hash, now)
    try:
        recording.record(request, recording.context_of(player_id, now, found))
    except MemoraError:
        # Refused now, but perhaps this is the repeat of what was accepted.
        first = request.first_response()
        if first is None:
            raise
        return first
    assert request.response is not None
    return request.response


def bury(
    *, player_id: int, item: Item, now: datetime, found: Found | None = None
) -> ReviewedItem:
    """Hide an item until the start of the player's next day; it keeps its memory.

    The burial is a row of the log of ratings; it earns nothing.

    Raises:
        NotEnrolledError, NotPublishedError, ItemNotMetError, SessionUnknownError: as
            `submit`.
        OperationalError, PositionTakenError: as `submit`.
    """
    burial = Rating(item.item_id, item.lesson_id, scheduler.BURIED)
    answer = submit(
        player_id=player_id,
        ratings=[burial],
        idempotency_key=None,
        now=now,
        found=found,
    )
    return answer.reviews[0]


class _Request:
    """The answers of one online request (`recording.Source`)."""

    can_hold = False
    were_held = False

    def __init__(
        self,
        player_id: int,
        ratings: Sequence[Rating],
        key_hash: str | None,
        now: datetime,
    ) -> None:
        self._player_id = player_id
        self._ratings = ratings
        self._key_hash = key_hash
        self.response: AcceptedRatings | None = None
        times = [rated.reviewed_at or now for rated in ratings]
        self._order = sorted(range(len(times)), key=times.__getitem__)
        self._events = [
            ReviewEvent(
                event_id="",
                item_id=ratings[index].item_id,
                lesson_id=ratings[index].lesson_id,
                rating=ratings[index].rating,
                at=times[index],
            )
            for index in self._order
        ]

    def admit(self, *, again: bool) -> Admitted:
        # At the first time, too: the constraint does not know archived keys.
        if (first := self.first_response()) is not None:
            self.response = first
            return Admitted(())
        return Admitted(self._events)

    def stored(self, reviews: Sequence[Reviewed]) -> list[StoredAnswer | None]:
        """Return the request's answer, which the first row stores.

        Raises:
            ItemNotMetError: an item was not met.
        """
        in_request = dict(zip(self._order, reviews, strict=True))
        xp = sum(review.xp for review in reviews)
        first: dict[int, ReviewedItem] = {}
        for index, rated in enumerate(self._ratings):
            event, card, _xp = in_request[index]
            if card is None:
                raise recording.not_met(index, event)
            due_at = recording.due_text(card.due_at)
            item = ReviewedItem(rated.item_id, rated.lesson_id, due_at)
            first.setdefault(card.pk, item)
        self.response = AcceptedRatings(len(self._ratings), list(first.values()), xp)
        stored: list[StoredAnswer | None] = [None] * len(reviews)
        if self._key_hash is not None:
            stored[0] = StoredAnswer(
                self._key_hash, self._fingerprint, asdict(self.response)
            )
        return stored

    @property
    def _fingerprint(self) -> str:
        body = orjson.dumps([asdict(rated) for rated in self._ratings])
        return hashlib.sha256(body).hexdigest()

    def first_response(self) -> AcceptedRatings | None:
        """Return the response to the first request with this key, or None.

        Raises:
            IdempotencyConflictError: the key named another request.
        """
        if self._key_hash is None:
            return None
        first = review_ratings.find_answer(self._player_id, self._key_hash)
        if first is None:
            return None
        if first.fingerprint != self._fingerprint:
            raise key_conflict()
        return AcceptedRatings(
            accepted=first.response["accepted"],
            reviews=[ReviewedItem(**review) for review in first.response["reviews"]],
            xp_earned=first.response.get("xp_earned", 0),
        )
