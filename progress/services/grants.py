"""Granting and resetting lessons by staff; see docs/architecture.md.

Each lesson is a row of the ledger, decided on the rows before it like a completion. The
rows pay nothing and take no XP away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from players import audit
from players.errors import InvalidLessonError
from players.models import SecurityEventType
from players.player_state import SubjectProgress
from players.services import access
from players.services.access import PlayerAccess
from players.services.devices import lock_player
from progress import bitmap
from progress.errors import InvalidCorrectionError
from progress.models import InteractionLog, InteractionType
from progress.services import ledger, subject_cache, writing
from progress.services.writing import Start
from progress.unlock import OutlineNode, StructureOutline
from progress.xp import MAX_HEARTS
from publishing import api
from publishing.api import LessonEntry, PlanStructure

MAX_LESSONS = 500
"""The most rows that one grant or reset adds."""


class Change(StrEnum):
    """What staff do with the lessons of a node."""

    GRANT = "grant"
    """They count as passed."""
    RESET = "reset"
    """They count as never passed."""


_TYPES = {
    Change.GRANT: (InteractionType.LESSON_GRANTED, SecurityEventType.PROGRESS_GRANTED),
    Change.RESET: (InteractionType.LESSON_RESET, SecurityEventType.PROGRESS_RESET),
}


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change does with the lessons of a node, in tree order.

    ``passed`` counts the lessons that are passed now, ``not_entitled`` those that are
    not granted because the student lacks a product of them.
    """

    subject_id: str
    kind: str
    lessons: Sequence[LessonEntry]
    total: int
    passed: int
    not_entitled: int

    @property
    def is_too_long(self) -> bool:
        return len(self.lessons) > MAX_LESSONS


def preview(*, player_id: int, node_id: str, change: Change, now: datetime) -> Preview:
    """Return what a change of a lesson, or of all lessons below a node, would do now.

    A grant adds a row for each lesson that is not passed and that the player may open;
    a reset one for each that is passed. The lessons are those of the release of the
    player's plan. Read from the ledger: two queries, and what the access costs.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no plan with a release.
        InvalidLessonError: the node is not in it.
    """
    node = _node(player_id, node_id)
    seq = ledger.head(player_id)
    subjects = ledger.subjects_of_player(player_id, [node.subject_id], seq)
    return node.preview(subjects[node.subject_id], change, now)


@transaction.atomic
def apply(
    *,
    player_id: int,
    node_id: str,
    change: Change,
    reason: str,
    actor_id: int,
    now: datetime,
    hearts: int = MAX_HEARTS,
    ip_address: str | None = None,
) -> int:
    """Grant or reset a lesson, or all lessons below a node, as `preview` says.

    All rows or none, at consecutive positions, with a row of the audit trail. The
    records in Redis follow after the commit; after a crash in between, they expire.

    Args:
        reason: why, in a few words; it is stored in every row.
        hearts: of a grant, 1 to 5. Fewer than a record of the lesson change nothing.

    Returns:
        How many lessons were granted or reset.

    Raises:
        PlayerNotFoundError: there is no such player.
        NotEnrolledError, NotPublishedError, InvalidLessonError: see `preview`.
        InvalidCorrectionError: the reason is empty, ``hearts`` is out of range, or
            there is nothing to do, or more than `MAX_LESSONS`.
    """
    if not reason.strip():
        raise InvalidCorrectionError(_("Write why the progress is changed."))
    if not 1 <= hearts <= MAX_HEARTS:
        raise InvalidCorrectionError(_("Hearts are from 1 to 5."))
    profile = lock_player(player_id)
    node = _node(player_id, node_id)
    kind, event = _TYPES[change]
    details = {"reason": reason.strip(), "actor_id": actor_id, "node": node_id}
    ledger.lock([player_id])
    start = writing.from_ledger(player_id, [node.subject_id])
    before = start.subjects[node.subject_id]
    lessons = _checked(node.preview(before, change, now), change)
    rows = _rows(start, lessons, kind, hearts, details, now)
    ledger.insert(rows)
    wallet = replace(start.wallet, seq=rows[-1].seq)
    after = {node.subject_id: _after(before, rows)}
    audit.record(
        event,
        user_id=profile.user_id,
        actor_id=actor_id,
        ip_address=ip_address,
        node=node_id,
        lessons=len(rows),
        reason=reason.strip(),
    )
    transaction.on_commit(partial(writing.finish, start, wallet, after))
    return len(rows)


