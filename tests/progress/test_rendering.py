"""The prebuilt JSON is what the naive model answers, byte for byte."""

import itertools
import random
import threading

import orjson
import pytest
from hypothesis import given, strategies as st

from progress.bitmap import SubjectProgress, pack
from progress.rendering import SubjectRenderer
from progress.unlock import StructureOutline
from tests.progress import reference
from tests.progress.reference import container, lesson, paid

ITEMS = ("X", "Y")
KINDS = ("subject", "track", "unit", "topic")


def rendered(
    renderer: SubjectRenderer,
    progress: SubjectProgress,
    owned: set[str],
) -> bytes:
    player = renderer.outline.for_player(progress.bitmap, owned)
    return renderer.render(player, hearts=progress.hearts, xp=progress.xp)


def renderer_of(root) -> SubjectRenderer:
    return SubjectRenderer(StructureOutline(root))


@st.composite
def subjects(draw):
    """Published subjects with up to some dozens of lessons on any bits."""
    bits = draw(
        st.one_of(
            st.just(list(range(300))),
            st.permutations(range(300)),
            st.just([*range(100, 300), *range(100)]),
        )
    )
    numbers = itertools.count()

    def build(depth: int):
        number = next(numbers)
        if depth == len(KINDS):
            item = draw(st.sampled_from((None, None, None, "", *ITEMS)))
            bit = bits[number]
            return lesson(bit) if item is None else paid(bit, item)
        fewest = 0 if draw(st.integers(0, 9)) == 0 else 1
        count = draw(st.integers(fewest, 3))
        node = container(
            f"{KINDS[depth]} «{number}»",
            *(build(depth + 1) for _ in range(count)),
            linear=draw(st.booleans()),
        )
        node.kind = KINDS[depth]
        return node

    return build(0)


best_hearts = st.one_of(
    st.dictionaries(st.integers(0, 299), st.integers(0, 5), max_size=150),
    st.just(dict.fromkeys(range(300), 5)),
    st.builds(lambda first: dict.fromkeys(range(first), 5), st.integers(0, 150)),
)
players = st.tuples(best_hearts, st.sets(st.sampled_from(ITEMS)), st.integers(0, 10**6))


@given(subjects(), st.lists(players, min_size=1, max_size=4))
def test_any_player_gets_the_answer_of_the_naive_model(root, those):
    renderer = renderer_of(root)
    for best, owned, xp in [*those, *those]:  # the second time from kept JSON
        found = rendered(renderer, pack(best, xp=xp), owned)
        expected = reference.answer(root, best, owned, xp)
        assert orjson.loads(found) == expected
        assert found == orjson.dumps(expected)  # the order of the keys, too


def large_subject(order: list[int]):
    """A subject of 10 tracks; every seventh lesson is paid."""
    lessons = [
        paid(bit, "X") if place % 7 == 3 else lesson(bit)
        for place, bit in enumerate(order)
    ]

    def grouped(name: str, nodes: list, *, linear: bool) -> list:
        return [
            container(f"{name}{start}", *nodes[start : start + 10], linear=linear)
            for start in range(0, len(nodes), 10)
        ]

    topics = grouped("T", lessons, linear=True)
    units = grouped("U", topics, linear=False)
    return container("S", *grouped("K", units, linear=True), linear=True)


@pytest.mark.parametrize("in_order", [True, False])
def test_ten_thousand_lessons_are_answered_as_by_the_naive_model(in_order):
    chance = random.Random(7)
    order = list(range(10_000))
    if not in_order:
        chance.shuffle(order)
    root = large_subject(order)
    renderer = renderer_of(root)
    half = dict.fromkeys(order[:5_000], 5)
    scattered = {bit: chance.randint(1, 5) for bit in chance.sample(order, 5_000)}
    for best, owned in [(half, set()), (scattered, {"X"})]:
        found = rendered(renderer, pack(best, xp=9), owned)
        assert orjson.loads(found) == reference.answer(root, best, owned, 9)


def test_hearts_of_lessons_that_are_not_passed_are_not_shown():
    renderer = renderer_of(container("S", lesson(0), lesson(1)))
    found = rendered(renderer, SubjectProgress(b"\x40", b"\x05\x04"), set())
    assert [
        node["best_hearts"] for node in orjson.loads(found)["root"]["children"]
    ] == [
        0,
        4,
    ]


def test_impossible_hearts_are_shown_as_possible_ones():
    renderer = renderer_of(container("S", *(lesson(bit) for bit in range(4))))
    found = rendered(renderer, SubjectProgress(b"\xf0", b"\x06\x07\xff\xf8"), set())
    for node in orjson.loads(found)["root"]["children"]:
        assert node["best_hearts"] in range(6)


def test_a_renderer_keeps_few_chunks_whatever_its_players_did():
    root = large_subject(list(range(200)))
    renderer = renderer_of(root)
    chance = random.Random(7)
    for _player in range(100):
        best = {bit: chance.randint(1, 5) for bit in range(chance.randint(0, 200))}
        found = rendered(renderer, pack(best), set())
        assert orjson.loads(found) == reference.answer(root, best, set(), 0)
    kept = [len(one.chunks) for one in renderer.containers]
    assert 1 < max(kept) <= 8


def test_threads_share_a_renderer():
    root = large_subject(list(range(200)))
    renderer = renderer_of(root)
    faults: list[str] = []

    def play(seed: int) -> None:
        chance = random.Random(seed)
        for _turn in range(30):
            best = {bit: chance.randint(1, 5) for bit in range(chance.randint(0, 200))}
            owned = {"X"} if chance.random() < 0.5 else set()
            found = orjson.loads(rendered(renderer, pack(best), owned))
            if found != reference.answer(root, best, owned, 0):
                faults.append(f"player {seed}")

    threads = [threading.Thread(target=play, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
