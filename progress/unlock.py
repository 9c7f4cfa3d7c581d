"""Which nodes of a subject are locked, unlocked or passed, and the next lesson.

A lesson is passed when its bit is set, a container when all its lessons are. A lesson
that the player is not entitled to is locked, wherever it is; so is a container with
only such lessons. Everything else unlocks with its parent; in a linear parent each
child also waits for the child before it, until all lessons of that one that the player
is entitled to are passed. Children with no lesson that the player is entitled to or has
passed are passed over: nothing waits for them. The rules mix per level
(docs/architecture.md, "Unlocking").

A container without lessons is passed, so that it blocks nothing; a subject without
lessons is unlocked.

No Django imports. A tree is compiled once per release into a `StructureOutline`. A set
of lessons is one integer, with bit n for the lesson at position n of the tree order. The
lessons below a node are consecutive, so a node is checked with a shift and an ``&``.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter
from typing import NamedTuple, Protocol

from plans.access import Level


class Status(StrEnum):
    """A player's status in a node."""

    LOCKED = "locked"
    UNLOCKED = "unlocked"
    PASSED = "passed"


class LockedReason(StrEnum):
    """Why a node is locked."""

    PREVIOUS = "previous"
    """Something before it, or before its parent, is to be passed first."""
    NOT_ENTITLED = "not_entitled"
    """The player is entitled to none of its lessons."""


class NodeState(NamedTuple):
    """A player's status in a node; the reason is None unless it is locked."""

    status: Status
    locked_reason: LockedReason | None = None


class Lesson(Protocol):
    """The part of a lesson that this module uses."""

    @property
    def bit_index(self) -> int: ...
    @property
    def access_level(self) -> str: ...
    @property
    def required_item(self) -> str: ...


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
    """A node of an outline; its lessons are at positions ``start`` to ``end`` - 1."""

    id: str
    kind: str
    is_linear: bool
    bit_index: int | None
    parent: "OutlineNode | None" = field(repr=False)
    start: int
    end: int = 0
    children: list["OutlineNode"] = field(default_factory=list, repr=False)
    lessons: int = field(default=0, repr=False)
    """A set bit for each lesson, the first one's as bit 0."""


class StructureOutline:
    """A compiled published subject, for the progress of any player.

    Attributes:
        lessons: the lessons by id, in tree order.
        items: the product codes that lessons require.
    """

    def __init__(self, root: Node) -> None:
        self.lessons: dict[str, OutlineNode] = {}
        self.root = self._compile(root, parent=None)
        self.in_order = list(self.lessons.values())
        self.total_lessons = len(self.in_order)
        published = list(_lessons(root))
        self._order = _TreeOrder([lesson.bit_index for lesson in published])
        free: list[int] = []
        paid: dict[str, list[int]] = {}
        for position, lesson in enumerate(published):
            if lesson.access_level != Level.PAID:
                free.append(position)
            elif lesson.required_item:  # without a product nobody is entitled
                paid.setdefault(lesson.required_item, []).append(position)
        self._free = _lesson_set(free)
        self._paid = {item: _lesson_set(found) for item, found in paid.items()}
        self.items = frozenset(self._paid)

    def _compile(self, node: Node, *, parent: OutlineNode | None) -> OutlineNode:
        start = len(self.lessons)
        bit = node.lesson.bit_index if node.lesson is not None else None
        made = OutlineNode(node.id, node.kind, node.is_linear, bit, parent, start)
        if node.lesson is not None:
            self.lessons[node.id] = made
        made.children = [self._compile(child, parent=made) for child in node.children]
        made.end = len(self.lessons)
        made.lessons = _first(made.end - start)
        return made

    def for_player(self, bitmap: bytes, items: Collection[str]) -> "PlayerOutline":
        """Return the outline as a player sees it.

        Args:
            bitmap: the player's passed lessons in the subject, in Redis's order.
            items: codes of the products that the player has now.
        """
        entitled = self._free
        for item, lessons in self._paid.items():
            if item in items:
                entitled |= lessons
        return PlayerOutline(self, self._order.lesson_set(bitmap), entitled)

    def in_tree_order(self, values: bytes) -> bytes:
        """Return one byte per lesson, in tree order, of bytes by bit; 0 if missing."""
        return self._order.values(values)


