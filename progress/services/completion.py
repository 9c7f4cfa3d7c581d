"""Completing a lesson; see docs/architecture.md, "Completing a lesson".

The steps: read the state, apply the rules, commit one row of the ledger at the position
after that state, store the new state in Redis. The ledger refuses a row that was decided
on another state (`players.records`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from core.errors import MemoraError
from players.errors import InvalidLessonError, SessionUnknownError
from players.player_state import SubjectProgress, WalletState
from players.records import Found
from players.services import access
from progress import bitmap, streak, xp
from progress.api_types import CompletionResult, StreakChange
from progress.errors import (
    IdempotencyConflictError,
    NextLesson,
    NoHeartsError,
    NotUnlockedError,
)
from progress.models import InteractionLog, InteractionType
from progress.services import calendar, ledger, subject_cache, writing
from progress.services.ledger import PlayerDeletedError, PositionTakenError
from progress.services.writing import Start
from progress.streak import Streak
from progress.unlock import PlayerOutline
from publishing import api
from publishing.api import LessonEntry

_ATTEMPTS = 20
"""Each lost attempt means that another request of the same player was recorded."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A request, and what it is about in the player's plan."""

    player_id: int
    lesson: LessonEntry
    hearts: int
    event_id: str
    now: datetime
    outline: Callable[[SubjectProgress], PlayerOutline]
    """The outline of the lesson's subject, for a player with that progress."""

    @property
    def day(self) -> date:
        return calendar.day_of(self.now)


@dataclass(frozen=True, slots=True)
class _Decision:
    """The row to insert, and the state after it; ``result`` is None for a failure."""

    row: InteractionLog
    wallet: WalletState
    subject: SubjectProgress | None = None
    result: CompletionResult | None = None


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
    Redis after it; one more before it unless the session check has begun the write.
    While Redis does not answer, the ledger is read instead.

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
    try:
        attempt = _attempt(player_id, lesson_id, hearts, event_id, now, found)
        return _record(
            attempt, writing.begin(player_id, attempt.lesson.subject_id, found)
        )
    except (NoHeartsError, IdempotencyConflictError):
        raise
    except MemoraError:
        # Refused now, but this may be the repeat of a request that was accepted.
        if idempotency_key is None:
            raise
        first = _first_answer(player_id, event_id, lesson_id, hearts)
        if first is None:
            raise
        return first


def _attempt(
    player_id: int,
    lesson_id: str,
    hearts: int,
    event_id: str,
    now: datetime,
    found: Found | None,
) -> _Attempt:
    player_access = access.of_player(player_id, found)
    plan = api.load_plan(access.require_enrolled(player_access))
    lesson = plan.lessons.get(lesson_id)
    if lesson is None:
        raise InvalidLessonError(_("This lesson is not in your plan."))
    moment = now.timestamp()
    access.require_entitled(player_access, lesson, moment)
    outline = subject_cache.of_subject(plan.subjects[lesson.subject_id])
    items = player_access.current_items(moment)
    return _Attempt(
        player_id,
        lesson,
        hearts,
        event_id,
        now,
        lambda progress: outline.for_player(progress.bitmap, items),
    )


def _record(attempt: _Attempt, start: Start) -> CompletionResult:
    """Decide and insert until the row is decided on the state that it follows."""
    paid: tuple[bool, int] | None = None
    for _lost in range(_ATTEMPTS):
        start, outline = _unlocked(attempt, start)
        decision = _decide(attempt, start, outline, paid)
        if start.is_too_old:
            start = writing.begin(attempt.player_id, attempt.lesson.subject_id)
            continue
        try:
            ledger.append(decision.row)
        except PositionTakenError:
            first = _first_answer(
                attempt.player_id, attempt.event_id, attempt.lesson.id, attempt.hearts
            )
            if first is not None:
                return first
            start = writing.from_ledger(attempt.player_id, attempt.lesson.subject_id)
            # Or its first completion was in another subject.
            paid = ledger.lesson_history(attempt.player_id, attempt.lesson.id)
        except PlayerDeletedError:
            writing.forget(start)
            raise SessionUnknownError(
                _("This session is not known. Please sign in again.")
            ) from None
        else:
            writing.finish(start, decision.wallet, decision.subject)
            if decision.result is None:
                raise _no_hearts()
            return decision.result
    raise PositionTakenError


def _unlocked(attempt: _Attempt, start: Start) -> tuple[Start, PlayerOutline]:
    """Return the state in which the lesson is unlocked.

    Before a refusal the state is compared with the ledger: Redis may come back with
    older data.

    Raises:
        NotUnlockedError: the lesson is locked.
    """
    outline = attempt.outline(start.subject)
    if outline.is_unlocked(attempt.lesson.id):
        return start, outline
    if ledger.head(attempt.player_id) != start.wallet.seq:
        start = writing.from_ledger(attempt.player_id, attempt.lesson.subject_id)
        outline = attempt.outline(start.subject)
        if outline.is_unlocked(attempt.lesson.id):
            return start, outline
    raise NotUnlockedError(
        _("This lesson is still locked: complete the lessons before it first."),
        details=NextLesson(outline.next_lesson()),
    )


