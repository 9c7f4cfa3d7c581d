"""Locked, unlocked and passed: truth tables, and properties of any tree."""

import itertools

import pytest
from hypothesis import given, strategies as st

from progress.bitmap import pack
from progress.unlock import OutlineNode, Status, StructureOutline
from tests.progress import reference
from tests.progress.reference import container, lesson


def bits(outline: StructureOutline, done: set[int]) -> int:
    return outline.bits(pack(dict.fromkeys(done, 1)).bitmap)


def statuses(outline: StructureOutline, bits: int) -> dict[str, Status]:
    """The status of every node, by id, in tree order."""

    def below(place: OutlineNode, is_open: bool) -> dict[str, Status]:
        found = {place.id: place.status(bits, is_open=is_open)}
        for child in place.children:
            found |= below(child, is_open and child.opens_in_open_parent(bits))
        return found

    return below(outline.root, True)


def shown(root, done: set[int]) -> dict[str, str]:
    outline = StructureOutline(root)
    return {
        key: value[0] for key, value in statuses(outline, bits(outline, done)).items()
    }


def course(*, units_linear: bool, lessons_linear: bool):
    """S > (A > L0 L1) (B > L2 L3)"""
    return container(
        "S",
        container("A", lesson(0), lesson(1), linear=lessons_linear),
        container("B", lesson(2), lesson(3), linear=lessons_linear),
        linear=units_linear,
    )


@pytest.mark.parametrize(
    ("units_linear", "lessons_linear", "done", "expected"),
    [
        # S, A, L0, L1, B, L2, L3; p(assed) u(nlocked) l(ocked)
        (False, False, set(), "uuuuuuu"),
        (False, True, set(), "uuuluul"),
        (True, False, set(), "uuuulll"),
        (True, True, set(), "uuullll"),
        (True, True, {0}, "uupulll"),
        (True, True, {0, 1}, "upppuul"),
        (True, False, {1}, "uuuplll"),
        (True, True, {0, 1, 2}, "upppupu"),
        (True, True, {0, 1, 2, 3}, "ppppppp"),
        # A passed node stays passed, even behind a locked one.
        (True, True, {3}, "uuulllp"),
        (True, True, {2, 3}, "uuulppp"),
        (False, True, {1}, "uuupuul"),
    ],
)
def test_states_follow_the_table(units_linear, lessons_linear, done, expected):
    root = course(units_linear=units_linear, lessons_linear=lessons_linear)
    assert "".join(shown(root, done).values()) == expected


def test_each_child_of_a_linear_parent_waits_for_the_one_right_before_it():
    root = container("S", lesson(0), lesson(1), lesson(2), linear=True)
    assert shown(root, {1}) == {"S": "u", "L0": "u", "L1": "p", "L2": "u"}


def test_a_container_without_lessons_is_passed_and_opens_what_follows():
    root = container("S", container("empty"), lesson(0), linear=True)
    assert shown(root, set()) == {"S": "u", "empty": "p", "L0": "u"}


def test_an_empty_subject_is_open_not_passed_and_suggests_nothing():
    outline = StructureOutline(container("S"))
    assert statuses(outline, 0) == {"S": Status.UNLOCKED}
    assert outline.percentage(0) == 0.0
    assert outline.next_lesson(0) is None
    assert (outline.total_lessons, outline.passed_lessons(0)) == (0, 0)


def test_the_percentage_is_rounded_down_so_that_100_means_all():
    outline = StructureOutline(container("S", *(lesson(bit) for bit in range(20_001))))
    assert outline.percentage(bits(outline, set(range(20_000)))) == 99.99
    outline = StructureOutline(container("S", lesson(0), lesson(1), lesson(2)))
    assert outline.percentage(bits(outline, {0})) == 33.33