class PlayerOutline:
    """A subject as one player sees it; see `StructureOutline.for_player`.

    ``passed`` and ``entitled`` are sets of lessons. ``todo`` are the lessons that the
    player is entitled to and has not passed.
    """

    __slots__ = ("_available", "_outline", "entitled", "passed", "todo")

    def __init__(self, outline: StructureOutline, passed: int, entitled: int) -> None:
        self._outline = outline
        self.passed = passed
        self.entitled = entitled
        self._available = passed | entitled
        self.todo = self._available ^ passed

    @property
    def passed_lessons(self) -> int:
        """How many of the published lessons are passed."""
        return self.passed.bit_count()

    @property
    def entitled_lessons(self) -> int:
        """How many of the published lessons the player is entitled to."""
        return self.entitled.bit_count()

    @property
    def percentage(self) -> float:
        """The percentage of passed lessons, to two decimals; 0 without lessons.

        Rounded down, so that 100 means every lesson.
        """
        total = self._outline.total_lessons
        return 10_000 * self.passed_lessons // total / 100 if total else 0.0

    def count(self, lessons: int, node: OutlineNode) -> int:
        """Return how many of a set of lessons are below a node of the outline."""
        return (lessons >> node.start & node.lessons).bit_count()

    def is_passed(self, lesson_id: str) -> bool:
        """Return whether a lesson of the subject is passed."""
        return bool(self.passed >> self._outline.lessons[lesson_id].start & 1)

    def is_unlocked(self, lesson_id: str) -> bool:
        """Return whether the player may do a lesson, again if it is passed."""
        return self.state(self._outline.lessons[lesson_id]).status != Status.LOCKED

    def state(self, node: OutlineNode) -> NodeState:
        """Return the player's status in a node of the outline."""
        if _has_all(self.passed, node) and (node.lessons or node.parent is not None):
            return NodeState(Status.PASSED)
        if node.lessons and not _has_any(self.entitled, node):
            return NodeState(Status.LOCKED, LockedReason.NOT_ENTITLED)
        if self._is_open(node):
            return NodeState(Status.UNLOCKED)
        return NodeState(Status.LOCKED, LockedReason.PREVIOUS)

    def next_lesson(self) -> str | None:
        """Return the first lesson in tree order that is unlocked and not passed.

        This is the first lesson to do: at each level nothing before it is left to do,
        so all its ancestors are open.
        """
        if not self.todo:
            return None
        return self._outline.in_order[_lowest(self.todo)].id

    def passing(self, lesson_id: str) -> "PlayerOutline":
        """Return the outline after this lesson is passed."""
        node = self._outline.lessons[lesson_id]
        passed = self.passed | 1 << node.start
        return PlayerOutline(self._outline, passed, self.entitled)

    def opened_by(self, lesson_id: str) -> list[str]:
        """Return the ids of the nodes that passing this lesson unlocks, in tree order.

        Empty for a passed lesson. Any other must be unlocked.
        """
        if self.is_passed(lesson_id):
            return []
        after = self.passing(lesson_id)
        node = self._outline.lessons[lesson_id]
        opened: list[str] = []
        while node.parent is not None and not _has_any(after.todo, node):
            if node.parent.is_linear:
                following = after._child_after(node.parent, node)
                if following is not None:
                    opened += after._opening(following)
            node = node.parent
        return opened

    def _is_open(self, node: OutlineNode) -> bool:
        while node.parent is not None:
            if not self._opens_with_parent(node, node.parent):
                return False
            node = node.parent
        return True

    def _opens_with_parent(self, node: OutlineNode, parent: OutlineNode) -> bool:
        if not parent.is_linear:
            return True
        before = self._child_before(parent, node)
        return before is None or not _has_any(self.todo, before)

    def _child_before(
        self, parent: OutlineNode, node: OutlineNode
    ) -> OutlineNode | None:
        """Return the nearest child before ``node`` that is not passed over."""
        found = self._available >> parent.start & _first(node.start - parent.start)
        if not found:
            return None
        return self._child_at(parent, parent.start + found.bit_length() - 1)

    def _child_after(
        self, parent: OutlineNode, node: OutlineNode
    ) -> OutlineNode | None:
        """Return the nearest child after ``node`` that is not passed over."""
        found = self._available >> node.end & _first(parent.end - node.end)
        if not found:
            return None
        return self._child_at(parent, node.end + _lowest(found))

    def _child_at(self, parent: OutlineNode, position: int) -> OutlineNode:
        """Return the child of ``parent`` that contains or is this lesson."""
        node = self._outline.in_order[position]
        while node.parent is not parent:
            assert node.parent is not None
            node = node.parent
        return node

    def _opening(self, node: OutlineNode) -> Iterator[str]:
        """Yield ``node``, which is newly open, and all that unlock with it."""
        if _has_all(self.passed, node) or not _has_any(self.entitled, node):
            return
        yield node.id
        for child in self._open_children(node):
            yield from self._opening(child)

    def _open_children(self, node: OutlineNode) -> Iterable[OutlineNode]:
        if node.is_linear and not _has_any(self.passed, node):
            first = _lowest(self._available >> node.start & node.lessons)
            return [self._child_at(node, node.start + first)]
        return (
            child for child in node.children if self._opens_with_parent(child, node)
        )


