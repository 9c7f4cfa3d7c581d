"""The events that a device queued; see docs/architecture.md, "Batches"."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext as _

from core.api_types import Faulty, is_uuid4
from core.errors import MemoraError
from core.parsing import MAX_KEY
from players.records import Found
from progress import admission, scheduler
from progress.admission import Admission, DeviceState, Sent, Verdict
from progress.api_types import (
    CompletionResult,
    EventCode,
    EventKind,
    EventResult,
    EventStatus,
    SyncEvent,
    SyncEventsBody,
    SyncResult,
)
from progress.services import device_events, ledger, recording
from progress.services.device_events import Known, KnownEvent, Move
from progress.services.events import (
    Context,
    Event,
    LessonEvent,
    Origin,
    ReviewEvent,
)
from progress.services.ledger import PositionTakenError
from progress.services.recording import Admitted, Applied, Held, Outcome, Reviewed
from progress.services.review_ratings import StoredAnswer

log = structlog.get_logger(__name__)


def submit(
    *,
    player_id: int,
    device_id: UUID,
    body: SyncEventsBody,
    now: datetime,
    found: Found | None = None,
) -> SyncResult:
    """Record the events of a device, each for itself, in the order of their numbers.

    Call it outside a transaction. A fixed number of queries for any number of events;
    one round trip to Redis after the commit, as in `recording.record`.

    Args:
        found: what the request's session check read and began.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no plan with a release. The
            device keeps all events.
        SessionUnknownError: the player has been deleted.
        DatabaseError, PositionTakenError: the device sends the same request again;
            what was recorded is answered as a duplicate.
    """
    context = recording.context_of(player_id, now, found)
    batch = _DeviceBatch(context, device_id, body)
    outcomes = recording.record(batch, context, found)
    return batch.result(outcomes)


def apply_held(*, player_id: int, now: datetime) -> int:
    """Apply the player's held events whose lessons are published now.

    They are appended to the ledger, at the times at which they happened. Those that are
    refused now are deleted. Safe to run at the same time as itself.

    Returns:
        How many were decided.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no plan with a release.
        DatabaseError: the database is away; nothing is changed.
    """
    held = _HeldEvents(player_id)
    context = recording.context_of(player_id, now, None)
    outcomes = recording.record(held, context)
    return sum(not isinstance(outcome, Held) for outcome in outcomes)


def apply_all_held(now: datetime) -> None:
    """Apply the held events of all players whose lessons are published now.

    A player whose plan has no release, and whatever a database that is away leaves, is
    tried again in the next run.
    """
    for player_id in device_events.held_players():
        try:
            apply_held(player_id=player_id, now=now)
        except MemoraError as error:
            log.info("held_events_wait", player=player_id, reason=error.code)
        except (OperationalError, InterfaceError, PositionTakenError) as error:
            log.warning(
                "held_events_put_off", player=player_id, error=type(error).__name__
            )


@dataclass(frozen=True, slots=True)
class _Queued:
    """An event as it was sent; ``event`` and ``fault`` exclude each other."""

    sent: Sent
    id: str | None
    event: SyncEvent | None
    fault: str | None = None
    fingerprint: str = ""


class _DeviceBatch:
    """The events of one request (`recording.Source`)."""

    can_hold = True
    were_held = False

    def __init__(self, context: Context, device_id: UUID, body: SyncEventsBody) -> None:
        self._context = context
        self._device_id = device_id
        self._device_time = body.device_time
        self._queued = [_queued(event) for event in body.events]
        self._admissions: list[Admission] = []
        self._known = Known()
        self._after = DeviceState()
        self._decided: list[int] = []
        """The places in the request of the events to decide, in their order."""

    def admit(self, *, again: bool) -> Admitted:
        ids = [one.sent.event_id for one in self._queued if one.sent.event_id]
        player_id = self._context.player_id
        self._known = device_events.known(player_id, ids, self._device_id)
        before = self._known.device
        self._admit()
        if (no_room := self._first_without_room()) is not None:
            self._admit(no_room)
        is_moved = self._after != before
        return Admitted(
            [self._event(index) for index in self._decided],
            max((one.position for one in self._known.events.values()), default=0),
            Move(self._device_id, before, self._after) if is_moved else None,
        )

    def _admit(self, no_room: int | None = None) -> None:
        self._admissions, self._after = admission.admit(
            [one.sent for one in self._queued],
            self._known.device,
            self._known.events,
            device_time=self._device_time,
            now=self._context.now,
            no_room=no_room,
        )
        decided = [
            index
            for index, admitted in enumerate(self._admissions)
            if admitted.verdict is Verdict.DECIDE
        ]
        self._decided = sorted(
            decided, key=lambda index: self._queued[index].sent.seq or 0
        )

    def _first_without_room(self) -> int | None:
        """Return the number of the first event beyond what may be held, if any.

        One query if the events outside the plan are too many; some of their lessons may
        not exist. Events of two devices at the same moment may together be more.
        """
        events = [
            event
            for index in self._decided
            if (event := self._queued[index].event) is not None
            and event.lesson_id not in self._context.plan.lessons
        ]
        room = max(0, settings.HELD_EVENTS_PER_PLAYER - self._known.held)
        if len(events) <= room:
            return None
        drafts = recording.drafts({event.lesson_id for event in events})
        waiting = [event.seq for event in events if event.lesson_id in drafts]
        return waiting[room] if len(waiting) > room else None

    def _event(self, index: int) -> Event:
        queued, at = self._queued[index], self._admissions[index].at
        event, event_id = queued.event, queued.sent.event_id
        assert event is not None
        assert event_id is not None
        assert at is not None
        origin = Origin(
            self._device_id, event.seq, event.occurred_at, queued.fingerprint
        )
        if EventKind(event.kind).is_about_item:
            assert event.item_id is not None
            rating = scheduler.BURIED if event.rating is None else event.rating
            return ReviewEvent(
                event_id, event.item_id, event.lesson_id, rating, at, origin
            )
        return LessonEvent(event_id, event.lesson_id, event.hearts or 0, at, origin)

    def stored(self, reviews: Sequence[Reviewed]) -> list[StoredAnswer | None]:
        return [_stored(review) for review in reviews]

    def result(self, outcomes: Sequence[Outcome]) -> SyncResult:
        """Return the answer to the request."""
        of_place = dict(zip(self._decided, outcomes, strict=True))
        of_id = {
            self._queued[place].sent.event_id: (self._queued[place], outcome)
            for place, outcome in of_place.items()
        }
        results = []
        for place, (queued, admitted) in enumerate(
            zip(self._queued, self._admissions, strict=True)
        ):
            event_id = queued.sent.event_id
            match admitted.verdict:
                case Verdict.DECIDE:
                    results.append(_decided(queued, of_place[place]))
                case Verdict.KNOWN:
                    results.append(_known(queued, self._known.events[event_id or ""]))
                case Verdict.AGAIN:
                    results.append(_again(queued, *of_id[event_id]))
                case Verdict.OUT_OF_ORDER:
                    results.append(_rejected(queued, EventCode.OUT_OF_ORDER, keep=True))
                case Verdict.NO_ROOM:
                    results.append(
                        _rejected(queued, EventCode.TOO_MANY_HELD, keep=True)
                    )
                case Verdict.SEQ_USED:
                    results.append(_rejected(queued, EventCode.SEQ_USED))
                case Verdict.INVALID:
                    results.append(
                        _rejected(queued, EventCode.INVALID_EVENT, queued.fault)
                    )
        return SyncResult(results, self._after.last_seq + 1)


class _HeldEvents:
    """The held events of a player (`recording.Source`)."""

    can_hold = True
    were_held = True

    def __init__(self, player_id: int) -> None:
        self._player_id = player_id

    def admit(self, *, again: bool) -> Admitted:
        return Admitted(device_events.held_of(self._player_id))

    def stored(self, reviews: Sequence[Reviewed]) -> list[StoredAnswer | None]:
        return [_stored(review) for review in reviews]


def _stored(review: Reviewed) -> StoredAnswer | None:
    event, card, xp = review
    assert event.origin is not None
    if card is None:
        return None
    response = {"due_at": recording.due_text(card.due_at), "xp_earned": xp}
    return StoredAnswer(event.event_id, event.origin.fingerprint, response)


# --- Reading events -----------------------------------------------------------------


def _queued(event: SyncEvent | Faulty) -> _Queued:
    if isinstance(event, Faulty):
        return _faulty(event)
    fault = _fault_of(event)
    own_id = str(event.id)
    if fault is not None:
        return _Queued(Sent(event.seq, None, None), own_id, None, fault)
    sent = Sent(event.seq, ledger.client_event(own_id), event.occurred_at)
    return _Queued(sent, own_id, event, fingerprint=_fingerprint(event))


def _faulty(event: Faulty) -> _Queued:
    """Return an event that cannot be read, with the number and id that it may have."""
    value = event.value if isinstance(event.value, dict) else {}
    seq, own_id = value.get("seq"), value.get("id")
    is_number = type(seq) is int and 1 <= seq <= MAX_KEY
    is_id = isinstance(own_id, str) and is_uuid4(own_id)
    return _Queued(
        Sent(seq if is_number else None, None, None),
        own_id if is_id else None,
        None,
        next(iter(event.faults.values())),
    )


def _fault_of(event: SyncEvent) -> str | None:
    """Return what the event's kind lacks, or has too much; None: it is valid."""
    if event.kind == EventKind.REVIEW:
        if event.item_id is None or event.rating is None:
            return _("A review needs “item_id” and “rating”.")
        return None
    if event.kind == EventKind.BURY:
        if event.item_id is None or event.rating is not None:
            return _("A burial needs “item_id”, and has no “rating”.")
        return None
    if event.kind == EventKind.LESSON_COMPLETED and not event.hearts:
        return _("A completed lesson needs “hearts” from 1 to 5.")
    if event.kind == EventKind.LESSON_FAILED and event.hearts:
        return _("A failed lesson has no hearts.")
    return None