def _decide(
    attempt: _Attempt,
    start: Start,
    outline: PlayerOutline,
    paid: tuple[bool, int] | None,
) -> _Decision:
    """Decide on a completion.

    Args:
        paid: whether the lesson's first completion was paid, and its best hearts, in
            any subject; None: what this subject has.
    """
    if attempt.hearts == 0:
        return _failure(attempt, start)
    lesson = attempt.lesson
    completed, best = paid or (
        outline.is_passed(lesson.id),
        bitmap.hearts_at(start.subject.hearts, lesson.bit_index),
    )
    is_record = xp.is_record(hearts=attempt.hearts, best_hearts=best)
    earned = xp.earned(
        base_xp=lesson.base_xp,
        hearts=attempt.hearts,
        is_first=not completed,
        is_record=is_record,
        rates=_rates(),
    )
    before = Streak(start.wallet.current_streak, start.wallet.last_success_date)
    after, action = streak.after_success(before, attempt.day)
    row = _row(attempt, start, InteractionType.LESSON_COMPLETED)
    result = CompletionResult(
        success=True,
        xp_earned=earned,
        new_total_xp=start.wallet.total_xp + earned,
        is_first_completion=not completed,
        is_new_record=is_record,
        streak=_streak_change(before, after, action),
        unlocked=outline.opened_by(lesson.id),
        next_lesson_id=outline.passing(lesson.id).next_lesson(),
    )
    row.xp = earned
    row.best_hearts = max(best, attempt.hearts)
    row.first_of = None if completed else lesson.id
    row.data = {"answer": result.as_answer()}
    return _Decision(
        row,
        wallet=_wallet(
            attempt,
            row,
            start,
            total_xp=result.new_total_xp,
            current_streak=after.days,
            last_success_date=after.last,
        ),
        subject=bitmap.with_completion(
            start.subject, lesson.bit_index, best_hearts=row.best_hearts, xp=earned
        ),
        result=result,
    )


def _failure(attempt: _Attempt, start: Start) -> _Decision:
    row = _row(attempt, start, InteractionType.LESSON_FAILED)
    return _Decision(row, wallet=_wallet(attempt, row, start))


def _wallet(
    attempt: _Attempt, row: InteractionLog, start: Start, **changes: Any
) -> WalletState:
    """Return the wallet after the row."""
    played = max(start.wallet.last_played_at or attempt.now, attempt.now)
    return replace(start.wallet, seq=row.seq, last_played_at=played, **changes)


def _row(attempt: _Attempt, start: Start, kind: InteractionType) -> InteractionLog:
    return InteractionLog(
        player_id=attempt.player_id,
        seq=start.next_seq,
        event_id=attempt.event_id,
        type=kind,
        reference_id=attempt.lesson.id,
        subject_id=attempt.lesson.subject_id,
        bit_index=attempt.lesson.bit_index,
        hearts=attempt.hearts,
        day=attempt.day,
        occurred_at=attempt.now,
        received_at=attempt.now,
    )


def _streak_change(
    before: Streak, after: Streak, action: streak.Action
) -> StreakChange:
    assert after.last is not None
    return StreakChange(
        old=before.days,
        new=after.days,
        action=action,
        last_success_date=after.last.isoformat(),
    )


def _rates() -> xp.Rates:
    return xp.Rates(
        per_heart=settings.XP_PER_HEART,
        first_completion=settings.XP_FIRST_COMPLETION,
        new_record=settings.XP_NEW_RECORD,
    )


def _first_answer(
    player_id: int, event_id: str, lesson_id: str, hearts: int
) -> CompletionResult | None:
    """Return the first response to this event, or None.

    Raises:
        NoHeartsError: the first request had no hearts left.
        IdempotencyConflictError: the key was used for another request.
    """
    first = ledger.event(player_id, event_id)
    if first is None:
        return None
    # This request may have created the record before the first one was committed.
    writing.drop_older(player_id, first.seq)
    if (first.reference_id, first.hearts) != (lesson_id, hearts):
        raise key_conflict()
    if first.type == InteractionType.LESSON_FAILED:
        raise _no_hearts()
    return CompletionResult.from_answer(first.data["answer"])


def _no_hearts() -> NoHeartsError:
    return NoHeartsError(_("No hearts left: try the lesson again to complete it."))


def key_conflict() -> IdempotencyConflictError:
    """Return the error for a key that was used for another request."""
    return IdempotencyConflictError(
        _("This Idempotency-Key was used for another request: send a new one.")
    )
