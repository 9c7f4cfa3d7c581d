"""Deciding on completions; see docs/architecture.md, "Completing a lesson".

`decide` decides one event on the state before it; `progress.services.recording` records
what was decided, of one event or of a batch.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from players.errors import InvalidLessonError
from players.local_days import LocalDays
from players.player_state import SubjectProgress, WalletState
from players.services import access
from progress import bitmap, streak, xp
from progress.api_types import CompletionResult, StreakChange
from progress.errors import (
    NextLesson,
    NotUnlockedError,
)
from progress.models import InteractionLog, InteractionType
from progress.services import calendar, freezes, ledger, subject_cache
from progress.services.events import Context, LessonEvent, ReviewEvent
from progress.services.ledger import Paid
from progress.services.writing import Start
from progress.unlock import PlayerOutline
from publishing.api import LessonEntry


class State:
    """What a player has at a position of the ledger, with the rows decided after it.

    Attributes:
        rows: the rows to insert, in this order.
        changed: the subjects that they change, by id.
    """

    def __init__(
        self,
        start: Start,
        events: Collection[LessonEvent],
        histories: Mapping[str, tuple[bool, int]] | None = None,
        *,
        days: LocalDays,
    ) -> None:
        """``histories``: see `ledger.lesson_histories`; None: what the subjects have."""
        self.wallet: WalletState = start.wallet
        self.rows: list[InteractionLog] = []
        self.changed: dict[str, SubjectProgress] = {}
        self.player_id = start.player_id
        self._subjects = start.subjects
        self._histories = None if histories is None else dict(histories)
        self._lessons = {event.lesson_id for event in events}
        self._days = {days.day_of(event.at) for event in events}
        self._paid: Paid | None = None
        self._new_firsts: set[str] = set()
        self._new_repeats: Counter[tuple[str, date]] = Counter()
        self._history: streak.History | None = None
        self._changes: list[tuple[date, streak.Change]] = []
        self._outlines: dict[str, tuple[frozenset[str], PlayerOutline]] = {}

    def subject(self, subject_id: str) -> SubjectProgress:
        return self.changed.get(subject_id) or self._subjects[subject_id]

    def outline(
        self, context: Context, lesson: LessonEntry, at: float
    ) -> PlayerOutline:
        """Return the subject for a player with the products that they had then."""
        subject_id = lesson.subject_id
        items = context.access.current_items(at)
        held = self._outlines.get(subject_id)
        if held is not None and held[0] == items:
            return held[1]
        outline = subject_cache.of_subject(context.plan.subjects[subject_id])
        made = outline.for_player(self.subject(subject_id).bitmap, items)
        self._outlines[subject_id] = (items, made)
        return made

    def history(self, lesson: LessonEntry, outline: PlayerOutline) -> tuple[bool, int]:
        """Return whether the first completion was paid, and the best hearts.

        Of a lesson that is not passed, the first completion may have been paid before a
        reset, or in another subject: then the database refuses the row, and it is
        decided again with the histories.

        A lesson that was completed in an earlier season, and granted in this one, counts
        as paid.
        """
        hearts = self.subject(lesson.subject_id).hearts
        best = bitmap.hearts_at(hearts, lesson.bit_index)
        if self._histories is not None:
            is_paid, most = self._histories.get(lesson.id, (False, 0))
            is_granted = outline.is_passed(lesson.id) and self.is_known(lesson.id)
            return is_paid or is_granted, max(most, best)
        return outline.is_passed(lesson.id) and self._is_first_paid(lesson.id), best

    def is_known(self, lesson_id: str) -> bool:
        """Return whether the lesson was completed before, maybe in another season.

        Without histories False: then the database refuses the row of a first completion
        that is none.
        """
        return self._histories is not None and lesson_id in self._histories

    def _is_first_paid(self, lesson_id: str) -> bool:
        """Return whether a passed lesson was completed: it may only be granted."""
        return lesson_id in self._new_firsts or lesson_id in self._paid_before().firsts

    def paid_repeats(self, lesson_id: str, day: date) -> int:
        """Return how many repeats of the lesson earned XP on a day."""
        before = self._paid_before().repeats[lesson_id, day]
        return before + self._new_repeats[lesson_id, day]

    def _paid_before(self) -> Paid:
        """Return what was paid of the events' lessons before them. One query a batch."""
        if self._paid is None:
            self._paid = ledger.paid_of(self.player_id, self._lessons, self._days)
        return self._paid

    def streak_history(self) -> streak.History:
        """Return what decides on the streak of a late day. One query a batch."""
        if self._history is None:
            self._history = ledger.streak_history(self.player_id)
        while self._changes:
            self._history = streak.recorded(self._history, *self._changes.pop(0))
        return self._history

    def add_failure(self, row: InteractionLog, lesson: LessonEntry) -> None:
        self._add(row)
        self.changed[lesson.subject_id] = bitmap.with_attempt(
            self.subject(lesson.subject_id), lesson.bit_index, at=row.occurred_at
        )

    def add_completion(
        self,
        row: InteractionLog,
        lesson: LessonEntry,
        *,
        change: streak.Change,
        is_paid_repeat: bool,
    ) -> None:
        """Add a completion, after the rows of its effect on the streak."""
        assert row.day is not None
        assert row.best_hearts is not None
        for one in freezes.rows_of(change, row):
            self._add(one)
        row.freezes = change.earned
        self._add(
            row,
            total_xp=self.wallet.total_xp + row.xp,
            **freezes.wallet_fields(self.wallet, change),
        )
        self.changed[lesson.subject_id] = bitmap.with_completion(
            bitmap.with_attempt(
                self.subject(lesson.subject_id), lesson.bit_index, at=row.occurred_at
            ),
            lesson.bit_index,
            best_hearts=row.best_hearts,
            xp=row.xp,
        )
        self._changes.append((row.day, change))
        if self._histories is not None:
            self._histories[lesson.id] = (True, row.best_hearts)
        if row.first_of is not None:
            self._new_firsts.add(lesson.id)
        if is_paid_repeat:
            self._new_repeats[lesson.id, row.day] += 1
        items, outline = self._outlines[lesson.subject_id]
        self._outlines[lesson.subject_id] = (items, outline.passing(lesson.id))

    def add_session(self, row: InteractionLog) -> None:
        self._add(row, total_xp=self.wallet.total_xp + row.xp)

    def _add(self, row: InteractionLog, **changes: Any) -> None:
        row.seq = self.wallet.seq + 1
        self.rows.append(row)
        played = max(self.wallet.last_played_at or row.occurred_at, row.occurred_at)
        self.wallet = replace(
            self.wallet, seq=row.seq, last_played_at=played, **changes
        )


