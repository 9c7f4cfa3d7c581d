"""What one plan makes of a subject, node by node, and why: for the editor's eyes.

`plans.access.plan_tree` says what students get; this says of every node, those students
do not get included, what decided. A test holds the two together. Plain rules: no
Django here.
"""

from collections.abc import Mapping
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
    not in the trash, ``inside`` the nodes below it that the plan says something of.
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
    inside: int


def explain(
    subject: ContentNode, overrides: Mapping[int, Override]
) -> dict[int, Explained]:
    """Every node of ``subject`` by pk, parents first, in tree order."""
    found: dict[int, Explained] = {}
    _explain(subject, None, None, overrides, found)
    return {node.pk: found[node.pk] for node in _walk(subject)}


def _walk(node: ContentNode) -> list[ContentNode]:
    nodes = [node]
    for child in node.children:
        nodes += _walk(child)
    return nodes


def _explain(
    node: ContentNode,
    parent: Access | None,
    above: tuple[Absence, str] | None,
    overrides: Mapping[int, Override],
    found: dict[int, Explained],
) -> Explained:
    """Explain ``node`` and all below it; ``above`` is why its parent is absent."""
    override = overrides.get(node.pk, _NOTHING)
    access = resolve_access(node, parent=parent, override=override)
    absence = above or own_absence(node, override)
    below = [
        _explain(child, access, absence, overrides, found) for child in node.children
    ]
    lessons = sum(child.lessons for child in below)
    total = sum(child.total for child in below)
    if node.kind is Kind.LESSON:
        lessons = int(absence is None)
        total = 1
    if absence and absence[0] is Absence.TRASH:
        total = 0
    if absence is None and not lessons and node.kind not in (Kind.SUBJECT, Kind.LESSON):
        absence = (Absence.EMPTY, node.id)
    said = found[node.pk] = Explained(
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
        inside=sum(child.inside + (child.override is not _NOTHING) for child in below),
    )
    return said


def own_absence(node: ContentNode, override: Override) -> tuple[Absence, str] | None:
    """Why ``node`` itself is absent; what takes more to undo comes first."""
    if node.is_trashed:
        return Absence.TRASH, node.id
    if not node.is_published:
        return Absence.DRAFT, node.id
    if override.hide:
        return Absence.HIDDEN, node.id
    return None
