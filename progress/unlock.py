"""Which nodes of a subject are locked, unlocked or passed, and the next lesson.

A lesson is passed when its bit is set, a container when all its lessons are. A
container without lessons is passed, so that it blocks nothing; a subject without
lessons is unlocked. Children unlock with their parent; in a linear parent each one
unlocks when the one before it is passed. The rules mix per level
(docs/architecture.md, "Unlocking").

No Django imports. A tree is compiled once per release into a `StructureOutline`. It
stores the lessons below each node as one big integer, so a node is checked with one
``&``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Status(StrEnum):
    """A player's status in a node."""

    LOCKED = "locked"
    UNLOCKED = "unlocked"
    PASSED = "passed"


class Lesson(Protocol):
    """The part of a lesson that this module uses."""

    @property
    def bit_index(self) -> int: ...


class Node(Protocol):
    """A node of a published tree, such as ``publishing.api.StructureNode``."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def is_linear(self) -> bool: ...
    @property
    def children(self) -> Sequence["Node"]: ...
    @property
    def lesson(self) -> Lesson | None: ...


@dataclass(slots=True, eq=False)
class OutlineNode:
    """A node of an outline, with its siblings before and after."""

    id: str
    kind: str
    is_linear: bool
    bit_index: int | None
    parent: "OutlineNode | None" = field(repr=False)
    before: "OutlineNode | None" = field(repr=False)
    after: "OutlineNode | None" = field(default=None, repr=False)
    children: list["OutlineNode"] = field(default_factory=list, repr=False)
    mask: int = 0
    """The bits of all lessons below, or of the lesson itself."""

    def is_passed(self, bits: int) -> bool:
        """Return whether every lesson of the node is passed."""
        return bits & self.mask == self.mask

    def is_open(self, bits: int) -> bool:
        """Return whether this node and all its ancestors are unlocked."""
        place = self
        while place.parent is not None:
            if not place.opens_in_open_parent(bits):
                return False
            place = place.parent
        return True

    def opens_in_open_parent(self, bits: int) -> bool:
        """Return whether this node is unlocked if its parent is."""
        return (
            self.parent is None
            or not self.parent.is_linear
            or self.before is None
            or self.before.is_passed(bits)
        )

    def status(self, bits: int, *, is_open: bool) -> Status:
        """Return the node's status; ``is_open``: it and its ancestors are unlocked."""
        is_empty_subject = self.parent is None and not self.mask
        if self.is_passed(bits) and not is_empty_subject:
            return Status.PASSED
        return Status.UNLOCKED if is_open else Status.LOCKED


class StructureOutline:
    """A compiled published subject, for the progress of any player.

    The ``bits`` arguments are results of `bits` of the same outline.
    """

    def __init__(self, root: Node) -> None:
        self._width = _highest_bit(root) // 8 + 1
        self.lessons: dict[str, OutlineNode] = {}
        self.root = self._place(root, parent=None, before=None)
        self.total_lessons = len(self.lessons)

    def _place(
        self, node: Node, *, parent: OutlineNode | None, before: OutlineNode | None
    ) -> OutlineNode:
        bit = node.lesson.bit_index if node.lesson is not None else None
        place = OutlineNode(node.id, node.kind, node.is_linear, bit, parent, before)
        if bit is not None:
            place.mask = 1 << (8 * self._width - 1 - bit)
            self.lessons[node.id] = place
        last: OutlineNode | None = None
        for child in node.children:
            below = self._place(child, parent=place, before=last)
            if last is not None:
                last.after = below
            place.children.append(below)
            place.mask |= below.mask
            last = below
        return place

    def bits(self, bitmap: bytes) -> int:
        """Return a bitmap in Redis's order as an integer for this outline."""
        return int.from_bytes(
            bitmap[: self._width].ljust(self._width, b"\0"), byteorder="big"
        )

    def passed_lessons(self, bits: int) -> int:
        """Return how many of the published lessons are passed."""
        return (bits & self.root.mask).bit_count()

    def percentage(self, bits: int) -> float:
        """Return the percentage of passed lessons, to two decimals; 0 without lessons.

        Rounded down, so that 100 means every lesson.
        """
        if not self.total_lessons:
            return 0.0
        return 10_000 * self.passed_lessons(bits) // self.total_lessons / 100

    def next_lesson(self, bits: int) -> str | None:
        """Return the first lesson in tree order that is unlocked and not passed.

        In an unlocked parent the first child that is not passed is always unlocked,
        because those before it are passed. So one path down the tree finds it.
        """
        place = self.root
        if place.is_passed(bits):
            return None
        while place.children:
            place = next(child for child in place.children if not child.is_passed(bits))
        return place.id

    def opened_by(self, lesson_id: str, bits: int) -> list[str]:
        """Return the ids of the nodes that passing this lesson unlocks, in tree order.

        Args:
            bits: those before; the lesson must be unlocked and not passed.
        """
        place: OutlineNode | None = self.lessons[lesson_id]
        assert place is not None
        after = bits | place.mask
        opened: list[str] = []
        while place is not None and place.is_passed(after):
            if place.parent is not None and place.parent.is_linear and place.after:
                opened += _opening(place.after, after)
            place = place.parent
        return opened


def _opening(place: OutlineNode, bits: int) -> Iterator[str]:
    """Yield ``place``, which is newly unlocked, and all that unlock with it."""
    if place.is_passed(bits):
        return
    yield place.id
    for child in place.children:
        if child.opens_in_open_parent(bits):
            yield from _opening(child, bits)


def _highest_bit(node: Node) -> int:
    own = node.lesson.bit_index if node.lesson is not None else 0
    return max([own, *(_highest_bit(child) for child in node.children)])
