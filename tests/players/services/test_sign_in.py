"""Signing in: who may, from which device, and what refusals reveal."""

import uuid
from datetime import UTC, datetime

import pytest

from players.models import Device, SecurityEvent, Session, User
from players.services import accounts, devices, sessions
from tests.players.app import PASSWORD, App

pytestmark = pytest.mark.django_db
EMAIL = "lina@school.example"


def test_the_first_sign_in_authorises_its_device(student, app):
    answer = app.post(
        "auth/login/",
        {"email": EMAIL, "password": PASSWORD, "device_name": "Lina's phone"},
    )
    body = answer.json()
    assert answer.status_code == 200
    assert body.pop("token").startswith(f"{student.pk}.")
    assert body == {
        "player": {"id": student.pk, "name": "Lina", "email": EMAIL},
        "is_first_device": True,
        "devices_authorized": 1,
        "plan": {"id": "PLAN-5", "title": "Grade 5"},
    }
    device = Device.objects.get()
    assert (str(device.device_id), device.name) == (app.device_id, "Lina's phone")


def test_a_player_without_a_plan_signs_in_too(db, app):
    accounts.create_player("omar@school.example", PASSWORD)
    assert app.sign_in("omar@school.example").json()["plan"] is None


def test_the_address_is_compared_without_case(student, app):
    assert app.sign_in("  Lina@School.Example").status_code == 200


def test_a_second_device_is_refused_and_told_its_id(signed_in):
    tablet = App()
    answer = tablet.sign_in(EMAIL)
    assert answer.status_code == 403
    assert answer.json()["error_code"] == "DEVICE_NOT_AUTHORIZED"
    assert answer.json()["details"] == {
        "device_id": tablet.device_id,
        "may_replace": False,
        "may_replace_at": None,
        "devices": [{"slot": 1, "name": ""}],
    }
    assert Device.objects.count() == 1


def test_a_refused_device_is_named_only_by_who_knows_the_password(signed_in):
    stranger = App()
    stranger.sign_in(EMAIL, "wrong pass 7", device_name="Tablet")
    stranger.sign_in(EMAIL, device_name="Tablet")
    refusals = SecurityEvent.objects.filter(type="refused").order_by("pk")
    assert [event.details for event in refusals] == [
        {"code": "INVALID_CREDENTIALS"},
        {"code": "DEVICE_NOT_AUTHORIZED", "device_name": "Tablet"},
    ]


def test_a_device_that_staff_added_signs_in(signed_in, student):
    tablet = App()
    devices.add(player_id=student.pk, device_id=uuid.UUID(tablet.device_id))
    body = tablet.sign_in(EMAIL).json()
    assert (body["is_first_device"], body["devices_authorized"]) == (False, 2)


def test_once_signed_in_no_device_is_authorised_by_itself_again(signed_in, student):
    """A stolen phone that staff removed must not be authorised again by a sign-in."""
    devices.remove(player_id=student.pk, device_id=uuid.UUID(signed_in.device_id))
    assert signed_in.sign_in(EMAIL).json()["error_code"] == "DEVICE_NOT_AUTHORIZED"


def test_wrong_password_and_unknown_address_get_the_same_answer(student, app):
    wrong = app.sign_in(EMAIL, "wrong")
    unknown = app.sign_in("nobody@school.example", "wrong")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    assert wrong.json()["error_code"] == "INVALID_CREDENTIALS"
    assert wrong["WWW-Authenticate"].startswith("Bearer")


def test_an_unknown_address_costs_a_hash_like_a_wrong_password(
    student, app, monkeypatch
):
    from django.contrib.auth.hashers import MD5PasswordHasher

    hashed = []
    encode = MD5PasswordHasher.encode

    def counted(self, password, salt):
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    app.sign_in(EMAIL, "wrong")
    for_a_known = len(hashed)
    app.sign_in("nobody@school.example", "wrong")
    assert len(hashed) == 2 * for_a_known == 2


def test_an_account_that_is_switched_off_is_refused_after_its_password(student, app):
    User.objects.filter(pk=student.user_id).update(is_active=False)
    assert app.sign_in(EMAIL).json()["error_code"] == "ACCOUNT_INACTIVE"
    assert app.sign_in(EMAIL, "wrong").json()["error_code"] == "INVALID_CREDENTIALS"


def test_staff_are_no_players(support, app):
    answer = app.sign_in(support.email)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "NOT_A_PLAYER")


def test_an_old_token_does_not_stand_in_the_way_of_signing_in(signed_in):
    client = signed_in.client
    answer = client.post(
        "/api/v1/auth/login/",
        {"email": EMAIL, "password": PASSWORD},
        format="json",
        headers={
            "X-Device-ID": signed_in.device_id,
            "Authorization": "Bearer rubbish",
        },
    )
    assert answer.status_code == 200