def _fingerprint(event: SyncEvent) -> str:
    """Return the same text for events that say the same, whatever their number."""
    about: list[Any] = [event.kind, event.lesson_id, event.occurred_at]
    if EventKind(event.kind).is_about_item:
        about += [event.item_id, event.rating]
    else:
        about += [event.hearts or 0]
    return hashlib.sha256(orjson.dumps(about)).hexdigest()


# --- Results ------------------------------------------------------------------------


def _decided(queued: _Queued, outcome: Outcome) -> EventResult:
    if isinstance(outcome, Held):
        return _result(queued, EventStatus.HELD)
    if isinstance(outcome, Applied):
        return _result(
            queued,
            EventStatus.APPLIED,
            completion=outcome.completion,
            due_at=outcome.due_at,
            xp_earned=_review_xp(outcome),
        )
    error = outcome.error
    return _rejected(queued, EventCode(error.code), str(error.message))


def _known(queued: _Queued, known: KnownEvent) -> EventResult:
    event = queued.event
    assert event is not None
    is_same = known.fingerprint == queued.fingerprint
    if known.fingerprint is None:
        # Recorded online with the same key, which has no time.
        is_same = not EventKind(event.kind).is_about_item and (
            (known.lesson_id, known.hearts) == (event.lesson_id, event.hearts or 0)
        )
    if not is_same:
        return _conflict(queued)
    if known.is_held:
        return _result(queued, EventStatus.HELD)
    answer = known.answer or {}
    if EventKind(event.kind).is_about_item:
        return _result(
            queued,
            EventStatus.DUPLICATE,
            due_at=answer["due_at"],
            xp_earned=answer.get("xp_earned", 0),
        )
    completion = CompletionResult.from_answer(answer) if answer else None
    return _result(queued, EventStatus.DUPLICATE, completion=completion)


