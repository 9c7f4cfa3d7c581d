"""The access rules of a plan (docs/architecture.md, "Access").

The access level of a node is the first of these that applies:

1. an override of the plan on this node: Hide removes it and everything below it; Set
   Access Level, Set Free and Set Sold Separately set its level;
2. ``is_free_preview``: ``free_preview``, also below a paid parent (piercing);
3. ``required_item``: ``paid``, with that product;
4. the parent's level, unless it is ``authenticated`` (with its product if paid);
5. ``is_public``: ``public``;
6. ``authenticated``.

A node is linear if the plan's Set Linear override sets it so; without that override, if
its ``is_linear`` is set. Unpublished and trashed nodes are removed with everything
below them. A container without lessons is removed too, except a subject.

Plain Python rules, without Django.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from content.kinds import Kind
from content.tree import ContentNode


class Level(StrEnum):
    """The access level of a node: which students may open it."""

    PUBLIC = "public"
    AUTHENTICATED = "authenticated"
    FREE_PREVIEW = "free_preview"
    PAID = "paid"


OPEN_LEVELS = frozenset({Level.PUBLIC, Level.FREE_PREVIEW})
"""Levels of open lessons (docs/architecture.md, "Open and gated lessons")."""


class Rule(StrEnum):
    """The rule that decided an access level, shown to editors as the reason."""

    OVERRIDE = "override"
    FREE_PREVIEW = "free_preview"
    REQUIRED_ITEM = "required_item"
    INHERITED = "inherited"
    PUBLIC = "public"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Override:
    """All overrides of one plan on one node, with at most one for access."""

    hide: bool = False
    level: Level | None = None
    item: str = ""
    is_linear: bool | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """The effective access of a node and the reason.

    ``item`` is the product code if ``level`` is paid. "" means that no product is
    named: then no student can open the node. ``decided_at`` is the id of the node whose
    field or override decided.
    """

    level: Level
    item: str
    rule: Rule
    decided_at: str


@dataclass(frozen=True, slots=True)
class PlanNode:
    """A node as the students of one plan see it."""

    source: ContentNode
    title: str
    is_linear: bool
    access: Access
    children: tuple["PlanNode", ...] = ()

    @property
    def id(self) -> str:
        return self.source.id

    @property
    def kind(self) -> Kind:
        return self.source.kind


_NO_OVERRIDE = Override()


def resolve_access(
    node: ContentNode, *, parent: Access | None, override: Override = _NO_OVERRIDE
) -> Access:
    """Return the access of ``node``, assuming that it is visible (rules 1-6).

    Args:
        parent: the access of the parent; None for a subject.
    """
    own_item = node.required_item
    if override.level is not None:
        item = ""
        if override.level is Level.PAID:
            inherited = parent.item if parent and parent.level is Level.PAID else ""
            item = override.item or own_item or inherited
        return Access(override.level, item, Rule.OVERRIDE, node.id)
    if node.is_free_preview:
        return Access(Level.FREE_PREVIEW, "", Rule.FREE_PREVIEW, node.id)
    if own_item:
        return Access(Level.PAID, own_item, Rule.REQUIRED_ITEM, node.id)
    if parent is not None and parent.level is not Level.AUTHENTICATED:
        return Access(parent.level, parent.item, Rule.INHERITED, parent.decided_at)
    if node.is_public:
        return Access(Level.PUBLIC, "", Rule.PUBLIC, node.id)
    return Access(Level.AUTHENTICATED, "", Rule.DEFAULT, node.id)


def plan_tree(
    subject: ContentNode, overrides: Mapping[int, Override]
) -> PlanNode | None:
    """Return ``subject`` as a plan with these ``overrides`` (by node pk) offers it.

    None if the subject itself is hidden, unpublished or in the trash.
    """
    return _plan_node(subject, None, overrides)


def _plan_node(
    node: ContentNode, parent: Access | None, overrides: Mapping[int, Override]
) -> PlanNode | None:
    override = overrides.get(node.pk, _NO_OVERRIDE)
    if override.hide or node.is_trashed or not node.is_published:
        return None
    access = resolve_access(node, parent=parent, override=override)
    children = tuple(
        visible
        for child in node.children
        if (visible := _plan_node(child, access, overrides)) is not None
    )
    if not children and node.kind not in (Kind.SUBJECT, Kind.LESSON):
        return None
    linear = node.is_linear if override.is_linear is None else override.is_linear
    return PlanNode(
        source=node,
        title=override.title or node.title,
        is_linear=linear,
        access=access,
        children=children,
    )


def lessons(node: PlanNode) -> Iterator[PlanNode]:
    """Yield the lessons at or below ``node``, in tree order."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        if found.source.kind is Kind.LESSON:
            yield found
        else:
            waiting.extend(reversed(found.children))
