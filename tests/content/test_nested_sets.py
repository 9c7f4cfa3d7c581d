"""Computing and comparing nested intervals; no database."""

import pytest
from hypothesis import given, strategies as st

from content.nested_sets import (
    Interval,
    IntervalShift,
    Move,
    children_by_parent,
    compute_intervals,
    compute_shifts,
    group_by_shift,
)


@st.composite
def trees(draw):
    """Children by parent of a random tree whose root is 0."""
    size = draw(st.integers(1, 30))
    children: dict[int, list[int]] = {}
    for node in range(1, size):
        children.setdefault(draw(st.integers(0, node - 1)), []).append(node)
    return children


def test_a_tree_is_numbered_from_left_to_right():
    assert compute_intervals("a", {"a": ["b", "c"], "b": ["d"]}) == {
        "a": Interval(1, 8, 0),
        "b": Interval(2, 5, 1),
        "d": Interval(3, 4, 2),
        "c": Interval(6, 7, 1),
    }


def _naive(node, children, edge, level):
    """Compute the intervals recursively, as the definition states them."""
    places = {}
    start = edge
    edge += 1
    for child in children.get(node, []):
        inner, edge = _naive(child, children, edge, level + 1)
        places |= inner
    return places | {node: Interval(start, edge, level)}, edge + 1


@given(trees())
def test_numbering_is_what_the_definition_says(children):
    assert compute_intervals(0, children) == _naive(0, children, 1, 0)[0]


@given(trees())
def test_places_come_in_tree_order(children):
    lefts = [place.lft for place in compute_intervals(0, children).values()]
    assert lefts == sorted(lefts)


@given(trees(), trees())
def test_shifts_lead_from_one_numbering_to_the_other(before, after):
    current = compute_intervals(0, before)
    expected = {
        key: place
        for key, place in compute_intervals(0, after).items()
        if key in current
    }
    moved = dict(current)
    for delta, keys in group_by_shift(current, expected).items():
        for key in keys:
            moved[key] = Interval(
                *(a + b for a, b in zip(moved[key], delta, strict=True))
            )
    assert {key: moved[key] for key in expected} == expected


def test_inserting_a_branch_moves_the_rest_in_two_groups():
    current = compute_intervals(0, {0: [1, 2, 3]})
    expected = compute_intervals(0, {0: [1, 9, 2, 3]})
    del expected[9]
    assert group_by_shift(current, expected) == {
        Interval(0, 2, 0): [0],
        Interval(2, 2, 0): [2, 3],
    }


def test_rows_in_tree_order_become_children_in_order():
    rows = [("a", None), ("b", "a"), ("d", "b"), ("c", "a")]
    assert children_by_parent(rows) == {"a": ["b", "c"], "b": ["d"]}


# --- Moving branches ----------------------------------------------------------


@st.composite
def forests(draw):
    """Trees of leaves below roots, and moves of some of the leaves.

    ``{root: [leaf, …]}``, and ``(leaf, root, place)``, or ``(leaf, None, 0)`` for a
    deleted leaf; ``place`` counts among the leaves that stay.
    """
    sizes = draw(st.lists(st.integers(0, 6), min_size=1, max_size=3))
    names = iter(range(100))
    forest = {root: [next(names) for _n in range(n)] for root, n in enumerate(sizes)}
    leaves = [leaf for below in forest.values() for leaf in below]
    chosen = draw(st.lists(st.sampled_from(leaves), unique=True)) if leaves else []
    goals = []
    for leaf in chosen:
        root = draw(st.sampled_from([*forest, None]))
        stay = [one for one in forest.get(root, []) if one not in chosen]
        goals.append((leaf, root, draw(st.integers(0, len(stay)))))
    return forest, goals


def _edges(forest):
    """``{leaf: (root, lft, rght)}``, and each root's own edges."""
    found = {}
    for root, leaves in forest.items():
        places = compute_intervals("root", {"root": leaves})
        found |= {leaf: (root, *places[leaf][:2]) for leaf in leaves}
        found["root", root] = (root, *places["root"][:2])
    return found


def _after(edge, runs):
    root, number_ = edge
    for run in runs:
        if run.tree == root and run.first <= number_ <= run.last:
            return number_ + run.delta
    return number_


@given(forests())
def test_branches_move_all_at_once_as_they_would_one_by_one(drawn):
    forest, goals = drawn
    before = _edges(forest)
    chosen = {leaf for leaf, _root, _place in goals}
    expected = {r: [x for x in below if x not in chosen] for r, below in forest.items()}
    stay = {root: list(below) for root, below in expected.items()}
    moves, moved_to = [], {}
    for leaf, root, place in goals:
        to = None
        if root is not None:
            left = stay[root]
            edge = before[left[place]][1] if place < len(left) else None
            to = (root, edge if edge is not None else before["root", root][2])
        moves.append(Move(*before[leaf], to))
        moved_to[leaf] = (root, place)
    for root, left in stay.items():
        below = []
        for place, one in enumerate([*left, None]):
            below += [leaf for leaf, goal in moved_to.items() if goal == (root, place)]
            below += [one] if one is not None else []
        expected[root] = below
    runs = compute_shifts(moves)
    after = _edges(expected)
    for key, (root, left, right) in before.items():
        if key in after:
            now = (_after((root, left), runs), _after((root, right), runs))
            assert now == after[key][1:]


def test_a_branch_that_goes_nowhere_changes_nothing():
    assert compute_shifts([Move(1, 2, 3, (1, 2))]) == []
    assert compute_shifts([Move(1, 2, 3, (1, 4)), Move(1, 4, 5, (1, 6))]) == []


def test_neighbours_that_move_together_are_one_run():
    # 2-3 and 4-5 move after 6-7.
    moves = [Move(1, 2, 3, (1, 8)), Move(1, 4, 5, (1, 8))]
    assert compute_shifts(moves) == [
        IntervalShift(1, 2, 5, 2),
        IntervalShift(1, 6, 7, -4),
    ]


def test_a_branch_does_not_go_into_one_that_moves():
    with pytest.raises(ValueError, match="goes into one that moves"):
        compute_shifts([Move(1, 2, 9, (1, 20)), Move(1, 12, 13, (1, 5))])
