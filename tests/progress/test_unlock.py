"""Locked, unlocked and passed: truth tables, and properties of any tree."""

import itertools

import pytest
from hypothesis import given, strategies as st

from progress.bitmap import pack
from progress.unlock import OutlineNode, PlayerOutline, Status, StructureOutline
from tests.progress import reference
from tests.progress.reference import container, lesson, paid

NOBODY: set[str] = set()
"""The products of a player who has bought nothing."""


def played(root, done: set[int], owned: set[str] = NOBODY) -> PlayerOutline:
    """The outline of a player who has passed the lessons on these bits."""
    return StructureOutline(root).for_player(bitmap(done), owned)


def bitmap(done: set[int]) -> bytes:
    return pack(dict.fromkeys(done, 1)).bitmap


def nodes(place: OutlineNode) -> list[OutlineNode]:
    return [place, *(found for child in place.children for found in nodes(child))]


def states(root, done: set[int], owned: set[str] = NOBODY) -> dict[str, tuple]:
    outline = StructureOutline(root)
    player = outline.for_player(bitmap(done), owned)
    return {node.id: player.state(node) for node in nodes(outline.root)}


def shown(root, done: set[int], owned: set[str] = NOBODY) -> dict[str, str]:
    """States by one letter: p(assed) u(nlocked) l(ocked) n(ot entitled)"""
    return {
        key: "n" if reason == "not_entitled" else status[0]
        for key, (status, reason) in states(root, done, owned).items()
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
        # S, A, L0, L1, B, L2, L3
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
    assert shown(container("S"), set()) == {"S": "u"}
    player = played(container("S"), set())
    assert player.percentage == 0.0
    assert player.next_lesson() is None
    assert (player.entitled_lessons, player.passed_lessons) == (0, 0)


def test_the_percentage_is_rounded_down_so_that_100_means_all():
    root = container("S", *(lesson(bit) for bit in range(20_001)))
    assert played(root, set(range(20_000))).percentage == 99.99
    root = container("S", lesson(0), lesson(1), lesson(2))
    assert played(root, {0}).percentage == 33.33


def test_bits_of_lessons_that_are_not_published_count_nowhere():
    outline = StructureOutline(container("S", lesson(3), lesson(9)))
    everything = outline.for_player(b"\xff" * 40, NOBODY)
    assert everything.passed_lessons == 2
    assert everything.percentage == 100.0
    others = outline.for_player(bitmap({0, 1, 2, 8, 10, 300}), NOBODY)
    assert others.passed_lessons == 0


def test_passing_the_last_lesson_of_a_unit_opens_the_next_unit_and_its_first_lesson():
    root = course(units_linear=True, lessons_linear=True)
    assert played(root, {0}).opened_by("L1") == ["B", "L2"]
    assert played(root, set()).opened_by("L0") == ["L1"]
    assert played(root, {0, 1, 2}).opened_by("L3") == []


def test_a_passed_lesson_opens_nothing_again():
    root = course(units_linear=True, lessons_linear=True)
    assert played(root, {0}).opened_by("L0") == []


# --- Lessons that the player is not entitled to ------------------------------


def linear_lessons():
    """S > L0, L1 (product X), L2"""
    return container("S", lesson(0), paid(1), lesson(2), linear=True)


@pytest.mark.parametrize(
    ("done", "owned", "expected"),
    [
        # S, L0, L1, L2
        (set(), set(), "uunl"),
        ({0}, set(), "upnu"),
        ({0, 2}, set(), "upnp"),
        ({0}, {"X"}, "upul"),
        ({0, 1}, {"X"}, "uppu"),
        # A passed lesson stays passed and lets the next one through.
        ({0, 1}, set(), "uppu"),
        ({1}, set(), "uupu"),
        ({0, 1, 2}, set(), "pppp"),
    ],
)
def test_the_linear_rule_passes_over_unbought_lessons(done, owned, expected):
    assert "".join(shown(linear_lessons(), done, owned).values()) == expected


def linear_units():
    """S > (A > L0) (B > L1 L2, product X) (C > L3, product X; L4)"""
    return container(
        "S",
        container("A", lesson(0)),
        container("B", paid(1), paid(2)),
        container("C", paid(3), lesson(4)),
        linear=True,
    )


@pytest.mark.parametrize(
    ("done", "owned", "expected"),
    [
        # S, A, L0, B, L1, L2, C, L3, L4
        (set(), set(), "uuunnnlnl"),
        ({0}, set(), "uppnnnunu"),
        ({0, 4}, set(), "uppnnnunp"),
        ({0}, {"X"}, "uppuuulll"),
        ({0, 1, 2}, {"X"}, "upppppuuu"),
        # The product has expired.
        ({0, 1, 2}, set(), "upppppunu"),
        ({0, 1}, set(), "uppnpnunu"),
    ],
)
def test_a_container_of_unbought_lessons_is_locked_and_passed_over(
    done, owned, expected
):
    assert "".join(shown(linear_units(), done, owned).values()) == expected


def test_a_subject_of_unbought_lessons_is_not_entitled():
    root = container("S", container("A", paid(0)))
    assert shown(root, set()) == {"S": "n", "A": "n", "L0": "n"}
    assert played(root, set()).next_lesson() is None


def test_nobody_is_entitled_to_a_paid_lesson_without_a_product():
    root = container("S", paid(0, item=""), lesson(1))
    assert shown(root, set(), {"", "X"}) == {"S": "u", "L0": "n", "L1": "u"}


def test_only_lessons_that_the_player_is_entitled_to_are_suggested_and_unlocked():
    root = linear_units()
    assert played(root, set()).opened_by("L0") == ["C", "L4"]
    assert played(root, {0}).next_lesson() == "L4"
    assert played(root, {0, 4}).next_lesson() is None
    assert played(root, set(), {"X"}).opened_by("L0") == ["B", "L1", "L2"]
    assert played(root, {0, 4}, {"X"}).next_lesson() == "L1"


def test_a_lesson_is_unlocked_when_it_is_open_and_the_player_is_entitled_to_it():
    root = linear_lessons()
    ids = ("L0", "L1", "L2")
    assert [played(root, set()).is_unlocked(key) for key in ids] == [True, False, False]
    assert [played(root, {0}).is_unlocked(key) for key in ids] == [True, False, True]
    assert [played(root, {0, 1}).is_unlocked(key) for key in ids] == [True, True, True]


def test_the_lessons_that_a_player_is_entitled_to_are_counted():
    root = linear_units()
    assert played(root, set()).entitled_lessons == 2
    assert played(root, set(), {"X", "Y"}).entitled_lessons == 5
    assert StructureOutline(root).total_lessons == 5
    assert StructureOutline(root).items == {"X"}


# --- Any tree, any progress, any products ------------------------------------

ITEMS = ("X", "Y")


@st.composite
def trees(draw):
    """Trees of up to four levels with up to some dozens of lessons, on any bits."""
    numbers = itertools.count()
    spare = draw(st.sampled_from([range(60), range(1, 121, 2), None]))
    spare = draw(st.permutations(range(60))) if spare is None else spare
    names = itertools.count()

    def build(depth: int):
        if depth == 0:
            bit = spare[next(numbers) % 60]
            item = draw(st.sampled_from((None, None, "", *ITEMS)))
            return lesson(bit) if item is None else paid(bit, item)
        children = [build(depth - 1) for _ in range(draw(st.integers(0, 3)))]
        return container(f"N{next(names)}", *children, linear=draw(st.booleans()))

    return build(draw(st.integers(1, 3)))


worlds = st.tuples(
    trees(), st.sets(st.integers(0, 123)), st.sets(st.sampled_from(ITEMS))
)


@given(worlds)
def test_states_are_those_of_the_naive_model(world):
    root, done, owned = world
    expected = reference.states(root, done, owned)
    assert states(root, done, owned) == expected
    player = played(root, done, owned)
    for found in reference.lessons(root):
        status, _reason = expected[found.id]
        assert player.is_passed(found.id) is (status == "passed")
        assert player.is_unlocked(found.id) is (status != "locked")


@given(worlds)
def test_the_suggestion_is_the_first_open_lesson_of_the_naive_model(world):
    root, done, owned = world
    expected = reference.next_lesson(root, done, owned)
    assert played(root, done, owned).next_lesson() == expected


@given(worlds)
def test_what_a_lesson_opens_is_the_difference_of_two_states(world):
    root, done, owned = world
    player = played(root, done, owned)
    before = reference.states(root, done, owned)
    for found in reference.lessons(root):
        if before[found.id] != ("unlocked", None):
            continue
        after = reference.states(root, done | {found.lesson.bit_index}, owned)
        opened = [
            key
            for key, state in after.items()
            if state == ("unlocked", None) and before[key][0] == "locked"
        ]
        assert player.opened_by(found.id) == opened


@given(worlds)
def test_passing_a_lesson_gives_the_outline_with_its_bit(world):
    root, done, owned = world
    player = played(root, done, owned)
    for found in reference.lessons(root):
        after = done | {found.lesson.bit_index}
        passed = player.passing(found.id)
        assert passed.passed == played(root, after, owned).passed
        assert passed.next_lesson() == reference.next_lesson(root, after, owned)


@given(worlds)
def test_sums_are_within_bounds_and_lessons_are_counted(world):
    root, done, owned = world
    player = played(root, done, owned)
    lessons = reference.lessons(root)
    passed = [found for found in lessons if found.lesson.bit_index in done]
    entitled = [found for found in lessons if reference.is_entitled(found, owned)]
    assert player.passed_lessons == len(passed)
    assert player.entitled_lessons == len(entitled)
    assert 0 <= player.percentage <= 100
    assert (player.percentage == 100) is (0 < len(passed) == len(lessons))
    done_all = reference.lets_through(root, done, owned)
    assert (player.next_lesson() is None) is done_all


@given(worlds)
def test_nothing_below_a_locked_node_is_unlocked(world):
    root, done, owned = world
    found = states(root, done, owned)
    for child, parent in reference.parents(root).items():
        if found[parent][0] is Status.LOCKED:
            assert found[child][0] is not Status.UNLOCKED


@given(worlds, st.integers(0, 63))
def test_one_more_lesson_never_closes_anything(world, another):
    root, done, owned = world
    rank = {Status.LOCKED: 0, Status.UNLOCKED: 1, Status.PASSED: 2}
    before = states(root, done, owned)
    after = states(root, done | {another}, owned)
    assert all(rank[after[key][0]] >= rank[before[key][0]] for key in before)
