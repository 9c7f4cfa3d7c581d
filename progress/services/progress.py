"""A player's progress in a subject; see docs/architecture.md, "Reading progress"."""

from typing import Any

from django.utils.translation import gettext as _

from players.services import access
from progress import bitmap
from progress.errors import InvalidSubjectError
from progress.services import projections, subject_cache
from progress.unlock import OutlineNode
from publishing import api
from publishing.api import PlanStructure, SubjectStructure


def of_subject(*, player_id: int, subject_id: str) -> dict[str, Any]:
    """Return the progress tree of a subject in the player's plan, and its totals.

    Every node has id, type, status, bit_index, best_hearts and children; bit_index and
    best_hearts are null except for lessons. Hidden and unpublished lessons are not
    counted.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no published plan.
        InvalidSubjectError: the subject is not in the plan.
        StoreUnavailableError: Redis does not answer.
    """
    plan = api.load_plan(
        access.require_enrolled(access.of_player(player_id)),
    )
    outline = subject_cache.of_subject(require_subject(plan, subject_id))
    progress = projections.subject(player_id, subject_id)
    bits = outline.bits(progress.bitmap)
    return {
        "subject_id": subject_id,
        "root": _node(outline.root, bits, progress.hearts, is_open=True),
        "completion_percentage": outline.percentage(bits),
        "total_xp_earned": progress.xp,
        "suggested_next_lesson_id": outline.next_lesson(bits),
        "total_lessons": outline.total_lessons,
        "passed_lessons": outline.passed_lessons(bits),
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


def _node(
    place: OutlineNode, bits: int, hearts: bytes, *, is_open: bool
) -> dict[str, Any]:
    bit = place.bit_index
    return {
        "id": place.id,
        "type": place.kind,
        "status": place.status(bits, is_open=is_open).value,
        "bit_index": bit,
        "best_hearts": None if bit is None else bitmap.hearts_at(hearts, bit),
        "children": [
            _node(
                child,
                bits,
                hearts,
                is_open=is_open and child.opens_in_open_parent(bits),
            )
            for child in place.children
        ],
    }
