"""Completing one lesson online; see docs/architecture.md, "Completing a lesson"."""

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _

from core.errors import MemoraError
from core.idempotency import key_conflict
from players.records import Found
from progress.api_types import CompletionResult
from progress.errors import NoHeartsError
from progress.models import InteractionLog, InteractionType
from progress.services import ledger, recording, writing
from progress.services.events import LessonEvent
from progress.services.recording import Admitted, Applied, Refused, Reviewed
from progress.services.review_ratings import StoredAnswer


def complete(
    *,
    player_id: int,
    lesson_id: str,
    hearts: int,
    idempotency_key: str | None,
    now: datetime,
    found: Found | None = None,
) -> CompletionResult:
    """Record that a player finished a lesson with ``hearts`` (0 to 5).

    Call it outside a transaction: it commits its row. One insert, and one round trip to
    Redis after it; one more before it unless the session check has begun the write. A
    lesson that is passed already costs one more query. While Redis does
    not answer, the ledger is read instead.

    Args:
        idempotency_key: the client's name for this request. A repeat gets the first
            response, whatever has changed since.
        found: what the request's session check read and began.

    Raises:
        NotEnrolledError, InvalidLessonError, NotEntitledError, NotPublishedError: the
            player may not open the lesson.
        NotUnlockedError: an earlier lesson must be completed first.
        NoHeartsError: no hearts were left; the failed attempt is recorded.
        IdempotencyConflictError: the key was used for another request.
        SessionUnknownError: the player has been deleted.
        DatabaseError: the database is away. Nothing was recorded, unless the connection
            broke during the commit and could not be made again.
    """
    event_id = (
        ledger.server_event()
        if idempotency_key is None
        else ledger.client_event(idempotency_key)
    )
    request = _Request(player_id, LessonEvent(event_id, lesson_id, hearts, now))
    refusal: MemoraError
    try:
        context = recording.context_of(player_id, now, found)
        outcomes = recording.record(request, context, found)
    except MemoraError as error:
        refusal = error
    else:
        if request.first is not None:
            return request.first_answer(request.first)
        [outcome] = outcomes
        if isinstance(outcome, Applied):
            if outcome.completion is None:
                raise _no_hearts()
            return outcome.completion
        assert isinstance(outcome, Refused)
        refusal = outcome.error
    # Refused now, but this may be the repeat of a request that was accepted.
    first = None if idempotency_key is None else ledger.event(player_id, event_id)
    if first is None:
        raise refusal
    return request.first_answer(first)


class _Request:
    """One completion (`recording.Source`)."""

    can_hold = False
    were_held = False

    def __init__(self, player_id: int, event: LessonEvent) -> None:
        self._player_id = player_id
        self._event = event
        self.first: InteractionLog | None = None
        """The row of the first request with the same key."""

    def admit(self, *, again: bool) -> Admitted:
        self.first = (
            ledger.event(self._player_id, self._event.event_id) if again else None
        )
        return Admitted(() if self.first else (self._event,))

    def stored(self, _reviews: Sequence[Reviewed]) -> list[StoredAnswer | None]:
        return []

    def first_answer(self, first: InteractionLog) -> CompletionResult:
        """Return the first response to this event.

        Raises:
            NoHeartsError: the first request had no hearts left.
            IdempotencyConflictError: the key was used for another request.
        """
        # This request may have created the record before the first one was committed.
        writing.drop_older(self._player_id, first.seq)
        asked = self._event
        if (first.reference_id, first.hearts) != (asked.lesson_id, asked.hearts):
            raise key_conflict()
        if first.type == InteractionType.LESSON_FAILED:
            raise _no_hearts()
        return CompletionResult.from_answer(first.data["answer"])


def _no_hearts() -> NoHeartsError:
    return NoHeartsError(_("No hearts left: try the lesson again to complete it."))
