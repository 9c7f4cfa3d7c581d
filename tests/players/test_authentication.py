"""Authenticating a request: the token, the device, and the copy in Redis."""

import uuid

import pytest
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from players import keys, records
from players.models import Device, Session, SessionEndReason, User
from players.services import devices, sessions, sign_in_state
from tests.players.app import App

pytestmark = pytest.mark.django_db
EMAIL = "lina@school.example"


@pytest.fixture
def warm(signed_in):
    """A signed-in app after its first request: state and scripts are in Redis."""
    assert signed_in.get("auth/session/").status_code == 200
    return signed_in


@pytest.fixture
def no_redis(settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"


def refusal(answer):
    return answer.status_code, answer.json()["error_code"]


# --- Costs --------------------------------------------------------------------


def test_a_warm_request_is_one_round_trip_and_no_query(
    warm, round_trips, django_assert_num_queries
):
    with django_assert_num_queries(0):
        answer = warm.get("auth/session/")
    assert answer.json() == {
        "valid": True,
        "player_id": int(warm.token.split(".")[0]),
        "device_id": warm.device_id,
    }
    assert len(round_trips) == 1


def test_the_token_of_an_ended_session_costs_two_queries(
    warm, round_trips, django_assert_num_queries, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        warm.post("auth/logout/")
    round_trips.clear()
    with django_assert_num_queries(2):  # the state; why the token's session ended
        assert refusal(warm.get("wallet/")) == (401, "SESSION_SIGNED_OUT")
    assert len(round_trips) == 2  # the check; the count of requests with this token


# --- Losing Redis ---------------------------------------------------------------


def test_an_empty_redis_is_filled_again_from_the_database(
    warm, redis_client, django_assert_num_queries
):
    redis_client.flushdb()
    with django_assert_num_queries(1):  # the session, its device and all devices
        assert warm.get("auth/session/").status_code == 200
    with django_assert_num_queries(0):
        assert warm.get("auth/session/").status_code == 200
    player_id = int(warm.token.split(".")[0])
    assert redis_client.smembers(keys.devices(player_id)) == {warm.device_id.encode()}


def test_devices_that_redis_lost_are_filled_again(warm, redis_client):
    player_id = int(warm.token.split(".")[0])
    redis_client.delete(keys.devices(player_id))
    assert warm.get("auth/session/").status_code == 200
    assert redis_client.scard(keys.devices(player_id)) == 1


def test_without_redis_the_database_answers(warm, no_redis):
    answer = warm.get("auth/session/")
    assert answer.status_code == 200
    assert "X-RateLimit-Limit" not in answer
    warm.token = warm.token[:-1] + ("A" if warm.token[-1] != "A" else "B")
    assert refusal(warm.get("auth/session/")) == (401, "SESSION_UNKNOWN")


def test_without_redis_nobody_signs_in_or_out_and_nothing_changes(warm, no_redis):
    before = Session.objects.values().get()
    assert refusal(warm.post("auth/logout/")) == (503, "SERVICE_UNAVAILABLE")
    assert refusal(App(warm.device_id).sign_in(EMAIL)) == (503, "SERVICE_UNAVAILABLE")
    assert Session.objects.values().get() == before


def test_without_the_database_the_answer_is_503(warm, redis_client, monkeypatch):
    def away(_player_id):
        raise OperationalError(2006, "gone away")

    redis_client.flushdb()
    monkeypatch.setattr(sign_in_state, "read", away)
    answer = warm.get("auth/session/")
    assert refusal(answer) == (503, "SERVICE_UNAVAILABLE")
    assert answer["Retry-After"] == "5"


def test_a_session_cookie_is_no_error_while_the_database_is_away(
    warm, client, monkeypatch
):
    """The log of requests loaded the user of the cookie's session.

    So a browser that had visited the admin got 500 from every address, ``/healthz``
    included, while the database was away.
    """

    def refuse(_connection):
        raise OperationalError(2002, "Can't connect to server")

    monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", refuse)
    for sender in (warm.client, client):
        sender.cookies["sessionid"] = "a" * 32
    assert warm.get("auth/session/").status_code == 200
    assert refusal(warm.get("me/")) == (503, "SERVICE_UNAVAILABLE")
    assert client.get("/healthz").status_code == 200


# --- Staleness ------------------------------------------------------------------


def test_a_slow_reader_cannot_put_back_a_session_that_ended(
    warm, student, redis_client, django_capture_on_commit_callbacks
):
    redis_client.flushdb()
    found = records.enter(
        player_id=student.pk,
        sha256="0" * 64,
        device_id=warm.device_id,
        endpoint="test",
        window_ms=1000,
        limit=10,
        wanted=records.NOTHING,
    )
    assert found.may_fill_session
    old = sign_in_state.read(student.pk)
    with django_capture_on_commit_callbacks(execute=True):
        sessions.end_session(student.pk, SessionEndReason.ENDED_BY_STAFF)
    sign_in_state.fill(found, old)
    assert refusal(warm.get("wallet/")) == (401, "SESSION_ENDED_BY_STAFF")


def test_a_slow_reader_cannot_do_so_after_redis_was_lost_either(
    warm, student, redis_client, django_capture_on_commit_callbacks
):
    redis_client.flushdb()
    found = records.enter(
        player_id=student.pk,
        sha256="0" * 64,
        device_id=warm.device_id,
        endpoint="test",
        window_ms=1000,
        limit=10,
        wanted=records.NOTHING,
    )
    assert found.may_fill_session
    old = sign_in_state.read(student.pk)
    with django_capture_on_commit_callbacks(execute=True):
        sessions.end_session(student.pk, SessionEndReason.ENDED_BY_STAFF)
    redis_client.flushdb()
    sign_in_state.fill(found, old)
    assert refusal(warm.get("wallet/")) == (401, "SESSION_ENDED_BY_STAFF")


def test_an_end_that_redis_never_heard_of_is_believed_from_the_block_on(
    warm, student, django_assert_num_queries
):
    """The process stopped after the commit and before the call to Redis."""
    sessions.end_session(
        student.pk, SessionEndReason.ENDED_BY_STAFF
    )  # its after-commit work never runs
    with django_assert_num_queries(2):  # the state; why the token's session ended
        assert refusal(warm.get("wallet/")) == (401, "SESSION_ENDED_BY_STAFF")


def test_a_change_that_is_rolled_back_signs_nobody_out(warm, student, monkeypatch):
    from players import audit

    def fail(*_args, **_kwargs):
        raise OperationalError("disk full")

    monkeypatch.setattr(audit, "record", fail)
    with pytest.raises(OperationalError):
        sessions.end_session(student.pk, SessionEndReason.ENDED_BY_STAFF)
    assert warm.get("auth/session/").status_code == 200


# --- Refusals -------------------------------------------------------------------


def test_no_token_is_not_authenticated(app, db):
    answer = app.get("wallet/")
    assert refusal(answer) == (401, "NOT_AUTHENTICATED")
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Bearer x", "Basic YTpi", "x", "Bearer 1.a b", "Bearer é"],
)
def test_what_is_no_token_is_not_authenticated(app, db, header):
    answer = app.client.get(
        "/api/v1/wallet/",
        headers={"Authorization": header, "X-Device-ID": app.device_id},
    )
    assert refusal(answer) == (401, "NOT_AUTHENTICATED")
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "device_id",
    [
        "",
        "7",
        "7d0b3c1e5a4f4c1b9e0d2f6a8b1c3d5e",
        "{7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e}",
        "7d0b3c1e-5a4f-1c1b-9e0d-2f6a8b1c3d5e",
        "7d0b3c1e-5a4f-4c1b-1e0d-2f6a8b1c3d5e",
        "zd0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e",
        "x" * 5000,
    ],
)
def test_a_device_id_that_is_no_uuid_4_is_refused(signed_in, device_id):
    signed_in.device_id = device_id
    assert refusal(signed_in.get("wallet/")) == (400, "INVALID_DEVICE_ID")
    assert refusal(signed_in.sign_in(EMAIL)) == (400, "INVALID_DEVICE_ID")


