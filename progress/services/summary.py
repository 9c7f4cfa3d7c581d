"""A player's progress in all subjects of the plan; see "Reading progress"."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from content.kinds import Kind
from core.parsing import time_text
from players.player_state import SubjectProgress
from players.records import Found
from players.services import access
from progress.services import etags, subject_cache, writing
from progress.summary_api_types import SubjectSummary, Summary, UnitSummary
from progress.unlock import OutlineNode, PlayerOutline
from publishing import api
from publishing.api import PlanStructure, SubjectStructure

_FORMAT = 1
"""The version of the answer's format. Raise it whenever the same progress is answered
with other JSON: it is part of the ETag."""


@dataclass(frozen=True, slots=True)
class SummaryAnswer:
    """The summary, with its strong ETag in quotes; None: the client's copy is current."""

    etag: str
    summary: Summary | None


def likely_subjects(if_none_match: str | None) -> tuple[str, ...]:
    """Return the subjects that a request will need, before its player is known.

    Those of the plan of the client's copy, whose ETag names it. Without one, or after a
    change of plans, `of_player` reads them with a second round trip.
    """
    plan_id, dot, _digest = (if_none_match or "").rpartition(".")
    return api.subjects_of_plan(plan_id.removeprefix("W/").strip('"')) if dot else ()


def of_player(
    *,
    player_id: int,
    now: datetime,
    if_none_match: str | None = None,
    found: Found | None = None,
) -> SummaryAnswer:
    """Return the player's progress in all subjects of the plan.

    No query while Redis has the records; no round trip beside the session check if that
    has read the plan's subjects.

    Args:
        if_none_match: the request's header. Whether the client's copy is current is
            decided before anything is counted.
        found: what the request's session check read; None: ask Redis now.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no plan with a release.
    """
    player_access = access.of_player(player_id, found)
    plan = api.load_plan(access.require_enrolled(player_access))
    _seq, progress = writing.read_subjects(player_id, tuple(plan.subjects), found)
    owned = player_access.current_items(now.timestamp())
    etag = _etag(plan, progress, owned & plan.sold_nodes.keys())
    if etags.is_current(etag, if_none_match):
        return SummaryAnswer(etag, None)
    # Stable: those that were never played stay in the order of the plan.
    in_order = sorted(
        plan.subjects, key=lambda one: _played(progress[one]), reverse=True
    )
    subjects = [_subject(plan.subjects[one], progress[one], owned) for one in in_order]
    return SummaryAnswer(etag, Summary(plan.plan_id, subjects))


def _played(progress: SubjectProgress) -> float:
    """Return the Unix time of the last attempt; 0 without one."""
    return 0 if progress.last_played is None else progress.last_played.at.timestamp()


def _subject(
    subject: SubjectStructure, progress: SubjectProgress, owned: frozenset[str]
) -> SubjectSummary:
    outline = subject_cache.of_subject(subject)
    player = outline.for_player(progress.bitmap, owned)
    status, reason = player.state(outline.root)
    played = progress.last_played
    return SubjectSummary(
        subject_id=subject.root.id,
        status=status,
        locked_reason=reason,
        completion_percentage=player.percentage,
        total_xp_earned=progress.xp,
        total_lessons=outline.total_lessons,
        entitled_lessons=player.entitled_lessons,
        passed_lessons=player.passed_lessons,
        last_lesson_id=None if played is None else _at_bit(subject, played.bit_index),
        last_played_at=None if played is None else time_text(played.at),
        suggested_next_lesson_id=player.next_lesson(),
        units=[
            _unit(node, player)
            for track in outline.root.children
            for node in track.children
            if node.kind == Kind.UNIT
        ],
    )


def _unit(node: OutlineNode, player: PlayerOutline) -> UnitSummary:
    status, reason = player.state(node)
    return UnitSummary(
        id=node.id,
        status=status,
        locked_reason=reason,
        total_lessons=node.end - node.start,
        entitled_lessons=player.count(player.entitled, node),
        passed_lessons=player.count(player.passed, node),
    )


def _at_bit(subject: SubjectStructure, bit_index: int) -> str | None:
    lessons = (one.id for one in subject.lessons if one.bit_index == bit_index)
    return next(lessons, None)


def _etag(
    plan: PlanStructure,
    progress: Mapping[str, SubjectProgress],
    products: Iterable[str],
) -> str:
    """Return the ETag of all that the answer is made of, after the plan's id."""
    about = [_FORMAT, plan.plan_id, plan.generation, sorted(products)]
    digest = hashlib.blake2b(orjson.dumps(about), digest_size=16)
    for one in progress.values():
        played = None if one.last_played is None else list(one.last_played)
        digest.update(orjson.dumps([len(one.bitmap), one.xp, played]))
        digest.update(one.bitmap)
    return f'"{plan.plan_id}.{digest.hexdigest()}"'
