"""Nested intervals, computed and compared; no database."""

from hypothesis import given, strategies as st

from content.numbering import Place, in_order, number, shifts


@st.composite
def trees(draw):
    """Children by parent of a random tree whose root is 0."""
    size = draw(st.integers(1, 30))
    children: dict[int, list[int]] = {}
    for node in range(1, size):
        children.setdefault(draw(st.integers(0, node - 1)), []).append(node)
    return children


def test_a_tree_is_numbered_from_left_to_right():
    assert number("a", {"a": ["b", "c"], "b": ["d"]}) == {
        "a": Place(1, 8, 0),
        "b": Place(2, 5, 1),
        "d": Place(3, 4, 2),
        "c": Place(6, 7, 1),
    }


def _naive(node, children, edge, level):
    """Place by place, the way the definition reads."""
    places = {}
    start = edge
    edge += 1
    for child in children.get(node, []):
        inner, edge = _naive(child, children, edge, level + 1)
        places |= inner
    return places | {node: Place(start, edge, level)}, edge + 1


@given(trees())
def test_numbering_is_what_the_definition_says(children):
    assert number(0, children) == _naive(0, children, 1, 0)[0]


@given(trees())
def test_places_come_in_tree_order(children):
    lefts = [place.lft for place in number(0, children).values()]
    assert lefts == sorted(lefts)


@given(trees(), trees())
def test_shifts_lead_from_one_numbering_to_the_other(before, after):
    current = number(0, before)
    wanted = {key: place for key, place in number(0, after).items() if key in current}
    moved = dict(current)
    for delta, keys in shifts(current, wanted).items():
        for key in keys:
            moved[key] = Place(*(a + b for a, b in zip(moved[key], delta, strict=True)))
    assert {key: moved[key] for key in wanted} == wanted


def test_inserting_a_branch_moves_the_rest_in_two_groups():
    current = number(0, {0: [1, 2, 3]})
    wanted = number(0, {0: [1, 9, 2, 3]})
    del wanted[9]
    assert shifts(current, wanted) == {
        Place(0, 2, 0): [0],
        Place(2, 2, 0): [2, 3],
    }


def test_rows_in_tree_order_become_children_in_order():
    rows = [("a", None), ("b", "a"), ("d", "b"), ("c", "a")]
    assert in_order(rows) == {"a": ["b", "c"], "b": ["d"]}
