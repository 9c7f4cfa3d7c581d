"""The nested intervals a tree is stored in, computed from who lies in whom.

Plain rules: no Django here.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Interval(NamedTuple):
    """A node's interval and depth, as django-mptt stores them."""

    lft: int
    rght: int
    level: int


def compute_intervals(
    root: Key, children: Mapping[Key, Sequence[Key]]
) -> dict[Key, Interval]:
    """The place of ``root`` and all below it, in tree order.

    Args:
        children: each parent's children in order; a node without any may be missing.
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


def group_by_shift(
    current: Mapping[Key, Interval], wanted: Mapping[Key, Interval]
) -> dict[Interval, list[Key]]:
    """Who must move by how much to get from ``current`` to ``wanted``.

    Grouped by the difference, because most of a tree moves together.
    """
    groups: dict[Interval, list[Key]] = defaultdict(list)
    for key, place in wanted.items():
        now = current[key]
        if now != place:
            delta = Interval(*(new - old for new, old in zip(place, now, strict=True)))
            groups[delta].append(key)
    return dict(groups)


class Move(NamedTuple):
    """A branch that leaves its place, for another or for good.

    ``to`` is the tree and the edge that it goes before, as they are numbered before
    any of the moves. Several that go before one edge lie there in the order they came.
    """

    tree: int
    lft: int
    rght: int
    to: tuple[int, int] | None = None


class IntervalShift(NamedTuple):
    """The edges of a tree from ``first`` to ``last`` all become ``delta`` greater."""

    tree: int
    first: int
    last: int
    delta: int


_END = 2**31 - 1


def compute_shifts(moves: Sequence[Move]) -> list[IntervalShift]:
    """How the edges of the trees change when all of ``moves`` are made at once.

    Edges in none of the runs stay as they are. Those of a branch that goes to another
    tree are told by the tree they leave, with their numbers in the tree they come to.

    Raises:
        ValueError: a branch goes into one that moves itself.
    """
    events: dict[int, list[tuple[int, bool, int]]] = defaultdict(list)
    for order, move in enumerate(moves):
        events[move.tree].append((move.lft, True, order))
        if move.to is not None:
            tree, edge = move.to
            events[tree].append((edge, False, order))
    runs: list[IntervalShift] = []
    for tree, told in events.items():
        first, delta = 1, 0
        for edge, leaves, order in sorted(told):
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
    """``runs`` that change something; neighbours that change by the same as one."""
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
    """Each parent's children, from ``(key, parent)`` rows in tree order."""
    children: dict[Key, list[Key]] = {}
    for key, parent in rows:
        if parent is not None:
            children.setdefault(parent, []).append(key)
    return children
