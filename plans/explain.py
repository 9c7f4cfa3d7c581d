"""Explain to editors how a plan shows a node, and why.

`plans.access.plan_tree` returns only the nodes that students see. This module explains
every node, including those that students do not see. A test checks that both agree.
Plain Python rules, without Django.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from content.kinds import Kind
from content.tree import ContentNode
from plans.access import Access, Override, resolve_access

_NO_OVERRIDE = Override()


class HiddenReason(StrEnum):
    """Why students of a plan do not see a node."""

    TRASH = "trash"
    DRAFT = "draft"
    HIDDEN = "hidden"
    EMPTY = "empty"
    """The node is visible, but it contains no visible lesson."""


@dataclass(frozen=True, slots=True)
class NodeExplanation:
    """A node in one plan.

    ``access`` is the access it has, or would have if it were visible. ``absent`` is the
    reason why it is not visible; ``absent_at`` is the id of the node that causes it
    (this node or an ancestor). ``lessons`` is the number of visible lessons at or below
    it; ``total`` is the number of those not in the trash.
    """

    node: ContentNode
    title: str
    access: Access
    is_linear: bool
    override: Override
    absent: HiddenReason | None
    absent_at: str
    lessons: int
    total: int


def explain(
    trail: Sequence[ContentNode],
    overrides: Mapping[int, Override],
    *,
    lessons: int,
    total: int,
) -> NodeExplanation:
    """Explain the last node of ``trail``, which starts with the subject.

    Args:
        overrides: the plan's overrides, by node pk.
        lessons: the number of visible lessons inside the node; ignored for a lesson.
        total: the number of lessons inside that are not in the trash.
    """
    *_above, node = trail
    access: Access | None = None
    absence: tuple[HiddenReason, str] | None = None
    for step in trail:
        override = overrides.get(step.pk, _NO_OVERRIDE)
        access = resolve_access(step, parent=access, override=override)
        absence = absence or own_hidden_reason(step, override)
    if access is None:
        raise ValueError("a trail holds its node")
    if node.kind is Kind.LESSON:
        lessons, total = int(absence is None), 1
    elif absence is None and not lessons and node.kind is not Kind.SUBJECT:
        absence = (HiddenReason.EMPTY, node.id)
    return NodeExplanation(
        node=node,
        title=override.title or node.title,
        access=access,
        is_linear=(
            node.is_linear if override.is_linear is None else override.is_linear
        ),
        override=override,
        absent=absence[0] if absence else None,
        absent_at=absence[1] if absence else "",
        lessons=lessons,
        total=total,
    )


def own_hidden_reason(
    node: ContentNode, override: Override
) -> tuple[HiddenReason, str] | None:
    """Return why ``node`` itself is absent, the reason hardest to undo first."""
    if node.is_trashed:
        return HiddenReason.TRASH, node.id
    if not node.is_published:
        return HiddenReason.DRAFT, node.id
    if override.hide:
        return HiddenReason.HIDDEN, node.id
    return None
