"""The days of a player, in all time zones, and when the zone changes."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, strategies as st

from players.local_days import LocalDays

ZONES = sorted(available_timezones() - {"localtime"})
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
YEARS = range(2007, 2027)

zones = st.sampled_from(ZONES)
FIRST = datetime(YEARS[0], 1, 1, tzinfo=UTC)
times = st.integers(0, 20 * 365 * 24 * 3600).map(lambda n: FIRST + n * SECOND)


def clock_changes(zone: str) -> list[datetime]:
    """The instants at which the zone's clocks change in 20 years, to the second."""
    known = ZoneInfo(zone)
    at, end = FIRST, datetime(YEARS[-1] + 1, 1, 1, tzinfo=UTC)
    found = []
    while at < end:
        later = at + 7 * DAY
        if at.astimezone(known).utcoffset() != later.astimezone(known).utcoffset():
            low, high = at, later
            while high - low > SECOND:
                middle = low + (high - low) // SECOND // 2 * SECOND
                same = (
                    middle.astimezone(known).utcoffset()
                    == low.astimezone(known).utcoffset()
                )
                low, high = (middle, high) if same else (low, middle)
            found.append(high)
        at = later
    return found


@pytest.mark.parametrize("start", range(0, len(ZONES), 100))
def test_around_every_change_of_the_clock_each_day_ends_at_the_next_midnight(start):
    """In all zones of the IANA database, in 20 years."""
    for zone in ZONES[start : start + 100]:
        days, known = LocalDays(zone), ZoneInfo(zone)
        for change in clock_changes(zone):
            day = change.astimezone(known).date() - 2 * DAY
            for _number in range(4):
                begin, end = days.beginning_of(day), days.beginning_of(day + DAY)
                assert begin <= end
                if begin == end:  # a date that the zone passed over
                    assert days.is_skipped(day)
                else:
                    # Each instant of it, and no other, belongs to it.
                    assert days.day_of(begin) == days.day_of(end - SECOND) == day
                    assert days.day_of(begin - SECOND) < day < days.day_of(end)
                    assert begin.astimezone(known).date() == day
                    assert (begin - SECOND).astimezone(known).date() < day
                day += DAY
            for minutes in range(-180, 181, 15):
                at = change + timedelta(minutes=minutes)
                assert days.day_of(at) <= days.day_of(at + timedelta(minutes=15))


def test_a_date_that_a_zone_passed_over_has_no_length():
    samoa = LocalDays("Pacific/Apia")
    assert samoa.is_skipped(date(2011, 12, 30))
    assert samoa.day_of(samoa.beginning_of(date(2011, 12, 30))) == date(2011, 12, 31)
    assert not samoa.is_skipped(date(2011, 12, 31))


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (date(2021, 3, 26), 23),  # there was no midnight: clocks went from 0:00 to 1:00
        (date(2021, 10, 29), 25),  # midnight came twice: from 1:00 to 0:00
        (date(2022, 10, 28), 24),  # clocks stayed
        (date(2026, 3, 2), 24),
    ],
)
def test_days_in_amman(day, hours):
    amman = LocalDays("Asia/Amman")
    length = amman.beginning_of(day + DAY) - amman.beginning_of(day)
    assert length == timedelta(hours=hours)


# --- Changes of the zone --------------------------------------------------------------


@st.composite
def travels(draw) -> tuple[LocalDays, list[datetime]]:
    """A player who changes the zone as often as it is allowed, and when that was."""
    days, at = LocalDays(draw(zones)), draw(times)
    changes = []
    for zone in draw(st.lists(zones, min_size=1, max_size=5)):
        days = days.changed(zone, at)
        changes.append(at)
        at = max(at + DAY, days.settled_at or at)
        at += timedelta(hours=draw(st.integers(0, 72)))
    return days, changes


@given(travels())
def test_days_only_grow_and_each_has_one_beginning(travel):
    days, changes = travel
    at = changes[0] - 2 * DAY
    day = days.day_of(at)
    while at < changes[-1] + 4 * DAY:
        assert days.beginning_of(days.day_of(at)) <= at
        assert days.beginning_of(days.day_of(at) + DAY) > at
        assert days.day_of(at) >= day
        day = days.day_of(at)
        at += timedelta(minutes=47)


@given(zones, zones, times)
def test_the_day_of_a_change_ends_at_a_midnight_not_before_its_old_end(old, new, at):
    before = LocalDays(old)
    after = before.changed(new, at)
    today = before.day_of(at)
    old_end = before.beginning_of(today + DAY)
    end = after.beginning_of(today + DAY)
    assert after.day_of(at) == today
    if old == new:
        assert after == before
        return
    # Never shorter, so a change ends no streak; and less than two days longer.
    assert old_end <= end < old_end + 2 * DAY
    local = end.astimezone(ZoneInfo(new))
    midnight = LocalDays(new).beginning_of(local.date())
    assert end == midnight
    # The days before are those of the old zone, those after those of the new one.
    assert after.day_of(at - 3 * DAY) == before.day_of(at - 3 * DAY)
    assert after.day_of(end + 3 * DAY) == LocalDays(new).day_of(end + 3 * DAY)


@given(travels())
def test_earlier_zones_are_stored_and_read_back(travel):
    days, _changes = travel
    read = LocalDays.from_stored(days.zone, days.stored(), default="UTC")
    assert read == days


def test_without_a_zone_the_default_counts():
    assert LocalDays.from_stored("", [], default="Asia/Amman").zone == "Asia/Amman"


def test_only_the_last_sixteen_changes_are_kept():
    days, at = LocalDays("UTC"), datetime(2026, 3, 2, 12, tzinfo=UTC)
    for number in range(20):
        days = days.changed(("Asia/Amman", "Asia/Tokyo")[number % 2], at)
        at += 3 * DAY
    assert len(days.earlier) == 16
