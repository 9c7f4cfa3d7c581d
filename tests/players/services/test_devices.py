"""Devices: two slots, changed by staff."""

import uuid

import pytest

from players import keys
from players.errors import DeviceExistsError, DeviceLimitError, PlayerNotFoundError
from players.models import Device, SecurityEvent
from players.services import devices

pytestmark = pytest.mark.django_db


def test_a_third_device_is_refused_naming_the_two(student):
    held = [uuid.uuid4(), uuid.uuid4()]
    for device_id in held:
        devices.add(player_id=student.pk, device_id=device_id)
    with pytest.raises(DeviceLimitError) as refused:
        devices.add(player_id=student.pk, device_id=uuid.uuid4())
    assert refused.value.details == {"devices": list(held)}


def test_the_same_device_twice_is_refused(student):
    device_id = uuid.uuid4()
    devices.add(player_id=student.pk, device_id=device_id)
    with pytest.raises(DeviceExistsError):
        devices.add(player_id=student.pk, device_id=device_id)


def test_a_removed_device_frees_its_slot(student):
    first, second, third = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    devices.add(player_id=student.pk, device_id=first)
    devices.add(player_id=student.pk, device_id=second)
    devices.remove(player_id=student.pk, device_id=first)
    assert devices.add(player_id=student.pk, device_id=third).slot == 1


def test_removing_what_is_not_there_says_so(student):
    with pytest.raises(PlayerNotFoundError):
        devices.remove(player_id=student.pk, device_id=uuid.uuid4())
    with pytest.raises(PlayerNotFoundError):
        devices.remove(player_id=student.pk + 1, device_id=uuid.uuid4())


def test_a_slot_taken_without_the_lock_is_a_refusal_not_a_failure(student, monkeypatch):
    """The database constraint decides, whatever was read before."""
    Device.objects.create(player=student, slot=1, device_id=uuid.uuid4())
    monkeypatch.setattr(Device.objects, "filter", lambda **_kwargs: [])
    with pytest.raises(DeviceLimitError):
        devices.claim_slot(student, device_id=uuid.uuid4(), name="")


def test_redis_gets_the_devices_with_the_next_request(
    signed_in, student, redis_client, django_capture_on_commit_callbacks
):
    added = uuid.uuid4()
    with django_capture_on_commit_callbacks(execute=True):
        devices.add(player_id=student.pk, device_id=added)
    assert not redis_client.exists(keys.devices(student.pk))
    assert signed_in.get("devices/check/").json()["device_count"] == 2
    assert redis_client.smembers(keys.devices(student.pk)) == {
        signed_in.device_id.encode(),
        str(added).encode(),
    }


def test_bulk_writes_take_the_devices_out_of_redis(
    signed_in, student, redis_client, django_capture_on_commit_callbacks
):
    signed_in.get("devices/check/")
    assert redis_client.exists(keys.devices(student.pk))
    with django_capture_on_commit_callbacks(execute=True):
        Device.objects.bulk_create(
            [Device(player=student, slot=2, device_id=uuid.uuid4())]
        )
    assert not redis_client.exists(keys.devices(student.pk))
    assert signed_in.get("devices/check/").json()["device_count"] == 2


def test_the_app_asks_about_its_device(signed_in, student):
    assert signed_in.get("devices/check/").json() == {
        "authorized": True,
        "device_count": 1,
    }


def test_the_audit_trail_tells_who_changed_devices(signed_in, student, support):
    device_id = uuid.UUID(signed_in.device_id)
    devices.remove(player_id=student.pk, device_id=device_id, actor_id=support.pk)
    told = SecurityEvent.objects.filter(actor=support).order_by("pk")
    assert [(event.type, event.device_id) for event in told] == [
        ("device_removed", device_id),
        ("session_ended", device_id),
    ]