@dataclass(frozen=True, slots=True)
class _Node:
    """A node of the plan's release, for a player."""

    subject_id: str
    kind: str
    lessons: Sequence[LessonEntry]
    outline: StructureOutline
    access: PlayerAccess

    def preview(
        self, progress: SubjectProgress, change: Change, now: datetime
    ) -> Preview:
        player = self.outline.for_player(
            progress.bitmap, self.access.current_items(now.timestamp())
        )
        passed = [one for one in self.lessons if player.is_passed(one.id)]
        others = [one for one in self.lessons if not player.is_passed(one.id)]
        open_ = [one for one in others if self.access.may_open(one, now.timestamp())]
        is_grant = change is Change.GRANT
        return Preview(
            subject_id=self.subject_id,
            kind=self.kind,
            lessons=open_ if is_grant else passed,
            total=len(self.lessons),
            passed=len(passed),
            not_entitled=len(others) - len(open_) if is_grant else 0,
        )


def _node(player_id: int, node_id: str) -> _Node:
    player_access = access.of_player(player_id)
    plan = api.load_plan(access.require_enrolled(player_access))
    subject_id = _subject_of(plan, node_id)
    outline = subject_cache.of_subject(plan.subjects[subject_id])
    found = _find(outline.root, node_id)
    lessons = [
        plan.lessons[one.id] for one in outline.in_order[found.start : found.end]
    ]
    return _Node(subject_id, found.kind, lessons, outline, player_access)


def _subject_of(plan: PlanStructure, node_id: str) -> str:
    lesson = plan.lessons.get(node_id)
    if lesson is not None:
        return lesson.subject_id
    if node_id in plan.subjects:
        return node_id
    below = plan.lessons_below(node_id)
    if not below:
        raise InvalidLessonError(_("This node is not in the student's plan."))
    return below[0].subject_id


def _find(node: OutlineNode, node_id: str) -> OutlineNode:
    """Return the node of this id at or below a node; it is there."""
    waiting = [node]
    while waiting[-1].id != node_id:
        waiting += waiting.pop().children
    return waiting[-1]


def _checked(found: Preview, change: Change) -> Sequence[LessonEntry]:
    if not found.lessons:
        if change is Change.RESET:
            raise InvalidCorrectionError(_("No lesson here is passed."))
        raise InvalidCorrectionError(_("There is no lesson here to grant."))
    if found.is_too_long:
        raise InvalidCorrectionError(
            _(
                "%(count)d lessons are too many at a time: choose a part of at most %(limit)d."
            )
            % {"count": len(found.lessons), "limit": MAX_LESSONS}
        )
    return found.lessons


def _rows(
    start: Start,
    lessons: Sequence[LessonEntry],
    kind: InteractionType,
    hearts: int,
    details: dict[str, Any],
    now: datetime,
) -> list[InteractionLog]:
    is_grant = kind is InteractionType.LESSON_GRANTED
    ids = [lesson.id for lesson in lessons]
    histories = ledger.lesson_histories(start.player_id, ids) if is_grant else {}
    return [
        InteractionLog(
            player_id=start.player_id,
            seq=seq,
            event_id=ledger.server_event(),
            type=kind,
            reference_id=lesson.id,
            subject_id=lesson.subject_id,
            bit_index=lesson.bit_index,
            hearts=hearts if is_grant else None,
            # A record that was paid before a reset is not paid again.
            best_hearts=max(hearts, histories.get(lesson.id, (False, 0))[1])
            if is_grant
            else None,
            data=details,
            occurred_at=now,
            received_at=now,
        )
        for seq, lesson in enumerate(lessons, start=start.next_seq)
    ]


def _after(
    progress: SubjectProgress, rows: Sequence[InteractionLog]
) -> SubjectProgress:
    for row in rows:
        assert row.bit_index is not None
        if row.best_hearts is None:
            progress = bitmap.without(progress, row.bit_index)
        else:
            progress = bitmap.with_completion(
                progress, row.bit_index, best_hearts=row.best_hearts, xp=0
            )
    return progress
