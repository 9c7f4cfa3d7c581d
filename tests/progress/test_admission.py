"""Which events of a device are decided, and the correction of their times."""

from datetime import UTC, datetime, timedelta

import pytest

from progress.admission import (
    OLDEST,
    DeviceState,
    Sent,
    Verdict,
    admit,
    corrected,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def sent(seq: int | None, event_id: str | None, hours_ago: float = 1) -> Sent:
    """An event; one without an id cannot be read."""
    time = None if event_id is None else NOON - hours_ago * HOUR
    return Sent(seq, event_id, time)


NEW = DeviceState()


def verdicts(events, state=NEW, known=()):
    admissions, after = admit(events, state, known, device_time=NOON, now=NOON)
    return [str(one.verdict) for one in admissions], after


def test_events_are_decided_in_the_order_of_their_numbers_however_they_are_sent():
    events = [sent(3, "c", 1), sent(1, "a", 3), sent(2, "b", 2)]
    assert verdicts(events) == (["decide"] * 3, DeviceState(3, NOON - HOUR))


def test_an_event_after_a_gap_waits_and_nothing_moves():
    found, after = verdicts([sent(1, "a"), sent(3, "c"), sent(4, "d")])
    assert found == ["decide", "out_of_order", "out_of_order"]
    assert after.last_seq == 1


def test_a_known_event_is_known_whatever_its_number():
    known = {"a", "b", "c"}
    state = DeviceState(2, NOON)
    found, after = verdicts([sent(1, "a"), sent(9, "b"), sent(3, "c")], state, known)
    assert found == ["known"] * 3
    # An app that numbered its queue anew goes on after it.
    assert after == DeviceState(3, NOON)


def test_a_used_number_is_never_decided_again():
    assert verdicts([sent(2, "b")], DeviceState(2))[0] == ["seq_used"]
    found, after = verdicts([sent(1, "a"), sent(1, "b")])
    assert (found, after.last_seq) == (["decide", "seq_used"], 1)


def test_the_second_event_with_an_id_is_the_first_one_again():
    found, after = verdicts([sent(1, "a"), sent(2, "a"), sent(3, "b")])
    assert (found, after.last_seq) == (["decide", "again", "decide"], 3)


def test_an_event_that_cannot_be_read_uses_its_number_but_not_its_time():
    found, after = verdicts([sent(1, None), sent(2, "b"), sent(None, None)])
    assert found == ["invalid", "decide", "invalid"]
    assert after.last_seq == 2
    assert verdicts([sent(5, None)]) == (["out_of_order"], DeviceState())


def test_an_event_without_room_and_what_follows_it_stays_on_the_device():
    events = [sent(1, "a"), sent(2, "b"), sent(3, "c"), sent(4, "d")]
    admissions, after = admit(events, NEW, {"d"}, device_time=NOON, now=NOON, no_room=2)
    found = [str(one.verdict) for one in admissions]
    assert found == ["decide", "no_room", "out_of_order", "known"]
    assert after == DeviceState(1, NOON - HOUR)


@pytest.mark.parametrize(
    ("occurred", "clock_ahead", "last", "expected"),
    [
        (-2, 0, None, -2),
        (-2, 1, None, -3),  # its clock is an hour fast
        (-2, -1, None, -1),
        (3, 0, None, 0),  # the future
        (-2, 0, -1, -1),  # not before the event before it
        (-24 * 30, 0, None, -24 * 7),
        (-24 * 30, 0, -24 * 20, -24 * 7),
    ],
)
def test_times_are_corrected_and_limited(occurred, clock_ahead, last, expected):
    found = corrected(
        NOON + occurred * HOUR,
        device_time=NOON + clock_ahead * HOUR,
        last_at=None if last is None else NOON + last * HOUR,
        now=NOON,
    )
    assert found == NOON + expected * HOUR


@pytest.mark.parametrize(
    ("occurred", "device_time", "expected"),
    [
        (datetime(9998, 1, 1, tzinfo=UTC), datetime(2, 1, 2, tzinfo=UTC), NOON),
        (
            datetime(2, 1, 1, tzinfo=UTC),
            datetime(9998, 1, 1, tzinfo=UTC),
            NOON - OLDEST,
        ),
    ],
)
def test_no_clock_is_too_wrong(occurred, device_time, expected):
    found = corrected(occurred, device_time=device_time, last_at=None, now=NOON)
    assert found == expected


def test_times_never_go_back_within_a_batch():
    events = [sent(1, "a", 1), sent(2, "b", 5), sent(3, "c", 0.5)]
    admissions, after = admit(events, DeviceState(), (), device_time=NOON, now=NOON)
    assert [one.at for one in admissions] == [
        *(NOON - HOUR, NOON - HOUR, NOON - HOUR / 2)
    ]
    assert [one.verdict for one in admissions] == [Verdict.DECIDE] * 3
    assert after.last_at == NOON - HOUR / 2
