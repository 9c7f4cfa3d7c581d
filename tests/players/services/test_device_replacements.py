"""A student replaces a device at a sign-in, if the installation allows it."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from core import statement_guard
from plans.models import Season
from players.models import (
    Device,
    DeviceReplacement,
    PlayerProfile,
    SecurityEvent,
    Session,
)
from players.services import accounts, devices
from tests.players.app import PASSWORD, App

pytestmark = pytest.mark.django_db
EMAIL = "lina@school.example"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def allowed(settings):
    settings.DEVICE_REPLACEMENTS = 2
    settings.DEVICE_REPLACEMENT_COOLING_HOURS = 72


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


@pytest.fixture
def phone(clock, student, app):
    """The app on the student's first device, signed in."""
    assert app.sign_in(EMAIL, device_name="Lina's phone").status_code == 200
    return app


@pytest.fixture
def tablet(phone, student):
    tablet = App()
    devices.add(
        player_id=student.pk, device_id=uuid.UUID(tablet.device_id), name="Tablet"
    )
    return tablet


@pytest.fixture
def make_player():
    return lambda: accounts.create_player("omar@school.example", PASSWORD)


def held() -> dict[int, str]:
    return {row.slot: str(row.device_id) for row in Device.objects.all()}


def test_a_refused_device_is_told_what_it_may_replace(phone, tablet):
    new = App()
    refused = new.sign_in(EMAIL)
    assert (refused.status_code, refused.json()["error_code"]) == (
        403,
        "DEVICE_NOT_AUTHORIZED",
    )
    assert refused.json()["details"] == {
        "device_id": new.device_id,
        "may_replace": True,
        "may_replace_at": None,
        "devices": [{"slot": 1, "name": "Lina's phone"}, {"slot": 2, "name": "Tablet"}],
    }
    assert "Replace one of your devices" in refused.json()["message"]


def test_nothing_is_told_or_replaced_with_a_wrong_password(phone, tablet):
    before = held()
    refused = App().sign_in(EMAIL, "wrong", replace_device=1)
    assert refused.json()["error_code"] == "INVALID_CREDENTIALS"
    assert "details" not in refused.json()
    assert held() == before


def test_the_new_device_takes_the_slot_and_the_old_one_is_signed_out(phone, tablet):
    new = App()
    answer = new.sign_in(EMAIL, replace_device=1, device_name="New phone")
    assert answer.status_code == 200
    assert answer.json()["devices_authorized"] == 2
    assert not answer.json()["is_first_device"]
    assert held() == {1: new.device_id, 2: tablet.device_id}
    assert Device.objects.get(slot=1).name == "New phone"
    assert new.get("auth/session/").status_code == 200
    assert phone.get("auth/session/").json()["error_code"] == "DEVICE_REMOVED"
    assert phone.sign_in(EMAIL).json()["error_code"] == "DEVICE_NOT_AUTHORIZED"


def test_the_session_of_the_other_device_is_replaced_as_by_every_sign_in(phone, tablet):
    assert App().sign_in(EMAIL, replace_device=2).status_code == 200
    assert phone.get("auth/session/").json()["error_code"] == "SESSION_REPLACED"
    assert Session.objects.count() == 1


def test_a_replacement_is_audited_and_counted(phone, tablet, student):
    with statement_guard.rewriting():
        SecurityEvent.objects.all()._raw_delete("default")
    new = App()
    new.sign_in(EMAIL, replace_device=1)
    told = SecurityEvent.objects.order_by("pk").values_list(
        "type", "user_id", "device_id", "details"
    )
    user, old = student.user_id, uuid.UUID(phone.device_id)
    assert list(told) == [
        ("session_ended", user, old, {"reason": "device_removed"}),
        (
            *("device_replaced", user, uuid.UUID(new.device_id)),
            {"replaced": phone.device_id},
        ),
        ("login", user, uuid.UUID(new.device_id), {}),
    ]
    row = DeviceReplacement.objects.get()
    assert (row.player_id, row.season_id, row.replaced_at) == (student.pk, None, NOON)


def test_the_only_device_can_be_replaced_too(phone):
    new = App()
    assert new.sign_in(EMAIL, replace_device=1).status_code == 200
    assert held() == {1: new.device_id}


def test_an_authorised_device_replaces_nothing(phone, tablet):
    before = held()
    assert tablet.sign_in(EMAIL, replace_device=1).status_code == 200
    assert held() == before
    assert not DeviceReplacement.objects.exists()


@pytest.mark.parametrize("slot", [0, 3, "1", True, None])
def test_a_slot_that_does_not_exist_is_refused_by_its_field(phone, slot):
    answer = App().sign_in(EMAIL, replace_device=slot)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_BODY")
    assert list(answer.json()["details"]["fields"]) == ["replace_device"]


