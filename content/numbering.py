"""The nested intervals a tree is stored in, computed from who lies in whom.

Plain rules: no Django here.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Place(NamedTuple):
    """A node's interval and depth, as django-mptt stores them."""

    lft: int
    rght: int
    level: int


def number(root: Key, children: Mapping[Key, Sequence[Key]]) -> dict[Key, Place]:
    """The place of ``root`` and all below it, in tree order.

    Args:
        children: each parent's children in order; a node without any may be missing.
    """
    places: dict[Key, Place] = {}
    opened: dict[Key, int] = {}
    edge = 0
    steps: list[tuple[Key, int, bool]] = [(root, 0, False)]
    while steps:
        key, level, closes = steps.pop()
        edge += 1
        if closes:
            places[key] = Place(opened[key], edge, level)
            continue
        opened[key] = edge
        places[key] = Place(edge, edge, level)  # keeps tree order
        steps.append((key, level, True))
        below = reversed(children.get(key, ()))
        steps.extend((child, level + 1, False) for child in below)
    return places


def shifts(
    current: Mapping[Key, Place], wanted: Mapping[Key, Place]
) -> dict[Place, list[Key]]:
    """Who must move by how much to get from ``current`` to ``wanted``.

    Grouped by the difference, because most of a tree moves together.
    """
    groups: dict[Place, list[Key]] = defaultdict(list)
    for key, place in wanted.items():
        now = current[key]
        if now != place:
            delta = Place(*(new - old for new, old in zip(place, now, strict=True)))
            groups[delta].append(key)
    return dict(groups)


def in_order(rows: Iterable[tuple[Key, Key | None]]) -> dict[Key, list[Key]]:
    """Each parent's children, from ``(key, parent)`` rows in tree order."""
    children: dict[Key, list[Key]] = {}
    for key, parent in rows:
        if parent is not None:
            children.setdefault(parent, []).append(key)
    return children
