"""A subject's tree as immutable values, for access rules and published documents.

Plain Python: no Django here. ``content.queries`` loads them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from content.kinds import Kind


class Stage(NamedTuple):
    """One step of a lesson; ``config`` is its stored canonical JSON text."""

    id: str
    type: str
    title: str
    config: str
    weight: int
    target_time: int
    is_skippable: bool


@dataclass(frozen=True, slots=True)
class ContentNode:
    """A node with its descendants, in order.

    ``pk`` is the primary key (overrides refer to it); ``id`` is the public id.
    ``image`` is a URL or "". A lesson has ``stages`` and no ``children``;
    ``unread_stages`` counts the stages that were not read.
    """

    pk: int
    id: str
    kind: Kind
    title: str
    description: str
    image: str
    color_code: str
    is_published: bool
    is_trashed: bool
    is_linear: bool
    is_public: bool
    is_free_preview: bool
    required_item: str
    base_xp: int
    bit_index: int | None
    children: tuple["ContentNode", ...] = ()
    stages: tuple[Stage, ...] = ()
    unread_stages: int = 0

    @property
    def stage_count(self) -> int:
        return len(self.stages) + self.unread_stages


def walk(node: ContentNode) -> Iterator[ContentNode]:
    """Yield the node and its descendants, parents first, in order."""
    yield node
    for child in node.children:
        yield from walk(child)


def lessons(node: ContentNode) -> Iterator[ContentNode]:
    """Yield the lessons at or below ``node``, in tree order."""
    return (found for found in walk(node) if found.kind is Kind.LESSON)


def index(node: ContentNode) -> dict[str, ContentNode]:
    """Return every node at or below ``node`` by its public id."""
    return {found.id: found for found in walk(node)}