def test_a_device_id_in_capitals_is_the_same_device(signed_in):
    signed_in.device_id = signed_in.device_id.upper()
    assert signed_in.get("auth/session/").status_code == 200


def test_a_token_on_another_device_is_refused(warm):
    warm.device_id = str(uuid.uuid4())
    assert refusal(warm.get("wallet/")) == (403, "DEVICE_MISMATCH")


def test_a_token_on_the_players_other_device_is_refused(
    warm, student, django_capture_on_commit_callbacks
):
    other = uuid.uuid4()
    with django_capture_on_commit_callbacks(execute=True):
        devices.add(player_id=student.pk, device_id=other)
    warm.device_id = str(other)
    assert refusal(warm.get("wallet/")) == (403, "DEVICE_MISMATCH")


def test_a_device_id_is_no_credential(warm):
    stranger = App(warm.device_id)
    assert refusal(stranger.get("wallet/")) == (401, "NOT_AUTHENTICATED")
    stranger.token = f"{warm.token.split('.')[0]}.{'A' * 43}"
    assert refusal(stranger.get("wallet/")) == (401, "SESSION_UNKNOWN")


def test_a_token_of_a_player_who_never_was_is_unknown(app, db):
    app.token = f"{10**17}.{'A' * 43}"
    assert refusal(app.get("wallet/")) == (401, "SESSION_UNKNOWN")


