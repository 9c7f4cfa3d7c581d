"""What is locked, unlocked and passed in a subject, and what comes next.

A lesson is passed when its bit is set, a container when all its lessons are (one
without lessons is, so that it blocks nothing). A subject without lessons is unlocked:
nobody has passed it. Children open with their parent; in a linear parent each opens
when the one before it is passed. The rules mix per level (DESIGN 7; spec 4, Unlock
Calculator).

Plain rules: no Django here. A tree is compiled once per release into an `StructureOutline`,
where the lessons below a node are one big integer, so that asking whether any node is
passed is one ``&``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Status(StrEnum):
    """Where a player stands with a node."""

    LOCKED = "locked"
    UNLOCKED = "unlocked"
    PASSED = "passed"


class Lesson(Protocol):
    """The part of a lesson that progress is about."""

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
    """A node in an outline, with its neighbours."""

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
        """Whether every lesson here is passed."""
        return bits & self.mask == self.mask

    def is_open(self, bits: int) -> bool:
        """Whether the way here is free: this node and all above it are."""
        place = self
        while place.parent is not None:
            if not place.opens_in_open_parent(bits):
                return False
            place = place.parent
        return True

    def opens_in_open_parent(self, bits: int) -> bool:
        """Whether this node opens, given that its parent is open."""
        return (
            self.parent is None
            or not self.parent.is_linear
            or self.before is None
            or self.before.is_passed(bits)
        )

    def status(self, bits: int, *, is_open: bool) -> Status:
        """The node's status, given whether the way to it is free."""
        is_empty_subject = self.parent is None and not self.mask
        if self.is_passed(bits) and not is_empty_subject:
            return Status.PASSED
        return Status.UNLOCKED if is_open else Status.LOCKED


class StructureOutline:
    """A published subject, ready to be asked about any player's progress.

    ``bits`` below is what `bits` makes of a bitmap; it belongs to this outline.
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
        """A bitmap in Redis's order as the integer the places are asked with."""
        return int.from_bytes(
            bitmap[: self._width].ljust(self._width, b"\0"), byteorder="big"
        )

    def passed_lessons(self, bits: int) -> int:
        """How many of the published lessons are passed."""
        return (bits & self.root.mask).bit_count()

    def percentage(self, bits: int) -> float:
        """Passed lessons of all, 0 to 100 with two decimals; 0 when there are none.

        Rounded down, so that 100 means every lesson.
        """
        if not self.total_lessons:
            return 0.0
        return 10_000 * self.passed_lessons(bits) // self.total_lessons / 100

    def next_lesson(self, bits: int) -> str | None:
        """The first lesson in tree order that is unlocked and not passed.

        The first child that is not passed is always open in an open parent: those
        before it are passed. So one way down finds it.
        """
        place = self.root
        if place.is_passed(bits):
            return None
        while place.children:
            place = next(child for child in place.children if not child.is_passed(bits))
        return place.id

    def opened_by(self, lesson_id: str, bits: int) -> list[str]:
        """What passing this lesson unlocks: ids of nodes, in tree order.

        Args:
            bits: as they were before; the lesson was unlocked and not passed.
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


def statuses(outline: StructureOutline, bits: int) -> dict[str, Status]:
    """The status of every node, by id, in tree order."""
    return dict(_statuses(outline.root, bits, is_open=True))


def _statuses(
    place: OutlineNode, bits: int, *, is_open: bool
) -> Iterator[tuple[str, Status]]:
    yield place.id, place.status(bits, is_open=is_open)
    for child in place.children:
        yield from _statuses(
            child, bits, is_open=is_open and child.opens_in_open_parent(bits)
        )


def _opening(place: OutlineNode, bits: int) -> Iterator[str]:
    """``place``, which has just opened, and all that opens with it."""
    if place.is_passed(bits):
        return
    yield place.id
    for child in place.children:
        if child.opens_in_open_parent(bits):
            yield from _opening(child, bits)


def _highest_bit(node: Node) -> int:
    own = node.lesson.bit_index if node.lesson is not None else 0
    return max([own, *(_highest_bit(child) for child in node.children)])
