"""XP, bitmap and memory: pure functions."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from players import keys
from progress import bitmap, scheduler, xp

RATES = xp.Rates(per_heart=2, first_completion=5, new_record=10)
MONDAY = date(2026, 3, 2)


@pytest.mark.parametrize(
    ("base", "hearts", "first", "record", "expected"),
    [
        (10, 5, True, True, 35),
        (10, 1, True, True, 27),
        (10, 5, False, True, 30),
        (10, 5, False, False, 20),
        (10, 1, False, False, 12),
        (0, 5, True, True, 25),
        (50, 3, False, False, 56),
    ],
)
def test_xp_is_base_and_hearts_and_what_is_paid_once(
    base, hearts, first, record, expected
):
    earned = xp.earned(
        base_xp=base, hearts=hearts, is_first=first, is_record=record, rates=RATES
    )
    assert earned == expected


@pytest.mark.parametrize(
    ("hearts", "best", "record"),
    [(1, 0, True), (3, 3, False), (4, 3, True), (2, 3, False)],
)
def test_a_record_is_more_hearts_than_ever_before(hearts, best, record):
    assert xp.is_record(hearts=hearts, best_hearts=best) is record


def with_bit(bits: bytes, index: int) -> bytes:
    """The bitmap with bit ``index`` set, padded with zeros as by Redis's SETBIT."""
    grown = bytearray(bits.ljust(index // 8 + 1, b"\0"))
    grown[index // 8] |= 0x80 >> index % 8
    return bytes(grown)


@given(st.dictionaries(st.integers(0, 2_000), st.integers(1, 5)))
def test_redis_sets_the_bits_and_hearts_that_python_packs(best):
    packed = bitmap.pack(best, xp=7)
    assert packed.passed == len(best)
    assert {n for n in range(2_010) if bitmap.is_set(packed.bitmap, n)} == set(best)
    assert bitmap.unpack_hearts(packed.hearts) == best
    one_by_one = b""
    for index in best:
        one_by_one = with_bit(one_by_one, index)
    assert one_by_one == packed.bitmap
    assert bitmap.decode(bitmap.encode(packed.bitmap)) == packed.bitmap


@pytest.mark.parametrize("index", [0, 1, 7, 8, 9, 63, 64, 1000])
def test_python_and_redis_agree_on_every_byte(redis_client, index):
    redis_client.set("bits", b"\x10")
    redis_client.setbit("bits", index, 1)
    assert redis_client.get("bits") == with_bit(b"\x10", index)


def test_text_that_is_no_bitmap_is_refused():
    assert bitmap.decode("") == b""
    with pytest.raises(ValueError, match="not a Base64 bitmap"):
        bitmap.decode("a?")


def test_the_keys_of_a_subject_are_those_of_the_specification():
    assert keys.subject(42, "SUBJ-1")[:2] == [
        "user_prog:{42}:SUBJ-1",
        "best_hearts:{42}:SUBJ-1",
    ]


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_an_item_just_met_is_due_at_once():
    assert scheduler.met(NOON).due_at == NOON


def test_good_answers_come_back_later_and_later_and_a_lapse_comes_back_soon():
    held, waits = scheduler.met(NOON), []
    for _answer in range(5):
        at = held.due_at
        held = scheduler.review(held.state, rating=3, at=at)
        waits.append(held.due_at - at)
    assert waits == sorted(waits)
    assert waits[-1] > timedelta(days=10)
    lapsed = scheduler.review(held.state, rating=1, at=held.due_at)
    assert lapsed.due_at - held.due_at < timedelta(days=1)


def test_the_same_answers_always_give_the_same_memory():
    def history():
        held = scheduler.met(NOON)
        for rating in (3, 3, 1, 4):
            held = scheduler.review(held.state, rating=rating, at=held.due_at)
        return held

    assert history() == history()


def test_a_review_before_the_last_one_counts_as_at_the_same_time():
    held = scheduler.review(scheduler.met(NOON).state, rating=3, at=NOON)
    early = scheduler.review(held.state, rating=3, at=NOON - timedelta(days=9))
    assert early == scheduler.review(held.state, rating=3, at=NOON)


def test_there_are_four_ratings():
    with pytest.raises(ValueError, match="5"):
        scheduler.review(scheduler.met(NOON).state, rating=5, at=NOON)
