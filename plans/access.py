"""Who may open a node in a plan, and in what order: explained once, here (DESIGN 3).

Access level of a node, first match wins:

1. the plan's override: Hide (the node and all below it vanish), Set Access Level,
   Set Free, Set Sold Separately;
2. ``is_free_preview`` gives ``free_preview``: it pierces a paid parent;
3. ``required_item`` gives ``paid`` with that item;
4. the parent's level where that is not ``authenticated`` (with its item when paid);
5. ``is_public`` gives ``public``;
6. ``authenticated``.

Linear mode: the plan's Set Linear, else the node's ``is_linear``.
Unpublished or trashed nodes vanish with all below them; a container left without
lessons vanishes too (a subject stays, empty).

Plain rules: no Django here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from content.kinds import Kind
from content.tree import ContentNode


class Level(StrEnum):
    """Who may open something."""

    PUBLIC = "public"
    AUTHENTICATED = "authenticated"
    FREE_PREVIEW = "free_preview"
    PAID = "paid"


OPEN_LEVELS = frozenset({Level.PUBLIC, Level.FREE_PREVIEW})
"""Levels whose files anyone may read; the other lessons are gated (DESIGN 4)."""


class Rule(StrEnum):
    """Which rule decided a level; for the editor's "why"."""

    OVERRIDE = "override"
    FREE_PREVIEW = "free_preview"
    REQUIRED_ITEM = "required_item"
    INHERITED = "inherited"
    PUBLIC = "public"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Override:
    """What one plan says of one node; at most one access action among them."""

    hide: bool = False
    level: Level | None = None
    item: str = ""
    is_linear: bool | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """A node's effective access, and why.

    ``item`` is the product code when ``level`` is paid ("" when none is known: then
    nobody is entitled). ``decided_at`` is the id of the node whose field or override
    decided.
    """

    level: Level
    item: str
    rule: Rule
    decided_at: str


@dataclass(frozen=True, slots=True)
class PlanNode:
    """A node as one plan's students get it."""

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
    """The effective access of a visible ``node`` below ``parent``'s (rules 1-6)."""
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
    """``subject`` as a plan with these ``overrides`` (by node pk) offers it.

    None when the subject itself is hidden, unpublished or in the trash.
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
    """The lessons at or below ``node``, in tree order."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        if found.source.kind is Kind.LESSON:
            yield found
        else:
            waiting.extend(reversed(found.children))