def test_bits_of_lessons_that_are_not_published_count_nowhere():
    outline = StructureOutline(container("S", lesson(3), lesson(9)))
    all_bits = outline.bits(b"\xff" * 40)
    assert outline.passed_lessons(all_bits) == 2
    assert outline.percentage(all_bits) == 100.0
    others = outline.bits(pack(dict.fromkeys({0, 1, 2, 8, 10, 300}, 5)).bitmap)
    assert outline.passed_lessons(others) == 0


def test_passing_the_last_lesson_of_a_unit_opens_the_next_unit_and_its_first_lesson():
    root = course(units_linear=True, lessons_linear=True)
    outline = StructureOutline(root)
    assert outline.opened_by("L1", bits(outline, {0})) == ["B", "L2"]
    assert outline.opened_by("L0", bits(outline, set())) == ["L1"]
    assert outline.opened_by("L3", bits(outline, {0, 1, 2})) == []


# --- Any tree, any progress -------------------------------------------------


@st.composite
def trees(draw):
    """Trees of up to four levels with up to some dozens of lessons, on any bits."""
    numbers = itertools.count()
    spare = draw(st.permutations(range(60)))
    names = itertools.count()

    def build(depth: int):
        if depth == 0:
            return lesson(spare[next(numbers) % 60])
        children = [build(depth - 1) for _ in range(draw(st.integers(0, 3)))]
        return container(f"N{next(names)}", *children, linear=draw(st.booleans()))

    return build(draw(st.integers(1, 3)))


worlds = st.tuples(trees(), st.sets(st.integers(0, 63)))


@given(worlds)
def test_states_are_those_of_the_naive_model(world):
    root, done = world
    outline = StructureOutline(root)
    expected = reference.statuses(root, done)
    assert statuses(outline, bits(outline, done)) == expected
    for lesson_id, place in outline.lessons.items():
        is_open = place.is_open(bits(outline, done))
        assert (place.status(bits(outline, done), is_open=is_open)) == expected[
            lesson_id
        ]


@given(worlds)
def test_the_suggestion_is_the_first_open_lesson_of_the_naive_model(world):
    root, done = world
    outline = StructureOutline(root)
    assert outline.next_lesson(bits(outline, done)) == reference.next_lesson(root, done)


@given(worlds)
def test_what_a_lesson_opens_is_the_difference_of_two_states(world):
    root, done = world
    outline = StructureOutline(root)
    before = reference.statuses(root, done)
    for found in reference.lessons(root):
        if before[found.id] != "unlocked":
            continue
        after = reference.statuses(root, done | {found.lesson.bit_index})
        opened = [
            key
            for key, status in after.items()
            if status == "unlocked" and before[key] == "locked"
        ]
        assert outline.opened_by(found.id, bits(outline, done)) == opened


@given(worlds)
def test_sums_are_within_bounds_and_passed_lessons_are_counted(world):
    root, done = world
    outline = StructureOutline(root)
    held = bits(outline, done)
    passed = [
        key for key in outline.lessons if statuses(outline, held)[key] is Status.PASSED
    ]
    assert outline.passed_lessons(held) == len(passed) <= outline.total_lessons
    assert 0 <= outline.percentage(held) <= 100
    everything = len(passed) == outline.total_lessons
    assert (outline.percentage(held) == 100) is (
        everything and outline.total_lessons > 0
    )
    assert (outline.next_lesson(held) is None) is everything


@given(worlds)
def test_nothing_below_a_locked_node_is_unlocked(world):
    root, done = world
    outline = StructureOutline(root)
    found = statuses(outline, bits(outline, done))
    for child, parent in reference.parents(root).items():
        if found[parent] is Status.LOCKED:
            assert found[child] is not Status.UNLOCKED


@given(worlds, st.integers(0, 63))
def test_one_more_lesson_never_closes_anything(world, another):
    root, done = world
    outline = StructureOutline(root)
    rank = {Status.LOCKED: 0, Status.UNLOCKED: 1, Status.PASSED: 2}
    before = statuses(outline, bits(outline, done))
    after = statuses(outline, bits(outline, done | {another}))
    assert all(rank[after[key]] >= rank[before[key]] for key in before)