def _again(queued: _Queued, first: _Queued, outcome: Outcome) -> EventResult:
    """Return the result of an event whose id an earlier one of the batch has."""
    if first.fingerprint != queued.fingerprint:
        return _conflict(queued)
    if isinstance(outcome, Applied):
        return _result(
            queued,
            EventStatus.DUPLICATE,
            completion=outcome.completion,
            due_at=outcome.due_at,
            xp_earned=_review_xp(outcome),
        )
    return _decided(queued, outcome)


def _review_xp(outcome: Applied) -> int | None:
    return None if outcome.due_at is None else outcome.xp


def _conflict(queued: _Queued) -> EventResult:
    return _result(queued, EventStatus.CONFLICT, code=EventCode.EVENT_CONFLICT)


def _rejected(
    queued: _Queued, code: EventCode, message: str | None = None, *, keep: bool = False
) -> EventResult:
    return _result(queued, EventStatus.REJECTED, code=code, message=message, keep=keep)


def _result(
    queued: _Queued,
    status: EventStatus,
    *,
    code: EventCode | None = None,
    message: str | None = None,
    keep: bool = False,
    completion: CompletionResult | None = None,
    due_at: str | None = None,
    xp_earned: int | None = None,
) -> EventResult:
    return EventResult(
        id=queued.id,
        seq=queued.sent.seq,
        status=status,
        code=code,
        message=message or _message(code),
        keep=keep,
        completion=completion,
        due_at=due_at,
        xp_earned=xp_earned,
    )


def _message(code: EventCode | None) -> str | None:
    match code:
        case EventCode.OUT_OF_ORDER:
            return _("An earlier event is missing: send it first.")
        case EventCode.TOO_MANY_HELD:
            return _(
                "Too much work waits for lessons that are not published now: send it "
                "again later."
            )
        case EventCode.SEQ_USED:
            return _("An event with this number was decided before.")
        case EventCode.EVENT_CONFLICT:
            return _("This id was used for another event.")
    return None
