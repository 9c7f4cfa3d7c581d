"""The intervals of nested sets, computed from each node's parent.

Plain Python: no Django here.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Interval(NamedTuple):
    """A node's interval and depth, as django-mptt stores them."""

    lft: int
    rght: int
    level: int


def compute_intervals(
    root: Key, children: Mapping[Key, Sequence[Key]]
) -> dict[Key, Interval]:
    """Return the intervals of ``root`` and its descendants, in tree order.

    Args:
        children: each parent's children in order; leaves may be missing.
    """
    places: dict[Key, Interval] = {}
    opened: dict[Key, int] = {}
    edge = 0
    steps: list[tuple[Key, int, bool]] = [(root, 0, False)]
    while steps:
        key, level, closes = steps.pop()
        edge += 1
        if closes:
            places[key] = Interval(opened[key], edge, level)
            continue
        opened[key] = edge
        places[key] = Interval(edge, edge, level)  # keeps tree order
        steps.append((key, level, True))
        below = reversed(children.get(key, ()))
        steps.extend((child, level + 1, False) for child in below)
    return places


class TreeNode(Protocol):
    """A node as django-mptt stores it, which may be in the trash."""

    @property
    def rght(self) -> int: ...

    @property
    def trashed_at(self) -> datetime | None: ...


Placed = TypeVar("Placed", bound=TreeNode)


def outside_trash(nodes: Iterable[Placed]) -> Iterator[Placed]:
    """Yield the nodes of one tree that are not in the trash, nor any ancestor.

    Args:
        nodes: whole branches, in tree order.
    """
    trashed_until = 0
    for node in nodes:
        if node.rght < trashed_until:
            continue
        if node.trashed_at is not None:
            trashed_until = node.rght
            continue
        yield node


def group_by_shift(
    current: Mapping[Key, Interval], target: Mapping[Key, Interval]
) -> dict[Interval, list[Key]]:
    """Return the keys that differ between ``current`` and ``target``, by their shift.

    Grouped by the difference, because most nodes of a tree shift by the same amount.
    """
    groups: dict[Interval, list[Key]] = defaultdict(list)
    for key, place in target.items():
        now = current[key]
        if now != place:
            delta = Interval(*(new - old for new, old in zip(place, now, strict=True)))
            groups[delta].append(key)
    return dict(groups)


class Move(NamedTuple):
    """A branch that moves to another place, or is removed.

    ``to`` is the tree and the edge before which the branch is inserted, in the
    numbering before all moves; None removes the branch. Branches inserted before the
    same edge keep the order of the moves.
    """

    tree: int
    lft: int
    rght: int
    to: tuple[int, int] | None = None


class IntervalShift(NamedTuple):
    """Add ``delta`` to all edges of a tree from ``first`` to ``last``."""

    tree: int
    first: int
    last: int
    delta: int


_END = 2**31 - 1


def compute_shifts(moves: Sequence[Move]) -> list[IntervalShift]:
    """Return how the edges change when all ``moves`` are made at once.

    Edges outside all shifts stay the same. The shift of a branch that moves to another
    tree names the tree that it leaves and results in edges of the tree that it enters.

    Raises:
        ValueError: a branch is inserted into a branch that moves.
    """
    events: dict[int, list[tuple[int, bool, int]]] = defaultdict(list)
    for order, move in enumerate(moves):
        events[move.tree].append((move.lft, True, order))
        if move.to is not None:
            tree, edge = move.to
            events[tree].append((edge, False, order))
    runs: list[IntervalShift] = []
    for tree, edges in events.items():
        first, delta = 1, 0
        for edge, leaves, order in sorted(edges):
            if edge < first:
                raise ValueError("a branch goes into one that moves")
            move = moves[order]
            width = move.rght - move.lft + 1
            runs.append(IntervalShift(tree, first, edge - 1, delta))
            first = edge
            if leaves:
                delta -= width
                first = move.rght + 1
            else:
                shift = edge + delta - move.lft
                runs.append(IntervalShift(move.tree, move.lft, move.rght, shift))
                delta += width
        runs.append(IntervalShift(tree, first, _END, delta))
    return list(_joined(runs))


def _joined(runs: Iterable[IntervalShift]) -> Iterator[IntervalShift]:
    """Merge adjacent shifts with the same ``delta`` and drop those without effect."""
    last: IntervalShift | None = None
    for run in sorted(runs):
        if run.first > run.last or run.delta == 0:
            continue
        if last and (last.tree, last.last + 1, last.delta) == (
            run.tree,
            run.first,
            run.delta,
        ):
            last = last._replace(last=run.last)
            continue
        if last:
            yield last
        last = run
    if last:
        yield last


def children_by_parent(rows: Iterable[tuple[Key, Key | None]]) -> dict[Key, list[Key]]:
    """Return each parent's children, from ``(key, parent)`` rows in tree order."""
    children: dict[Key, list[Key]] = {}
    for key, parent in rows:
        if parent is not None:
            children.setdefault(parent, []).append(key)
    return children