def require_lesson(event: LessonEvent, context: Context) -> LessonEntry:
    """Return the lesson of an event.

    Raises:
        InvalidLessonError: it is not in the release of the player's plan.
    """
    lesson = context.plan.lessons.get(event.lesson_id)
    if lesson is None:
        raise InvalidLessonError(_("This lesson is not in your plan."))
    return lesson


def decide(
    event: LessonEvent, lesson: LessonEntry, state: State, context: Context
) -> CompletionResult | None:
    """Decide on one event, and add its row to the state.

    Returns:
        None: there were no hearts left; the failed attempt is recorded.

    Raises:
        NotEntitledError: the player has no product of it, now or when it was done.
        NotUnlockedError: an earlier lesson must be completed first.
    """
    outline = _unlocked(event, lesson, state, context)
    day = context.access.days.day_of(event.at)
    row = _row(event, lesson, state, context.now, day)
    if event.hearts == 0:
        row.type = InteractionType.LESSON_FAILED
        state.add_failure(row, lesson)
        return None
    completed, best = state.history(lesson, outline)
    is_record = xp.is_record(hearts=event.hearts, best_hearts=best)
    is_repeat = completed and not is_record
    earned = xp.earned(
        base_xp=lesson.base_xp,
        hearts=event.hearts,
        is_first=not completed,
        is_record=is_record,
        rates=rates(),
    )
    if is_repeat and state.paid_repeats(lesson.id, day) >= settings.XP_REPEATS_PER_DAY:
        earned = 0
    change = streak.after_success(
        freezes.streak_of(state.wallet),
        day,
        calendar.rules(context.access.days),
        state.streak_history,
    )
    result = CompletionResult(
        success=True,
        xp_earned=earned,
        new_total_xp=state.wallet.total_xp + earned,
        is_first_completion=not completed,
        is_new_record=is_record,
        streak=_streak_change(state.wallet, change),
        unlocked=outline.opened_by(lesson.id),
        next_lesson_id=outline.passing(lesson.id).next_lesson(),
    )
    row.type = InteractionType.LESSON_COMPLETED
    row.xp = earned
    row.best_hearts = max(best, event.hearts)
    # In a season that began without progress, a lesson can be earned again.
    row.first_of = None if completed or state.is_known(lesson.id) else lesson.id
    row.data = row.data | {"answer": result.as_answer()}
    state.add_completion(
        row, lesson, change=change, is_paid_repeat=is_repeat and earned > 0
    )
    return result