def test_only_the_hash_of_a_token_is_kept(signed_in, redis_client):
    session = Session.objects.get()
    secret = signed_in.token.rpartition(".")[2]
    assert session.token_sha256 != secret
    held = b"".join(
        redis_client.dump(name) or b"" for name in redis_client.scan_iter("*")
    )
    assert secret.encode() not in held


def test_signing_in_counts_its_queries(student, django_assert_num_queries):
    sessions.sign_in(
        email=EMAIL,
        password=PASSWORD,
        device_id=uuid.UUID("7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e"),
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )
    # The user by address; the player's id; then, between two for the savepoint:
    # profile, user under lock, devices, session; why the old one ended, audit event,
    # session, the version raised and read, last sign-in, audit event.
    with django_assert_num_queries(15):
        sessions.sign_in(
            email=EMAIL,
            password=PASSWORD,
            device_id=uuid.UUID("7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e"),
            now=datetime(2026, 1, 2, tzinfo=UTC),
        )


def test_the_audit_trail_tells_of_sign_ins_and_refusals(signed_in, student):
    signed_in.sign_in(EMAIL, "wrong")
    told = list(SecurityEvent.objects.order_by("pk").values_list("type", "user_id"))
    assert told == [
        ("enrollment_added", student.user_id),
        ("device_added", student.user_id),
        ("login", student.user_id),
        ("refused", student.user_id),
    ]
    refused = SecurityEvent.objects.get(type="refused")
    assert refused.details == {"code": "INVALID_CREDENTIALS"}
    assert str(refused.device_id) == signed_in.device_id
    assert refused.ip_address == "127.0.0.1"


def test_the_audit_trail_does_not_keep_what_a_guest_typed(db, app):
    app.sign_in("my-password-by-mistake@x.example", "secret")
    event = SecurityEvent.objects.get()
    assert "mistake" not in str(vars(event))


WRONG_BODIES = [
    ([], "body"),
    (None, "body"),
    ("text", "body"),
    (7, "body"),
    ({}, "email"),
    ({"email": EMAIL}, "password"),
    ({"email": None, "password": "x"}, "email"),
    ({"email": 5, "password": "x"}, "email"),
    ({"email": [], "password": "x"}, "email"),
    ({"email": {"a": 1}, "password": "x"}, "email"),
    ({"email": "", "password": "x"}, "email"),
    ({"email": "a" * 90_000, "password": "x"}, "email"),
    ({"email": "a\0b", "password": "x"}, "email"),
    ({"email": EMAIL, "password": True}, "password"),
    ({"email": EMAIL, "password": "\0"}, "password"),
    ({"email": EMAIL, "password": "p" * 90_000}, "password"),
    ({"email": EMAIL, "password": "x", "device_name": "n" * 101}, "device_name"),
    ({"email": EMAIL, "password": "x", "device_name": 3}, "device_name"),
    ({"email": EMAIL, "password": "x", "admin": True}, "admin"),
    ({"email": EMAIL, "password": "x", "\0": 1}, "\0"),
    ({"email": EMAIL, "password": "x", "": 1}, ""),
]


@pytest.mark.parametrize(("body", "field"), WRONG_BODIES)
def test_a_wrong_body_is_refused_naming_the_field(student, app, body, field):
    import json

    answer = app.client.generic(
        "POST",
        "/api/v1/auth/login/",
        json.dumps(body),
        content_type="application/json",
        headers={"X-Device-ID": app.device_id},
    )
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "INVALID_BODY"
    assert field in answer.json()["details"]["fields"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"email": "\xff"}',
        b'{"email": "\\ud800", "password": "x"}',
        b"[" * 100_000,
        b'{"email": 1e999}',
        b'{"email": NaN}',
        b"\0",
    ],
)
def test_what_is_no_json_is_refused(student, app, raw):
    answer = app.client.generic(
        "POST",
        "/api/v1/auth/login/",
        raw,
        content_type="application/json",
        headers={"X-Device-ID": app.device_id},
    )
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "INVALID_BODY"


def test_a_form_is_not_read_as_json(student, app):
    answer = app.client.generic(
        "POST",
        "/api/v1/auth/login/",
        b"email=a",
        content_type="application/x-www-form-urlencoded",
        headers={"X-Device-ID": app.device_id},
    )
    assert answer.json()["error_code"] == "UNSUPPORTED_MEDIA_TYPE"


def test_a_name_of_any_script_signs_in(db, app):
    accounts.create_player("noor@school.example", PASSWORD, "نور 🌙")
    body = app.sign_in("noor@school.example").json()
    assert body["player"]["name"] == "نور 🌙"
