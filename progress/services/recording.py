"""Recording events: those of one online request, or of a device's batch.

See docs/architecture.md, "Batches". One rule for one event and for many: read the state,
decide the events in order, each on the state after the one before it, and write all of
it in one transaction. The positions of the ledger decide races: if another request took
one, what is known by then is taken out, and the rest is decided again on the ledger, now
with a lock on the player.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import structlog
from django.conf import settings
from django.db import IntegrityError, OperationalError, transaction
from django.utils.translation import gettext as _

from content.kinds import Kind
from content.models import Node
from core.errors import MemoraError
from core.parsing import time_text
from players.errors import NotEntitledError, SessionUnknownError
from players.records import Found
from players.services import access
from progress import scheduler
from progress.api_types import CompletionResult
from progress.errors import (
    ItemNotMetError,
    NotUnlockedError,
    UnmetItem,
)
from progress.models import ReviewCard
from progress.services import (
    decisions,
    device_events,
    ledger,
    review_cards,
    review_items,
    review_ratings,
    review_sessions,
    writing,
)
from progress.services.decisions import State
from progress.services.device_events import Move
from progress.services.events import Context, Event, LessonEvent, ReviewEvent
from progress.services.ledger import PlayerDeletedError, PositionTakenError
from progress.services.review_ratings import Answer, StoredAnswer
from progress.services.review_sessions import SessionsChangedError
from progress.services.writing import Start
from publishing import api

log = structlog.get_logger(__name__)

_ATTEMPTS = 20
"""The second attempt locks the player. A later one is needed only after a deadlock, or if
something else has changed that was read before the lock."""


# --- What is decided ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Applied:
    """The event is recorded.

    ``completion`` is None for a review and for an attempt without hearts; ``due_at`` is
    the next time of a review's item, ``xp`` what the session earned that it began.
    """

    completion: CompletionResult | None = None
    due_at: str | None = None
    xp: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The event is not recorded, and would not be another time."""

    error: MemoraError


@dataclass(frozen=True, slots=True)
class Held:
    """The event waits until its lesson is published."""


Outcome = Applied | Refused | Held


class Reviewed(NamedTuple):
    """A review, its card with the memory after it, and the XP that it earned.

    The card is None if the item was not met.
    """

    event: ReviewEvent
    card: ReviewCard | None
    xp: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """The events to decide, in this order, and the device's number after them.

    ``known_position`` is the last position in the ledger of the events that were sent
    and are recorded; 0 without any.
    """

    events: Sequence[Event]
    known_position: int = 0
    move: Move | None = None


class Source(Protocol):
    """Where events come from: a request, a device's batch, or those held back."""

    can_hold: bool
    """Whether events of lessons that are not published wait; they are not refused."""
    were_held: bool
    """Whether the events are held ones, which are deleted once they are decided."""

    def admit(self, *, again: bool) -> Admitted:
        """Return what is to be decided.

        Args:
            again: another request was recorded since the last call.
        """

    def stored(self, reviews: Sequence[Reviewed]) -> Sequence[StoredAnswer | None]:
        """Return what each rating's row stores for a repeat of the request.

        Raises:
            MemoraError: nothing is recorded.
        """


def context_of(player_id: int, now: datetime, found: Found | None) -> Context:
    """Return what the player may open.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no plan with a release.
    """
    player_access = access.of_player(player_id, found)
    plan = api.load_plan(access.require_enrolled(player_access))
    return Context(player_id, now, player_access, plan)


def drafts(lesson_ids: Collection[str]) -> set[str]:
    """Return those of the ids that are lessons, published or not. One query."""
    rows = Node.objects.filter(kind=Kind.LESSON, public_id__in=lesson_ids)
    return set(rows.values_list("public_id", flat=True))