# --- Ends of a session ------------------------------------------------------------


def test_the_last_sign_in_replaces_the_session(
    warm, django_capture_on_commit_callbacks
):
    again = App(warm.device_id)
    with django_capture_on_commit_callbacks(execute=True):
        again.sign_in(EMAIL)
    assert refusal(warm.get("wallet/")) == (401, "SESSION_REPLACED")
    assert again.get("wallet/").status_code == 200
    assert Session.objects.count() == 1


def test_signing_out_ends_the_session(warm, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        assert warm.post("auth/logout/").status_code == 200
    assert refusal(warm.get("wallet/")) == (401, "SESSION_SIGNED_OUT")
    assert refusal(warm.post("auth/logout/")) == (401, "SESSION_SIGNED_OUT")


def test_a_late_sign_out_leaves_the_session_that_replaced_it(warm, student):
    from players import tokens

    old = tokens.parse(warm.token)
    warm.sign_in(EMAIL)
    sessions.sign_out(token=old)
    assert warm.get("wallet/").status_code == 200


def test_removing_the_device_ends_its_session_at_once(
    warm, student, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        devices.remove(player_id=student.pk, device_id=uuid.UUID(warm.device_id))
    assert refusal(warm.get("wallet/")) == (401, "DEVICE_REMOVED")


def test_removing_the_other_device_leaves_the_session(
    warm, student, django_capture_on_commit_callbacks
):
    other = uuid.uuid4()
    with django_capture_on_commit_callbacks(execute=True):
        devices.add(player_id=student.pk, device_id=other)
        devices.remove(player_id=student.pk, device_id=other)
    assert warm.get("wallet/").status_code == 200


@pytest.mark.parametrize("how", ["row", "queryset"])
def test_a_device_deleted_in_the_admin_ends_its_session_too(
    warm, how, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        if how == "row":
            Device.objects.get().delete()
        else:
            Device.objects.all().delete()
    assert refusal(warm.get("wallet/")) == (401, "DEVICE_REMOVED")


@pytest.mark.parametrize("how", ["save", "update"])
def test_switching_the_account_off_ends_the_session(
    warm, student, how, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        if how == "save":
            user = User.objects.get(pk=student.user_id)
            user.is_active = False
            user.save()
        else:
            User.objects.filter(pk=student.user_id).update(is_active=False)
    assert refusal(warm.get("wallet/")) == (403, "ACCOUNT_INACTIVE")
    assert not Session.objects.exists()


def test_deleting_the_account_ends_the_session_and_leaves_nothing_in_redis(
    warm, student, redis_client, django_capture_on_commit_callbacks
):
    warm.get("wallet/")
    warm.get("content/")
    with django_capture_on_commit_callbacks(execute=True):
        User.objects.get(pk=student.user_id).delete()
    assert refusal(warm.get("wallet/")) == (401, "SESSION_UNKNOWN")
    left = {
        name.decode()
        for name in redis_client.scan_iter("*")
        if not name.startswith(b"rate_limit:")
    }
    assert left == {keys.active_session(student.pk)}
    assert redis_client.get(keys.active_session(student.pk)) == b"v0|none"
    assert redis_client.ttl(keys.active_session(student.pk)) > 0