def pay_session(
    event: ReviewEvent, at: datetime, state: State, context: Context
) -> None:
    """Add the row of a session of reviews that the event begins at that time."""
    name = f"review_session:{event.event_id}"
    state.add_session(
        InteractionLog(
            player_id=state.player_id,
            seq=state.wallet.seq + 1,
            # Of a device's event always the same: it cannot be paid twice.
            event_id=ledger.client_event(name)
            if event.event_id
            else ledger.server_event(),
            type=InteractionType.REVIEW_SESSION,
            reference_id="reviews",
            xp=settings.XP_REVIEW_SESSION,
            day=context.access.days.day_of(at),
            occurred_at=at,
            received_at=context.now,
        )
    )


def _unlocked(
    event: LessonEvent, lesson: LessonEntry, state: State, context: Context
) -> PlayerOutline:
    """Return the subject in which the lesson is unlocked.

    It may be unlocked with the products that the player had when it was done, or with
    those of now.

    Raises:
        NotEntitledError, NotUnlockedError: see `decide`.
    """
    then = event.at.timestamp()
    # A product that is bought later counts then, too: only its end is stored.
    access.require_entitled(context.access, lesson, then)
    outline = state.outline(context, lesson, then)
    if outline.is_unlocked(lesson.id):
        return outline
    outline = state.outline(context, lesson, context.now.timestamp())
    if outline.is_unlocked(lesson.id):
        return outline
    raise NotUnlockedError(
        _("This lesson is still locked: complete the lessons before it first."),
        details=NextLesson(outline.next_lesson()),
    )


def _row(
    event: LessonEvent, lesson: LessonEntry, state: State, now: datetime, day: date
) -> InteractionLog:
    row = InteractionLog(
        player_id=state.player_id,
        event_id=event.event_id,
        reference_id=lesson.id,
        subject_id=lesson.subject_id,
        bit_index=lesson.bit_index,
        hearts=event.hearts,
        day=day,
        occurred_at=event.at,
        received_at=now,
    )
    if event.origin is not None:
        row.device_id = event.origin.device_id
        row.device_seq = event.origin.seq
        row.device_time = event.origin.time
        row.data = {"fingerprint": event.origin.fingerprint}
    return row


def _streak_change(before: WalletState, change: streak.Change) -> StreakChange:
    after = change.streak
    assert after.last is not None
    return StreakChange(
        old=before.current_streak,
        new=after.days,
        action=change.action,
        last_success_date=after.last.isoformat(),
        freezes=after.freezes,
        frozen_days=[day.isoformat() for day in change.spent],
    )


def rates() -> xp.Rates:
    """Return the numbers of the XP formula, from the settings."""
    return xp.Rates(
        per_heart=settings.XP_PER_HEART,
        first_completion=settings.XP_FIRST_COMPLETION,
        new_record=settings.XP_NEW_RECORD,
    )