def record(
    source: Source, context: Context, found: Found | None = None
) -> list[Outcome]:
    """Decide the events of a source and record them, each of them once.

    Before a completion is refused because of a product, the access is read from the
    database: Redis may have come back with an older copy.

    One insert for a single completion; a fixed number of queries for any batch. One
    round trip to Redis after the commit; one more before it unless the session check
    has begun the write. While Redis does not answer, the ledger is read instead. After
    another write was first, the player is locked, so that none can be first again.

    Args:
        found: what the request's session check read and began.

    Returns:
        The outcome of each event that ``source.admit`` returned last.

    Raises:
        SessionUnknownError: the player has been deleted.
        PositionTakenError: the database ended 20 attempts because of other writes.
        MemoraError: raised by ``source.stored``.
        DatabaseError: the database is away. Nothing was recorded, unless the connection
            broke during the commit.
    """
    is_locked = is_access_read = False
    sessions: Mapping[int, datetime] = {}
    start: Start | None = None
    for _attempt in range(_ATTEMPTS):
        try:
            with _lock(context.player_id) if is_locked else nullcontext():
                admitted = source.admit(again=is_locked)
                batch = _Batch(source, context, admitted, sessions)
                if batch.subject_ids or sessions:
                    start = batch.begin(found, from_ledger=is_locked)
                batch.decide()
                if batch.is_not_entitled and not is_access_read:
                    is_access_read = True
                    before, context = context, _read_again(context)
                    if context is not before:
                        found = None
                        continue
                if batch.start is not None and batch.start.is_too_old:
                    found = None
                    continue
                batch.write(is_locked=is_locked)
        except PositionTakenError:
            is_locked = True
        except SessionsChangedError as error:
            sessions = error.sessions
        except PlayerDeletedError:
            if start is not None:
                writing.forget(start)
            raise SessionUnknownError(
                _("This session is not known. Please sign in again.")
            ) from None
        else:
            batch.finish()
            return [batch.outcomes[index] for index in range(len(admitted.events))]
    raise PositionTakenError


@contextmanager
def _lock(player_id: int) -> Iterator[None]:
    """A transaction in which nobody else adds rows of the player.

    Raises:
        PositionTakenError: the database ended it because of another write.
        PlayerDeletedError: the player has been deleted or erased.
    """
    try:
        with transaction.atomic():
            if not ledger.lock([player_id]):
                raise PlayerDeletedError
            yield
    except OperationalError as error:
        raise ledger.conflict(error) from error


def _read_again(context: Context) -> Context:
    """Return what the player may open by the database, not by Redis's copy.

    One query, before a completion is refused for good.
    """
    player_access = access.in_database(context.player_id)
    if player_access == context.access:
        return context
    log.warning("access_copy_differs", player=context.player_id)
    try:
        plan = api.load_plan(access.require_enrolled(player_access))
    except MemoraError:
        return context
    return replace(context, access=player_access, plan=plan)


