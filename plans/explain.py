"""What one plan makes of a node, and why: for the editor's eyes.

`plans.access.plan_tree` says what students get; this says of every node, those students
do not get included, what decided. A test holds the two together. Plain rules: no
Django here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from content.kinds import Kind
from content.tree import ContentNode
from plans.access import Access, Override, resolve_access

_NOTHING = Override()


class Absence(StrEnum):
    """Why students of a plan do not see a node."""

    TRASH = "trash"
    DRAFT = "draft"
    HIDDEN = "hidden"
    EMPTY = "empty"
    """It is there, but nothing in it is."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A node in one plan.

    ``access`` is what it has, or would have if it were seen. ``absent`` says why it is
    not, ``absent_at`` the id of the node that is the reason (itself, or one above).
    ``lessons`` counts those that students see at or below it, ``total`` those that are
    not in the trash.
    """

    node: ContentNode
    title: str
    access: Access
    is_linear: bool
    override: Override
    absent: Absence | None
    absent_at: str
    lessons: int
    total: int


def explain(
    trail: Sequence[ContentNode],
    overrides: Mapping[int, Override],
    *,
    lessons: int,
    total: int,
) -> Explained:
    """The last node of ``trail``, which holds it and all it lies in, outermost first.

    Args:
        overrides: what the plan says, by the nodes' keys.
        lessons: how many that students see lie inside; of a lesson any number.
        total: how many that are not in the trash.
    """
    *_above, node = trail
    access: Access | None = None
    absence: tuple[Absence, str] | None = None
    for step in trail:
        override = overrides.get(step.pk, _NOTHING)
        access = resolve_access(step, parent=access, override=override)
        absence = absence or own_absence(step, override)
    if access is None:
        raise ValueError("a trail holds its node")
    if node.kind is Kind.LESSON:
        lessons, total = int(absence is None), 1
    elif absence is None and not lessons and node.kind is not Kind.SUBJECT:
        absence = (Absence.EMPTY, node.id)
    return Explained(
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


def own_absence(node: ContentNode, override: Override) -> tuple[Absence, str] | None:
    """Why ``node`` itself is absent; what takes more to undo comes first."""
    if node.is_trashed:
        return Absence.TRASH, node.id
    if not node.is_published:
        return Absence.DRAFT, node.id
    if override.hide:
        return Absence.HIDDEN, node.id
    return None
