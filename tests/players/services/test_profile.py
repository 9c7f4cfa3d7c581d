"""A student changes their own name, language and time zone."""

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from players.models import PlayerProfile, SecurityEvent, User
from progress.models import InteractionLog

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def clock():
    """A clock that stands at noon until a test moves it; the session stays young."""
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


@pytest.fixture
def signed_in(clock, signed_in):
    return signed_in


def test_a_student_changes_name_language_and_time_zone(signed_in, student):
    answer = signed_in.patch(
        "me/",
        {"name": " Lina \t Haddad ", "locale": "en", "time_zone": "Asia/Amman"},
    )
    assert answer.status_code == 200
    changed = answer.json()
    assert changed == signed_in.get("me/").json()
    assert (changed["name"], changed["locale"], changed["time_zone"]) == (
        *("Lina Haddad", "en"),
        "Asia/Amman",
    )
    # The admin's search finds the new name.
    assert User.objects.get(full_name_folded="lina haddad").pk == student.user_id


def test_what_is_not_named_stays(signed_in):
    signed_in.patch("me/", {"locale": "en", "time_zone": "Asia/Amman"})
    body = signed_in.patch("me/", {"name": "Lulu"}).json()
    assert (body["locale"], body["time_zone"]) == ("en", "Asia/Amman")
    assert signed_in.patch("me/", {}).json() == body


def test_an_empty_text_selects_the_installation_s_language_and_zone(signed_in, clock):
    signed_in.patch("me/", {"locale": "en", "time_zone": "Asia/Amman"})
    clock.shift(timedelta(hours=33))
    body = signed_in.patch("me/", {"locale": "", "time_zone": ""}).json()
    assert (body["locale"], body["time_zone"]) == ("", "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "\u200b"),
        ("name", "x" * 151),
        ("name", None),
        ("name", 7),
        ("locale", "fr"),
        ("locale", "EN"),
        ("locale", None),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "asia/amman"),
        ("time_zone", "../../etc/passwd"),
        ("time_zone", "localtime"),
        ("time_zone", 3),
        ("email", "other@school.example"),
        ("grade", "Grade 6"),
    ],
)
def test_another_value_or_field_is_refused_by_its_name(signed_in, field, value):
    before = signed_in.get("me/").json()
    answer = signed_in.patch("me/", {"name": "Lulu", field: value})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_BODY")
    assert list(answer.json()["details"]["fields"]) == [field]
    assert signed_in.get("me/").json() == before


def test_the_time_zone_changes_once_a_day(signed_in, clock):
    signed_in.patch("me/", {"time_zone": "America/New_York"})
    clock.shift(timedelta(days=1, seconds=-1))
    refused = signed_in.patch("me/", {"time_zone": "Asia/Riyadh", "name": "Lulu"})
    assert (refused.status_code, refused.json()["error_code"]) == (
        409,
        "TIME_ZONE_LOCKED",
    )
    assert refused.json()["details"] == {"unlocked_at": "2026-03-03T12:00:00Z"}
    # All of a request is refused.
    assert signed_in.get("me/").json()["name"] == "Lina"
    clock.shift(timedelta(seconds=1))
    answer = signed_in.patch("me/", {"time_zone": "Asia/Riyadh"})
    assert answer.json()["time_zone"] == "Asia/Riyadh"


def test_the_time_zone_is_locked_until_the_day_of_its_change_has_ended(
    signed_in, clock
):
    """Noon on 2 March in UTC: the day ends at 0:00 on the 4th in Amman."""
    signed_in.patch("me/", {"time_zone": "Asia/Amman"})
    clock.shift(timedelta(hours=33, seconds=-1))
    refused = signed_in.patch("me/", {"time_zone": "Asia/Riyadh"})
    assert refused.json()["details"] == {"unlocked_at": "2026-03-03T21:00:00Z"}
    clock.shift(timedelta(seconds=1))
    assert signed_in.patch("me/", {"time_zone": "Asia/Riyadh"}).status_code == 200


def test_the_zone_that_the_student_has_is_no_change(signed_in, clock):
    signed_in.patch("me/", {"time_zone": "America/New_York"})
    clock.shift(timedelta(hours=23))
    answer = signed_in.patch("me/", {"time_zone": "America/New_York", "name": "Lulu"})
    assert answer.status_code == 200
    # It does not begin a new day, either.
    clock.shift(timedelta(hours=1))
    assert signed_in.patch("me/", {"time_zone": "Asia/Riyadh"}).status_code == 200


def test_the_streak_is_counted_in_the_zone_that_the_student_chose(
    signed_in, student, clock
):
    """A change is in all answers at once, and takes no day away."""
    InteractionLog.objects.create(
        player=student,
        seq=1,
        event_id="1",
        type="lesson_completed",
        reference_id="LES-1",
        day=date(2026, 3, 2),
        occurred_at=timezone.now(),
        received_at=timezone.now(),
    )
    before = signed_in.get("wallet/").json()
    assert (before["streak_time_zone"], before["streak_ends_at"]) == (
        *("UTC", "2026-03-04T00:00:00Z"),
    )
    signed_in.patch("me/", {"time_zone": "Asia/Amman"})
    after = signed_in.get("wallet/").json()
    assert (after["streak_time_zone"], after["streak_ends_at"]) == (
        *("Asia/Amman", "2026-03-04T21:00:00Z"),
    )
    assert after["current_streak"] == before["current_streak"] == 1


def test_changing_the_profile_leaves_the_copies_in_redis(
    signed_in, student, django_assert_num_queries
):
    signed_in.get("auth/session/")
    versions = "sign_in_version", "access_version"
    before = PlayerProfile.objects.values(*versions).get(pk=student.pk)
    # Between two for the transaction: the profile, the account under lock, the columns;
    # zone, language, name; then the answer.
    with django_assert_num_queries(9):
        signed_in.patch("me/", {"name": "L", "locale": "en", "time_zone": "UTC"})
    assert PlayerProfile.objects.values(*versions).get(pk=student.pk) == before
    assert not SecurityEvent.objects.filter(type="session_ended").exists()