class _Batch:
    """One attempt to decide and write events."""

    def __init__(
        self,
        source: Source,
        context: Context,
        admitted: Admitted,
        sessions: Mapping[int, datetime],
    ) -> None:
        """``sessions``: the reviews that begin a session that is paid, with times."""
        self.source = source
        self.context = context
        self.admitted = admitted
        self.sessions = sessions
        self.subject_ids = context.subjects_of(admitted.events)
        self.outcomes: dict[int, Outcome] = {}
        self.start: Start | None = None
        self._state: State | None = None
        self._histories: Mapping[str, tuple[bool, int]] | None = None
        self._drafts = self._find_drafts()
        self._firsts: dict[str, int] = {}
        """Lessons that were completed for the first time, and by which event."""

    def begin(self, found: Found | None, *, from_ledger: bool) -> Start:
        """Read the state before the events, and begin the write."""
        player_id = self.context.player_id
        if not from_ledger:
            self.start = writing.begin(player_id, self.subject_ids, found)
            return self.start
        self.start = writing.from_ledger(player_id, self.subject_ids)
        # By the lesson: its first completion may have been in another subject.
        self._histories = ledger.lesson_histories(
            player_id, {event.lesson_id for _index, event in self._lesson_events()}
        )
        return self.start

    def decide(self) -> None:
        """Decide on the lessons; the reviews are decided in the transaction.

        Before a lesson is refused as locked, the state is compared with the ledger:
        Redis may come back with older data.
        """
        self._decide()
        if (
            self.start is not None
            and self._histories is None
            and any(map(_is_locked, self.outcomes.values()))
            and ledger.head(self.context.player_id) != self.start.wallet.seq
        ):
            self.begin(None, from_ledger=True)
            self._decide()

    @property
    def is_not_entitled(self) -> bool:
        """Whether a lesson is refused because of what the player owns."""
        return any(
            isinstance(outcome, Refused) and isinstance(outcome.error, NotEntitledError)
            for outcome in self.outcomes.values()
        )

    def write(self, *, is_locked: bool) -> None:
        """Commit what was decided; under the lock, the caller commits.

        Raises:
            PositionTakenError, PlayerDeletedError, SessionsChangedError: nothing was
                recorded.
        """
        rows = self._state.rows if self._state is not None else []
        is_one_insert = not (
            is_locked
            or self._reviews()
            or self._held()
            or self.admitted.move
            or self.source.were_held
        )
        if not is_one_insert:
            self._write()
        elif rows:
            ledger.append(rows)

    def finish(self) -> None:
        """Store the new state in Redis."""
        if self._state is not None and self._state.rows:
            assert self.start is not None
            writing.finish(self.start, self._state.wallet, self._state.changed)
        elif self.admitted.known_position:
            # This request may have created the record before they were committed.
            writing.drop_older(self.context.player_id, self.admitted.known_position)

    # --- Parts ----------------------------------------------------------------------

    def _lesson_events(self) -> list[tuple[int, LessonEvent]]:
        return [
            (index, event)
            for index, event in enumerate(self.admitted.events)
            if isinstance(event, LessonEvent)
        ]

    def _reviews(self) -> list[tuple[int, ReviewEvent]]:
        return [
            (index, event)
            for index, event in enumerate(self.admitted.events)
            if isinstance(event, ReviewEvent)
        ]

    def _held(self) -> list[Event]:
        return [
            event
            for index, event in enumerate(self.admitted.events)
            if isinstance(self.outcomes.get(index), Held)
        ]

    def _find_drafts(self) -> set[str]:
        """Return the lessons that exist but are not published. One query, or none."""
        lessons = self.context.plan.lessons
        ids = {
            event.lesson_id
            for event in self.admitted.events
            if event.lesson_id not in lessons
        }
        return drafts(ids) if ids and self.source.can_hold else set()

    def _decide(self) -> None:
        self.outcomes.clear()
        self._firsts.clear()
        self._state = None
        if self.start is not None:
            own = [event for _index, event in self._lesson_events()]
            self._state = State(
                self.start, own, self._histories, days=self.context.access.days
            )
        for index, event in enumerate(self.admitted.events):
            if isinstance(event, ReviewEvent):
                if (at := self.sessions.get(index)) is not None:
                    assert self._state is not None
                    decisions.pay_session(event, at, self._state, self.context)
                continue
            if event.lesson_id in self._drafts:
                self.outcomes[index] = Held()
                continue
            try:
                lesson = decisions.require_lesson(event, self.context)
                assert self._state is not None
                result = decisions.decide(event, lesson, self._state, self.context)
            except MemoraError as error:
                self.outcomes[index] = Refused(error)
                continue
            self.outcomes[index] = Applied(completion=result)
            if result is not None and result.is_first_completion:
                self._firsts[event.lesson_id] = index

    def _write(self) -> None:
        player_id = self.context.player_id
        try:
            with transaction.atomic():
                if self._reviews():
                    # First, as everybody who changes the player's cards.
                    review_cards.lock(player_id)
                if self._state is not None and self._state.rows:
                    ledger.insert(self._state.rows)
                if self._reviews():
                    self._write_reviews()
                if self.source.were_held:
                    device_events.delete_held(player_id, self._decided_ids())
                elif held := self._held():
                    device_events.hold(player_id, held, self.context.now)
                if self.admitted.move is not None:
                    device_events.move(player_id, self.admitted.move)
        except (IntegrityError, OperationalError) as error:
            raise ledger.conflict(error) from error

    def _decided_ids(self) -> list[str]:
        return [
            event.event_id
            for index, event in enumerate(self.admitted.events)
            if not isinstance(self.outcomes[index], Held)
        ]

    def _write_reviews(self) -> None:
        context, events = self.context, self._reviews()
        items = review_items.of_player(
            context.plan, context.access, context.now.timestamp()
        )
        review_cards.follow_in_transaction(context.player_id, items)
        position = review_ratings.last_position(context.player_id)
        cards = review_cards.answered(
            context.player_id,
            # An item is met once its lesson is completed: not by a later event.
            [
                (event, self._firsts.get(event.lesson_id, -1) < index)
                for index, event in events
            ],
        )
        answers = [
            Answer(
                card=card,
                lesson_id=event.lesson_id,
                rating=event.rating,
                # A client whose clock runs ahead answers now, not in the future.
                reviewed_at=max(card.met_at, min(event.at, context.now)),
                origin=event.origin,
            )
            for (_index, event), card in zip(events, cards, strict=True)
            if card is not None
        ]
        self._check_sessions(cards, answers)
        review_ratings.remember(answers, context.access.days)
        reviewed = [
            Reviewed(event, card, self._session_xp(index))
            for (index, event), card in zip(events, cards, strict=True)
        ]
        stored = [
            one
            for one, card in zip(self.source.stored(reviewed), cards, strict=True)
            if card is not None
        ]
        for (index, event), card in zip(events, cards, strict=True):
            self.outcomes[index] = self._reviewed(index, event, card)
        review_ratings.append(
            context.player_id, answers, stored, after=position, now=context.now
        )
        review_ratings.save_memories({card.pk: card for card in cards if card}.values())

    def _check_sessions(
        self, cards: Sequence[ReviewCard | None], answers: Sequence[Answer]
    ) -> None:
        """Check that the rows are those of the sessions that begin now.

        Only here, under the lock, is it known which sessions begin. If one does, the
        batch is decided once more, with its row in the place of its first review.

        Raises:
            SessionsChangedError: they are not.
        """
        places = [
            index
            for (index, _event), card in zip(self._reviews(), cards, strict=True)
            if card is not None
        ]
        ratings = [
            (place, answer.reviewed_at)
            for place, answer in zip(places, answers, strict=True)
            if answer.rating != scheduler.BURIED
        ]
        rows = self._state.rows if self._state is not None else []
        sessions = review_sessions.to_pay(
            self.context.player_id,
            ratings,
            days=self.context.access.days,
            own=[row.event_id for row in rows],
        )
        if sessions != self.sessions:
            raise SessionsChangedError(sessions)

    def _session_xp(self, index: int) -> int:
        return settings.XP_REVIEW_SESSION if index in self.sessions else 0

    def _reviewed(
        self, index: int, event: ReviewEvent, card: ReviewCard | None
    ) -> Outcome:
        if card is not None:
            return Applied(due_at=due_text(card.due_at), xp=self._session_xp(index))
        if event.lesson_id in self._drafts:
            return Held()
        return Refused(not_met(index, event))


def not_met(index: int, event: ReviewEvent) -> ItemNotMetError:
    """Return the error for a review, the ``index``-th of its request."""
    return ItemNotMetError(
        _("You have not met this item yet: complete its lesson first."),
        details=UnmetItem(index, event.item_id, event.lesson_id),
    )


def due_text(at: datetime) -> str:
    """Return the time rounded up: the item is due at the time that is answered."""
    return time_text(at + timedelta(microseconds=999_999))


def _is_locked(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and isinstance(outcome.error, NotUnlockedError)
