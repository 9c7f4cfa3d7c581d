"""Completing a lesson; see docs/architecture.md, "Completing a lesson".

The steps: read the state from Redis and leave a mark, apply the rules, commit one row
of the ledger, update Redis. `progress.store` explains why no step loses XP or pays it
twice.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, Self

import structlog
from django.conf import settings
from django.db import IntegrityError
from django.utils.translation import gettext as _

from core.errors import MemoraError
from players.errors import InvalidLessonError
from players.services import access
from progress import bitmap, store, streak, xp
from progress.errors import (
    IdempotencyConflictError,
    NoHeartsError,
    NotUnlockedError,
)
from progress.models import InteractionLog, InteractionType
from progress.services import (
    calendar,
    ledger,
    projections,
    review_ratings,
    subject_cache,
)
from progress.store import Change, PendingWrite, State
from progress.streak import Streak
from progress.unlock import PlayerOutline
from publishing import api
from publishing.api import LessonEntry

log = structlog.get_logger(__name__)

_OutlineAt = Callable[[bytes], PlayerOutline]
"""Gives the player's outline of the lesson's subject at a bitmap."""

_TRIES = 5
"""Each lost race means that another request of the same player recorded one of the six
things that are paid once per lesson: the first completion and five records."""


@dataclass(frozen=True, slots=True)
class StreakChange:
    """The effect of a completion on the streak; ``last_success_date`` is ISO 8601."""

    old: int
    new: int
    action: str
    last_success_date: str


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """The response to a completion; the ledger stores it for repeated requests."""

    success: bool
    xp_earned: int
    new_total_xp: int
    is_first_completion: bool
    is_new_record: bool
    streak: StreakChange
    unlocked: list[str]
    """Ids of the lessons and containers that this unlocked, in tree order."""
    next_lesson_id: str | None

    def as_answer(self) -> dict[str, Any]:
        """Return the body of the response; its order of keys is fixed."""
        return asdict(self)

    @classmethod
    def from_answer(cls, answer: dict[str, Any]) -> Self:
        """Return the result that `as_answer` was made of."""
        return cls(**{**answer, "streak": StreakChange(**answer["streak"])})


@dataclass(frozen=True, slots=True)
class _Attempt:
    player_id: int
    lesson_id: str
    hearts: int
    idempotency_key: str | None
    now: datetime

    @property
    def day(self) -> date:
        return calendar.day_of(self.now)


def complete(
    *,
    player_id: int,
    lesson_id: str,
    hearts: int,
    idempotency_key: str | None,
    now: datetime,
) -> CompletionResult:
    """Record that a player finished a lesson with ``hearts`` (0 to 5).

    Call it outside a transaction: it commits its row.

    Args:
        idempotency_key: the client's name for this request. A repeat gets the first
            response, whatever has changed since.

    Raises:
        NotEnrolledError, InvalidLessonError, NotEntitledError, NotPublishedError: the
            player may not open the lesson.
        NotUnlockedError: an earlier lesson must be completed first.
        NoHeartsError: no hearts were left; the failed attempt is recorded.
        IdempotencyConflictError: the key was used for another request.
        StoreUnavailableError, DatabaseError: a service is away. Either nothing was
            recorded, or the ledger has the row and Redis is updated later.
    """
    attempt = _Attempt(player_id, lesson_id, hearts, idempotency_key, now)
    try:
        lesson, outline_at = _open_lesson(attempt)
        return _record(attempt, lesson, outline_at)
    except (NoHeartsError, IdempotencyConflictError):
        raise
    except MemoraError:
        # Refused now, but this may be the repeat of a request that was accepted.
        first = _first_answer(attempt)
        if first is None:
            raise
        return first


def _open_lesson(attempt: _Attempt) -> tuple[LessonEntry, _OutlineAt]:
    player_access = access.of_player(attempt.player_id)
    plan = api.load_plan(access.require_enrolled(player_access))
    lesson = plan.lessons.get(attempt.lesson_id)
    if lesson is None:
        raise InvalidLessonError(_("This lesson is not in your plan."))
    now = attempt.now.timestamp()
    access.require_entitled(player_access, lesson, now)
    outline = subject_cache.of_subject(plan.subjects[lesson.subject_id])
    return lesson, partial(outline.for_player, items=player_access.current_items(now))


def _record(
    attempt: _Attempt, lesson: LessonEntry, outline_at: _OutlineAt
) -> CompletionResult:
    ledger.connect()
    begun = store.begin(attempt.player_id, lesson.subject_id)
    state = _unlocked_state(begun, lesson, outline_at)
    history = _history_from(state, lesson)
    contested = False
    for _try in range(_TRIES):
        row, change, result = _decide(attempt, lesson, outline_at, state, history)
        try:
            ledger.append(row)
        except IntegrityError:
            if (repeated := _first_answer_or_cancel(attempt, begun)) is not None:
                return repeated
            # Another request won the race; only the ledger has what it recorded.
            contested = True
            state = projections.ledger_state(begun)
            history = ledger.lesson_history(attempt.player_id, lesson.id)
        else:
            _follow(begun, change, contested=contested)
            if result is None:
                raise _no_hearts()
            return result
    store.cancel(begun.mark)
    raise IntegrityError("the ledger refuses this completion")


def _unlocked_state(
    begun: PendingWrite, lesson: LessonEntry, outline_at: _OutlineAt
) -> State:
    state = projections.state(begun)
    if _is_unlocked(state, lesson, outline_at):
        return state
    if begun.others_in_flight:
        # The unlocking completion may be committed, but not yet applied to Redis.
        state = projections.ledger_state(begun)
        if _is_unlocked(state, lesson, outline_at):
            return state
    store.cancel(begun.mark)
    following = outline_at(state.subject.bitmap).next_lesson()
    raise NotUnlockedError(
        _("This lesson is still locked: complete the lessons before it first."),
        details={"next_lesson_id": following},
    )


def _is_unlocked(state: State, lesson: LessonEntry, outline_at: _OutlineAt) -> bool:
    return outline_at(state.subject.bitmap).is_unlocked(lesson.id)


def _history_from(state: State, lesson: LessonEntry) -> tuple[bool, int]:
    """Return whether the lesson was completed before, and its best hearts."""
    return (
        bitmap.is_set(state.subject.bitmap, lesson.bit_index),
        bitmap.hearts_at(state.subject.hearts, lesson.bit_index),
    )


def _decide(
    attempt: _Attempt,
    lesson: LessonEntry,
    outline_at: _OutlineAt,
    state: State,
    history: tuple[bool, int],
) -> tuple[InteractionLog, Change, CompletionResult | None]:
    """Return the row, the change of the projections, and the result (None: failed)."""
    if attempt.hearts == 0:
        return _failure(attempt, lesson, state)
    completed, best = history
    is_first = not completed
    is_record = xp.is_record(hearts=attempt.hearts, best_hearts=best)
    earned = xp.earned(
        base_xp=lesson.base_xp,
        hearts=attempt.hearts,
        is_first=is_first,
        is_record=is_record,
        rates=_rates(),
    )
    after, action = streak.after_success(state.streak, attempt.day)
    outline = outline_at(state.subject.bitmap)
    result = CompletionResult(
        success=True,
        xp_earned=earned,
        new_total_xp=state.total_xp + earned,
        is_first_completion=is_first,
        is_new_record=is_record,
        streak=_streak_change(state.streak, after, action),
        unlocked=outline.opened_by(lesson.id),
        next_lesson_id=outline.passing(lesson.id).next_lesson(),
    )
    row = _row(attempt, lesson, InteractionType.LESSON_COMPLETED)
    row.xp = earned
    row.first_of = lesson.id if is_first else None
    row.record_of = f"{lesson.id}:{attempt.hearts}" if is_record else None
    row.data = {"answer": result.as_answer()}
    change = Change(
        xp=earned,
        streak_before=state.streak,
        streak=after,
        played_at=attempt.now,
        bit_index=lesson.bit_index,
        hearts=attempt.hearts,
    )
    return row, change, result


def _failure(
    attempt: _Attempt, lesson: LessonEntry, state: State
) -> tuple[InteractionLog, Change, None]:
    change = Change(
        xp=0,
        streak_before=state.streak,
        streak=state.streak,
        played_at=attempt.now,
    )
    return _row(attempt, lesson, InteractionType.LESSON_FAILED), change, None


def _row(
    attempt: _Attempt, lesson: LessonEntry, kind: InteractionType
) -> InteractionLog:
    key = attempt.idempotency_key
    return InteractionLog(
        player_id=attempt.player_id,
        type=kind,
        reference_id=lesson.id,
        subject_id=lesson.subject_id,
        bit_index=lesson.bit_index,
        hearts=attempt.hearts,
        day=attempt.day,
        idempotency_key=None if key is None else ledger.key_hash(key),
        created_at=attempt.now,
    )


def _streak_change(
    before: Streak, after: Streak, action: streak.Action
) -> StreakChange:
    assert after.last is not None
    return StreakChange(
        old=before.days,
        new=after.days,
        action=str(action),
        last_success_date=after.last.isoformat(),
    )


def _rates() -> xp.Rates:
    return xp.Rates(
        per_heart=settings.XP_PER_HEART,
        first_completion=settings.XP_FIRST_COMPLETION,
        new_record=settings.XP_NEW_RECORD,
    )


def _follow(begun: PendingWrite, change: Change, *, contested: bool) -> None:
    """Update Redis after the commit; from here on the response is a success.

    If Redis fails now, its mark stays or its keys are missing, and the next reader
    uses the ledger.
    """
    try:
        if contested:
            # Redis lacked a row that the ledger had; it may lack others.
            store.discard(begun.mark)
        else:
            store.apply(begun.mark, change)
    except store.StoreUnavailableError as error:
        log.warning(
            "projection_not_updated",
            player=begun.mark.player_id,
            error=type(error).__name__,
        )


def _first_answer_or_cancel(
    attempt: _Attempt, begun: PendingWrite
) -> CompletionResult | None:
    try:
        found = _first_answer(attempt)
    except MemoraError:
        store.cancel(begun.mark)
        raise
    if found is not None:
        store.cancel(begun.mark)
    return found


def _first_answer(attempt: _Attempt) -> CompletionResult | None:
    """Return the first response to this idempotency key, or None.

    Raises:
        NoHeartsError: the first request had no hearts left.
        IdempotencyConflictError: the key was used for another request.
    """
    if attempt.idempotency_key is None:
        return None
    first = ledger.first_with_key(attempt.player_id, attempt.idempotency_key)
    if first is None:
        key_hash = ledger.key_hash(attempt.idempotency_key)
        if review_ratings.has_key(attempt.player_id, key_hash):
            raise key_conflict()
        return None
    if first.reference_id != attempt.lesson_id:
        raise key_conflict()
    if first.type == InteractionType.LESSON_FAILED:
        raise _no_hearts()
    if first.type != InteractionType.LESSON_COMPLETED:
        raise key_conflict()
    return CompletionResult.from_answer(first.data["answer"])


def _no_hearts() -> NoHeartsError:
    return NoHeartsError(_("No hearts left: try the lesson again to complete it."))


def key_conflict() -> IdempotencyConflictError:
    """Return the error for a key that was used for another request."""
    return IdempotencyConflictError(
        _("This Idempotency-Key was used for another request: send a new one.")
    )