def test_an_empty_slot_replaces_nothing(phone):
    answer = App().sign_in(EMAIL, replace_device=2)
    assert answer.json()["error_code"] == "DEVICE_NOT_AUTHORIZED"
    assert held() == {1: phone.device_id}


def test_by_default_only_staff_change_devices(phone, tablet, settings):
    settings.DEVICE_REPLACEMENTS = 0
    before = held()
    refused = App().sign_in(EMAIL, replace_device=1)
    assert refused.json()["error_code"] == "DEVICE_NOT_AUTHORIZED"
    assert refused.json()["details"]["may_replace"] is False
    assert held() == before


def test_a_student_whose_devices_staff_removed_adds_none(phone, student):
    devices.remove(player_id=student.pk, device_id=uuid.UUID(phone.device_id))
    refused = phone.sign_in(EMAIL, replace_device=1)
    assert refused.json()["details"]["may_replace"] is False
    assert held() == {}


def test_between_two_replacements_the_student_waits(phone, tablet, clock):
    App().sign_in(EMAIL, replace_device=1)
    clock.shift(timedelta(hours=72, seconds=-1))
    refused = App().sign_in(EMAIL, replace_device=2)
    details = refused.json()["details"]
    assert (details["may_replace"], details["may_replace_at"]) == (
        False,
        "2026-03-05T12:00:00Z",
    )
    clock.shift(timedelta(seconds=1))
    assert App().sign_in(EMAIL, replace_device=2).status_code == 200


def test_the_number_is_limited_in_each_season(phone, tablet, clock, student):
    this, last = (Season.objects.create(title=title) for title in ("2026", "2025"))
    PlayerProfile.objects.filter(pk=student.pk).update(season=this)
    DeviceReplacement.objects.create(
        player=student, season=last, replaced_at=NOON - timedelta(days=300)
    )
    for _allowed in range(2):
        clock.shift(timedelta(days=4))
        assert App().sign_in(EMAIL, replace_device=1).status_code == 200
    clock.shift(timedelta(days=40))
    details = App().sign_in(EMAIL, replace_device=1).json()["details"]
    assert (details["may_replace"], details["may_replace_at"]) == (False, None)


# --- The list of devices --------------------------------------------------------------


def test_a_student_sees_the_devices_by_name(
    phone, tablet, clock, student, django_assert_num_queries
):
    clock.shift(timedelta(minutes=5))
    with django_assert_num_queries(2):  # the session, the devices
        devices.of_player(student.pk, current=uuid.UUID(phone.device_id))
    first, second = Device.objects.all()
    assert phone.get("me/devices/").json() == {
        "devices": [
            {
                "id": first.pk,
                "slot": 1,
                "name": "Lina's phone",
                "added_at": "2026-03-02T12:00:00Z",
                "is_current": True,
                "last_used_at": "2026-03-02T12:00:00Z",
            },
            {
                "id": second.pk,
                "slot": 2,
                "name": "Tablet",
                "added_at": "2026-03-02T12:00:00Z",
                "is_current": False,
                "last_used_at": None,
            },
        ]
    }


def test_a_student_renames_a_device_and_nothing_else_changes(phone, tablet, student):
    version = PlayerProfile.objects.get(pk=student.pk).sign_in_version
    other = Device.objects.get(slot=2)
    answer = phone.patch(f"me/devices/{other.pk}/", {"name": " The  tablet "})
    assert answer.status_code == 200
    assert [one["name"] for one in answer.json()["devices"]] == [
        "Lina's phone",
        "The tablet",
    ]
    assert PlayerProfile.objects.get(pk=student.pk).sign_in_version == version


def test_a_device_of_somebody_else_is_not_there(phone, make_player):
    other = devices.add(player_id=make_player().pk, device_id=uuid.uuid4(), name="x")
    for pk in (other.pk, 10**17):
        answer = phone.patch(f"me/devices/{pk}/", {"name": "mine"})
        assert (answer.status_code, answer.json()["error_code"]) == (404, "NOT_FOUND")
    assert Device.objects.get(pk=other.pk).name == "x"


@pytest.mark.parametrize("name", ["", " ", "\u200b", "x" * 101, 7, None])
def test_a_name_that_nobody_can_see_is_refused(phone, name):
    pk = Device.objects.get().pk
    answer = phone.patch(f"me/devices/{pk}/", {"name": name})
    assert list(answer.json()["details"]["fields"]) == ["name"]
    assert Device.objects.get().name == "Lina's phone"