class _TreeOrder:
    """Brings bits into the order of the tree.

    Lessons on consecutive bits are copied as one run. Usually the whole subject is one;
    editors who insert, hide and move lessons divide it.
    """

    def __init__(self, bits: Sequence[int]) -> None:
        self._length = len(bits)
        self._width = max(bits, default=-1) + 1
        self._bytes = (self._width + 7) // 8
        self._runs = _runs(bits)
        picks = [run.start if len(run) == 1 else _slice(run) for run in self._runs]
        self._pick = itemgetter(slice(0, 0), *picks)  # of two or more: a tuple

    def lesson_set(self, bitmap: bytes) -> int:
        """Return the set of lessons whose bits are set in a bitmap in Redis's order."""
        bitmap = bitmap[: self._bytes]
        if not self._runs:
            return 0
        if len(self._runs) == 1:
            bits = int.from_bytes(bitmap.translate(_REVERSED_BITS), "little")
            return bits >> self._runs[0].start & _first(self._length)
        bits = int.from_bytes(bitmap.ljust(self._bytes, b"\0"), "big")
        digits = "".join(self._pick(format(bits, f"0{8 * self._bytes}b")))
        return int(digits[::-1], 2)

    def values(self, by_bit: bytes) -> bytes:
        """Return the bytes at the lessons' bits in the order of the tree."""
        by_bit = by_bit[: self._width].ljust(self._width, b"\0")
        if len(self._runs) == 1:
            return by_bit[self._runs[0].start :]
        return "".join(self._pick(by_bit.decode("latin-1"))).encode("latin-1")


_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _runs(bits: Iterable[int]) -> list[range]:
    """Return the ranges that contain these bits in this order."""
    found: list[range] = []
    for bit in bits:
        if found and found[-1].stop == bit:
            found[-1] = range(found[-1].start, bit + 1)
        else:
            found.append(range(bit, bit + 1))
    return found


def _slice(run: range) -> slice:
    return slice(run.start, run.stop)


def _lessons(node: Node) -> Iterator[Lesson]:
    if node.lesson is not None:
        yield node.lesson
    for child in node.children:
        yield from _lessons(child)


def _lesson_set(positions: Iterable[int]) -> int:
    return sum(1 << position for position in positions)


def _first(count: int) -> int:
    """Return the set of the first ``count`` lessons."""
    return (1 << count) - 1


def _has_all(lessons: int, node: OutlineNode) -> bool:
    return lessons >> node.start & node.lessons == node.lessons


def _has_any(lessons: int, node: OutlineNode) -> bool:
    return lessons >> node.start & node.lessons != 0


def _lowest(lessons: int) -> int:
    """Return the first position in a set of lessons that is not empty."""
    return (lessons & -lessons).bit_length() - 1
