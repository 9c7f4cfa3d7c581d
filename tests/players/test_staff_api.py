"""The staff's endpoints: who may call them, from where, and what they refuse."""

import uuid

import pytest
from rest_framework.test import APIClient

from players.models import Device, User

pytestmark = pytest.mark.django_db
DEVICES = "/api/v1/admin/devices/"


def refusal(answer):
    return answer.status_code, answer.json()["error_code"]


def test_support_adds_lists_and_removes_a_device(student, support, as_staff):
    client = as_staff(support)
    device_id = str(uuid.uuid4())
    added = client.post(
        DEVICES,
        {"player_id": student.pk, "device_id": device_id, "device_name": "iPad"},
        format="json",
    )
    assert added.status_code == 201
    listed = client.get(f"{DEVICES}?player_id={student.pk}").json()["devices"]
    assert listed == [added.json()]
    assert listed[0] | {"added_at": ""} == {
        "id": Device.objects.get().pk,
        "player_id": student.pk,
        "slot": 1,
        "device_id": device_id,
        "name": "iPad",
        "added_at": "",
    }
    assert client.delete(f"{DEVICES}{listed[0]['id']}/").status_code == 204
    assert not Device.objects.exists()


def test_removing_over_http_ends_the_session(
    signed_in, support, as_staff, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        as_staff(support).delete(f"{DEVICES}{Device.objects.get().pk}/")
    assert refusal(signed_in.get("wallet/")) == (401, "DEVICE_REMOVED")


def test_what_cannot_be_added_is_refused(student, support, as_staff):
    client = as_staff(support)

    def add(**body):
        return client.post(DEVICES, {"player_id": student.pk} | body, format="json")

    first = str(uuid.uuid4())
    assert add(device_id=first).status_code == 201
    assert refusal(add(device_id=first)) == (409, "DEVICE_EXISTS")
    assert refusal(add(device_id="7")) == (400, "INVALID_BODY")
    assert refusal(add(device_id=7)) == (400, "INVALID_BODY")
    assert add(device_id=str(uuid.uuid4())).status_code == 201
    assert refusal(add(device_id=str(uuid.uuid4()))) == (409, "DEVICE_LIMIT")
    missing = add(player_id=student.pk + 1, device_id=first)
    assert refusal(missing) == (404, "NOT_FOUND")
    assert refusal(client.delete(f"{DEVICES}999/")) == (404, "NOT_FOUND")


@pytest.mark.parametrize("query", ["", "?player_id=", "?player_id=x", "?player_id=-1"])
def test_a_list_asks_whose(support, as_staff, query):
    assert refusal(as_staff(support).get(DEVICES + query)) == (400, "INVALID_BODY")


def test_nobody_without_a_session_comes_in(student):
    answer = APIClient().get(f"{DEVICES}?player_id={student.pk}")
    assert refusal(answer) == (401, "NOT_AUTHENTICATED")


def test_a_players_token_opens_nothing_of_staffs(signed_in, student):
    answer = signed_in.get(f"admin/devices/?player_id={student.pk}")
    assert refusal(answer) == (401, "NOT_AUTHENTICATED")
    answer = signed_in.post(f"admin/wallets/{student.pk}/xp/", {"xp": 1, "reason": "x"})
    assert refusal(answer) == (401, "NOT_AUTHENTICATED")


def test_a_staff_session_is_no_player(support, as_staff):
    answer = as_staff(support).get("/api/v1/wallet/")
    assert refusal(answer) == (401, "NOT_AUTHENTICATED")


def test_a_permission_is_asked_for_each_action(student, support, as_staff):
    """Support may give XP, not write wallets back."""
    client = as_staff(support)
    answer = client.post(
        f"/api/v1/admin/wallets/{student.pk}/xp/",
        {"xp": 5, "reason": "x"},
        format="json",
    )
    assert answer.status_code == 200
    answer = client.post("/api/v1/admin/wallets/sync/", {}, format="json")
    assert refusal(answer) == (403, "PERMISSION_DENIED")


def test_permissions_without_being_staff_are_not_enough(student, support, as_staff):
    User.objects.filter(pk=support.pk).update(is_staff=False)
    support.refresh_from_db()
    answer = as_staff(support).get(f"{DEVICES}?player_id={student.pk}")
    assert refusal(answer) == (403, "PERMISSION_DENIED")


def test_a_change_from_another_site_is_refused(student, support):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(support, "django.contrib.auth.backends.ModelBackend")
    body = {"player_id": student.pk, "device_id": str(uuid.uuid4())}
    answer = client.post(DEVICES, body, format="json")
    assert refusal(answer) == (403, "PERMISSION_DENIED")
    assert not Device.objects.exists()


def test_a_change_from_the_admins_own_page_is_let_through(student, support):
    client = APIClient(enforce_csrf_checks=True)
    client.get("/admin/login/")
    client.force_login(support, "django.contrib.auth.backends.ModelBackend")
    client.get("/admin/")
    token = client.cookies["csrftoken"].value
    body = {"player_id": student.pk, "device_id": str(uuid.uuid4())}
    answer = client.post(DEVICES, body, format="json", headers={"X-CSRFToken": token})
    assert answer.status_code == 201


def test_the_schema_knows_every_endpoint(db):
    from drf_spectacular.generators import SchemaGenerator

    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    assert {
        "/api/v1/auth/login/",
        "/api/v1/auth/logout/",
        "/api/v1/auth/session/",
        "/api/v1/devices/check/",
        "/api/v1/me/",
        "/api/v1/wallet/",
        "/api/v1/content/",
        "/api/v1/content/lessons/{lesson_id}/",
        "/api/v1/admin/devices/",
        "/api/v1/admin/devices/{id}/",
        "/api/v1/admin/wallets/sync/",
        "/api/v1/admin/wallets/{id}/xp/",
    } <= paths.keys()
