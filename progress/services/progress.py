"""A player's progress in a subject; see docs/architecture.md, "Reading progress"."""

from typing import Any

from django.utils.translation import gettext as _

from players.services import access
from progress import bitmap
from progress.errors import InvalidSubjectError
from progress.services import projections, subject_cache
from progress.unlock import OutlineNode, PlayerOutline
from publishing import api
from publishing.api import PlanStructure, SubjectStructure


def of_subject(*, player_id: int, subject_id: str, now: float) -> dict[str, Any]:
    """Return the progress tree of a subject in the player's plan, and its totals.

    Every node has id, type, status, locked_reason, bit_index, best_hearts and children;
    locked_reason is null unless the node is locked; bit_index and best_hearts are null
    except for lessons. Hidden and unpublished lessons are not counted.

    Args:
        now: Unix time; products that have expired then do not count.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no published plan.
        InvalidSubjectError: the subject is not in the plan.
        StoreUnavailableError: Redis does not answer.
    """
    player_access = access.of_player(player_id)
    plan = api.load_plan(access.require_enrolled(player_access))
    outline = subject_cache.of_subject(require_subject(plan, subject_id))
    progress = projections.subject(player_id, subject_id)
    player = outline.for_player(progress.bitmap, player_access.current_items(now))
    return {
        "subject_id": subject_id,
        "root": _node(outline.root, player, progress.hearts),
        "completion_percentage": player.percentage,
        "total_xp_earned": progress.xp,
        "suggested_next_lesson_id": player.next_lesson(),
        "total_lessons": outline.total_lessons,
        "entitled_lessons": player.entitled_lessons,
        "passed_lessons": player.passed_lessons,
    }


def require_subject(plan: PlanStructure, subject_id: str) -> SubjectStructure:
    """Return the subject in a plan's release.

    Raises:
        InvalidSubjectError: the release has no such subject.
    """
    found = plan.subjects.get(subject_id)
    if found is None:
        raise InvalidSubjectError(_("This subject is not in your plan."))
    return found


def _node(place: OutlineNode, player: PlayerOutline, hearts: bytes) -> dict[str, Any]:
    bit = place.bit_index
    status, locked_reason = player.state(place)
    return {
        "id": place.id,
        "type": place.kind,
        "status": status.value,
        "locked_reason": None if locked_reason is None else locked_reason.value,
        "bit_index": bit,
        "best_hearts": None if bit is None else bitmap.hearts_at(hearts, bit),
        "children": [_node(child, player, hearts) for child in place.children],
    }
