"""How sessions end; each reason has its own error code."""

import uuid
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from memora_site.error_codes import ERROR_CODES
from players.errors import StoreAwayError
from players.models import (
    EndedSession,
    SecurityEvent,
    Session,
    SessionEndReason,
    User,
)
from players.services import devices, sessions
from tests.players.app import PASSWORD, App

EMAIL = "lina@school.example"
NEW_PASSWORD = "staple battery 9"

pytestmark = pytest.mark.django_db


@pytest.fixture
def committed(django_capture_on_commit_callbacks):
    """Return a context manager that runs on-commit callbacks, as after a request."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def warm(signed_in):
    assert signed_in.get("auth/session/").status_code == 200
    return signed_in


@pytest.fixture
def root(db):
    return User.objects.create_superuser("root@school.example", PASSWORD)


def refusal(answer):
    return answer.status_code, answer.json()["error_code"]


# --- One code per reason --------------------------------------------------------


def sign_in_again(app, student):
    App(app.device_id).sign_in(EMAIL)


def remove_device(app, student):
    devices.remove(player_id=student.pk, device_id=uuid.UUID(app.device_id))


def switch_off(app, student):
    User.objects.filter(pk=student.user_id).update(is_active=False)


def change_password(app, student):
    user = User.objects.get(pk=student.user_id)
    user.set_password(NEW_PASSWORD)
    user.save()


def age(column, days):
    def make_old(app, student):
        then = timezone.now() - timedelta(days=days)
        Session.objects.filter(player=student).update(**{column: then})

    return make_old


ENDS = {
    "replaced": (sign_in_again, 401, "SESSION_REPLACED"),
    "signed_out": (lambda app, _: app.post("auth/logout/"), 401, "SESSION_SIGNED_OUT"),
    "idle": (age("last_used_at", 90), 401, "SESSION_EXPIRED"),
    "too_old": (age("created_at", 400), 401, "SESSION_EXPIRED"),
    "device_removed": (remove_device, 401, "DEVICE_REMOVED"),
    "password_changed": (change_password, 401, "PASSWORD_CHANGED"),
    "deactivated": (switch_off, 403, "ACCOUNT_INACTIVE"),
    "ended_by_staff": (
        lambda _, student: sessions.end_session(
            student.pk, SessionEndReason.ENDED_BY_STAFF
        ),
        401,
        "SESSION_ENDED_BY_STAFF",
    ),
}


def test_every_reason_is_tried_here_and_has_a_status():
    assert ENDS.keys() == set(SessionEndReason)
    codes = [code for _end, _status, code in ENDS.values()]
    assert {ERROR_CODES[code].status for code in codes} == {401, 403}
    # "Idle" and "too old" share a code: in both cases the app signs in again.
    assert len(set(codes)) == len(codes) - 1


@pytest.mark.parametrize(("end", "status", "code"), ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("redis", ["warm", "lost", "away"])
def test_a_token_is_told_why_its_session_ended(
    warm, student, committed, redis_client, settings, tmp_path, end, status, code, redis
):
    with committed():
        end(warm, student)
    if redis == "lost":
        redis_client.flushdb()
    elif redis == "away":
        settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    answers = [warm.get("wallet/"), warm.get("wallet/")]
    assert [refusal(answer) for answer in answers] == [(status, code)] * 2
    assert ("WWW-Authenticate" in answers[0]) == (status == 401)


def test_a_token_keeps_its_own_reason_whatever_follows(warm, student, committed):
    first = App(warm.device_id)
    with committed():
        first.sign_in(EMAIL)
    second = App(warm.device_id)
    with committed():
        second.sign_in(EMAIL)
    with committed():
        second.post("auth/logout/")
    told = [refusal(app.get("wallet/"))[1] for app in (warm, first, second)]
    assert told == ["SESSION_REPLACED", "SESSION_REPLACED", "SESSION_SIGNED_OUT"]


def test_an_account_that_is_on_again_is_told_to_sign_in(warm, student, committed):
    with committed():
        switch_off(warm, student)
    with committed():
        User.objects.filter(pk=student.user_id).update(is_active=True)
    assert refusal(warm.get("wallet/")) == (401, "SESSION_ENDED_BY_STAFF")


def test_the_token_of_another_player_is_told_nothing_of_this_ones_session(
    warm, student, committed
):
    with committed():
        warm.post("auth/logout/")
    warm.token = f"{student.pk + 1}.{warm.token.partition('.')[2]}"
    assert refusal(warm.get("wallet/")) == (401, "SESSION_UNKNOWN")


def test_an_ended_token_that_is_sent_on_and_on_costs_no_more_queries(
    warm, committed, settings, django_assert_num_queries
):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"ended_token": (2, 60)}
    with committed():
        warm.post("auth/logout/")
    # The first one fills Redis's copy again and is not counted.
    told = [refusal(warm.get("wallet/"))[1] for _ in range(5)]
    assert told == ["SESSION_SIGNED_OUT"] * 3 + ["RATE_LIMITED"] * 2
    with django_assert_num_queries(0):
        assert warm.get("wallet/").status_code == 429
    assert SecurityEvent.objects.filter(type="rate_limited").count() == 1
    again = App(warm.device_id)
    with committed():
        assert again.sign_in(EMAIL).status_code == 200
    assert again.get("wallet/").status_code == 200


def test_only_the_hash_of_an_ended_token_is_kept(warm, committed):
    with committed():
        warm.post("auth/logout/")
    secret = warm.token.rpartition(".")[2]
    assert secret not in str(EndedSession.objects.values().get())


# --- Passwords ------------------------------------------------------------------


def by_save(user, **_cast):
    user.set_password(NEW_PASSWORD)
    user.save()


def by_saving_the_field(user, **_cast):
    user.set_password(NEW_PASSWORD)
    user.save(update_fields=["password"])


def by_a_ready_hash(user, **_cast):
    user.password = make_password(NEW_PASSWORD)
    user.save(update_fields=["password"])


def by_taking_it_away(user, **_cast):
    user.set_unusable_password()
    user.save()


def by_an_unread_row(user, **_cast):
    values = {field.attname: getattr(user, field.attname) for field in FIELDS}
    fresh = User(**values)
    fresh.set_password(NEW_PASSWORD)
    fresh.save()


def by_update(user, **_cast):
    User.objects.filter(pk=user.pk).update(password=make_password(NEW_PASSWORD))


def by_bulk_update(user, **_cast):
    user.set_password(NEW_PASSWORD)
    User.objects.bulk_update([user], ["password"])


def by_command(user, monkeypatch, **_cast):
    monkeypatch.setattr(
        "django.contrib.auth.management.commands.changepassword.getpass.getpass",
        lambda *_args, **_kwargs: NEW_PASSWORD,
    )
    call_command("changepassword", user.email, stdout=StringIO())


def by_the_admins_password_page(user, client, root, **_cast):
    client.force_login(root)
    page = client.post(
        reverse("admin:auth_user_password_change", args=[user.pk]),
        {
            "password1": NEW_PASSWORD,
            "password2": NEW_PASSWORD,
            "usable_password": "true",
            "set-password": "",
        },
    )
    assert page.status_code == 302


def by_the_own_password_page(user, client, **_cast):
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.force_login(user)
    page = client.post(
        reverse("admin:password_change"),
        {
            "old_password": PASSWORD,
            "new_password1": NEW_PASSWORD,
            "new_password2": NEW_PASSWORD,
        },
    )
    assert page.status_code == 302


FIELDS = User._meta.concrete_fields
DOORS = [
    by_save,
    by_saving_the_field,
    by_a_ready_hash,
    by_taking_it_away,
    by_an_unread_row,
    by_update,
    by_bulk_update,
    by_command,
    by_the_admins_password_page,
    by_the_own_password_page,
]


@pytest.mark.parametrize("door", DOORS)
def test_a_new_password_ends_the_players_session(
    warm, student, root, client, committed, monkeypatch, door
):
    user = User.objects.get(pk=student.user_id)
    with committed():
        door(user=user, client=client, root=root, monkeypatch=monkeypatch)
    assert refusal(warm.get("wallet/")) == (401, "PASSWORD_CHANGED")
    assert not Session.objects.exists()
    told = SecurityEvent.objects.filter(user_id=user.pk).values_list("type", "details")
    assert list(told.filter(type="password_changed")) == [("password_changed", {})]
    assert ("session_ended", {"reason": "password_changed"}) in told


def test_a_staff_members_other_sessions_end_and_the_own_goes_on(manager, client):
    from django.test import Client

    other = Client()
    other.force_login(manager)
    client.force_login(manager)
    body = {
        "old_password": PASSWORD,
        "new_password1": NEW_PASSWORD,
        "new_password2": NEW_PASSWORD,
    }
    assert client.post(reverse("admin:password_change"), body).status_code == 302
    assert client.get(reverse("admin:index")).status_code == 200
    assert other.get(reverse("admin:index")).status_code == 302


def test_saving_an_account_without_a_new_password_leaves_the_session(
    warm, student, committed
):
    user = User.objects.get(pk=student.user_id)
    user.full_name = "Lina M."
    with committed():
        user.save()
        User.objects.filter(pk=user.pk).update(full_name="Lina")
    assert warm.get("wallet/").status_code == 200
    assert not SecurityEvent.objects.filter(type="password_changed").exists()


def test_a_stronger_hash_of_the_same_password_is_no_change(
    warm, student, committed, settings
):
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]
    user = User.objects.get(pk=student.user_id)
    with committed():
        assert user.check_password(PASSWORD)
    assert User.objects.get(pk=user.pk).password.startswith("pbkdf2_sha1$")
    assert warm.get("wallet/").status_code == 200
    assert not SecurityEvent.objects.filter(type="password_changed").exists()


def test_a_password_changed_after_it_was_checked_starts_no_session(
    student, app, monkeypatch
):
    """The password changes between its check and the lock of the account."""
    lock = sessions.lock_player

    def change_first(player_id):
        monkeypatch.setattr(sessions, "lock_player", lock)
        change_password(app, student)
        return lock(player_id)

    monkeypatch.setattr(sessions, "lock_player", change_first)
    assert refusal(app.sign_in(EMAIL)) == (401, "INVALID_CREDENTIALS")
    assert not Session.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("door", [by_save, by_update])
def test_without_redis_no_password_changes_and_the_session_goes_on(
    student, app, settings, tmp_path, door
):
    app.sign_in(EMAIL)
    url = settings.REDIS_URL
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    user = User.objects.get(pk=student.user_id)
    with pytest.raises(StoreAwayError):
        door(user=user)
    settings.REDIS_URL = url
    assert User.objects.get(pk=user.pk).check_password(PASSWORD)
    assert app.get("wallet/").status_code == 200


@pytest.mark.parametrize("how", ["update", "bulk_update"])
def test_switching_off_in_bulk_ends_the_session(warm, student, committed, how):
    user = User.objects.get(pk=student.user_id)
    user.is_active = False
    with committed():
        if how == "update":
            User.objects.filter(pk=user.pk).update(is_active=False)
        else:
            User.objects.bulk_update([user], ["is_active"])
    assert refusal(warm.get("wallet/")) == (403, "ACCOUNT_INACTIVE")


def test_accounts_are_not_overwritten_in_bulk(student):
    user = User.objects.get(pk=student.user_id)
    with pytest.raises(ValueError, match="save"):
        User.objects.bulk_create(
            [user],
            update_conflicts=True,
            update_fields=["password"],
            unique_fields=["email"],
        )


# --- Age limits -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "column"),
    [("SESSION_IDLE_DAYS", "last_used_at"), ("SESSION_MAX_DAYS", "created_at")],
)
def test_the_limits_are_settings(warm, student, settings, committed, setting, column):
    setattr(settings, setting, 3)
    with committed():
        age(column, 2)(warm, student)
    assert warm.get("wallet/").status_code == 200
    with committed():
        age(column, 3)(warm, student)
    assert refusal(warm.get("wallet/")) == (401, "SESSION_EXPIRED")


def test_use_is_noted_by_the_hour(warm, student, redis_client, committed):
    with committed():
        age("last_used_at", 89)(warm, student)
    assert warm.get("wallet/").status_code == 200
    # Redis still holds the session; without that copy, the database is read.
    redis_client.flushdb()
    assert warm.get("wallet/").status_code == 200
    noted = Session.objects.get().last_used_at
    assert timezone.now() - noted < timedelta(days=1)
    redis_client.flushdb()
    assert warm.get("wallet/").status_code == 200
    assert Session.objects.get().last_used_at == noted


def test_noting_the_use_leaves_what_redis_holds(
    warm, student, redis_client, committed, django_assert_num_queries
):
    with committed():
        age("last_used_at", 2)(warm, student)
    redis_client.flushdb()
    with django_assert_num_queries(2):  # the state; its time of use
        assert warm.get("auth/session/").status_code == 200
    with django_assert_num_queries(0):
        assert warm.get("auth/session/").status_code == 200


@pytest.mark.parametrize(("column", "reason"), [("last_used_at", "idle")])
def test_the_hourly_task_ends_expired_sessions_with_an_audit_line(
    warm, student, committed, column, reason
):
    from players.tasks import end_expired_sessions

    with committed():
        end_expired_sessions()
    assert Session.objects.exists()
    with committed():
        age(column, 90)(warm, student)
    with committed():
        end_expired_sessions()
        end_expired_sessions()
    assert not Session.objects.exists()
    event = SecurityEvent.objects.get(type="session_ended")
    assert (event.user_id, event.details) == (student.user_id, {"reason": reason})
    assert refusal(warm.get("wallet/")) == (401, "SESSION_EXPIRED")


def test_a_sign_in_between_the_list_and_the_end_keeps_the_new_session(warm, student):
    now = timezone.now()
    ended = sessions.end_session(
        student.pk, SessionEndReason.IDLE, only_if=lambda _session: False
    )
    assert (ended, sessions.end_expired(now)) == (False, 0)
    assert Session.objects.exists()


def test_ends_are_forgotten_when_no_token_can_be_that_old(warm, student, committed):
    with committed():
        warm.post("auth/logout/")
    now = timezone.now()
    sessions.end_expired(now + timedelta(days=399))
    assert EndedSession.objects.exists()
    sessions.end_expired(now + timedelta(days=401))
    assert not EndedSession.objects.exists()
    assert refusal(warm.get("wallet/")) == (401, "SESSION_UNKNOWN")


# --- The first device -----------------------------------------------------------


def test_who_signed_in_to_the_admin_first_still_gets_a_first_device(
    manager, plan, client, app
):
    from players.models import PlayerProfile

    client.post(
        reverse("admin:login"), {"username": manager.email, "password": PASSWORD}
    )
    manager.refresh_from_db()
    assert manager.last_login is not None
    PlayerProfile.objects.create(user=manager)
    answer = app.sign_in(manager.email)
    assert answer.status_code == 200
    assert answer.json()["is_first_device"]


def test_the_admin_gives_no_second_first_device(
    signed_in, student, client, committed, root
):
    """A sign-in to the admin must not allow the app's first sign-in a second time."""
    User.objects.filter(pk=student.user_id).update(is_staff=True, last_login=None)
    with committed():
        remove_device(signed_in, student)
    assert refusal(signed_in.sign_in(EMAIL)) == (403, "DEVICE_NOT_AUTHORIZED")


def test_players_of_before_keep_their_first_sign_in(student, manager, plan):
    """The migration marks players who signed in to the app, not only to the admin."""
    from importlib import import_module

    from django.apps import apps

    from players import audit
    from players.models import PlayerProfile, SecurityEventType
    from players.services import accounts

    then = timezone.now()
    teacher = User.objects.create_user("t@school.example", PASSWORD, is_staff=True)
    fresh = accounts.create_player("omar@school.example", PASSWORD)
    for user in (manager, teacher):
        PlayerProfile.objects.create(user=user)
    audit.record(SecurityEventType.LOGIN, user_id=teacher.pk)
    signed_in = [student.user_id, manager.pk, teacher.pk]
    User.objects.filter(pk__in=signed_in).update(last_login=then)

    name = "players.migrations.0008_audit_and_sessions"
    import_module(name).mark_first_sign_ins(apps, None)

    marked = PlayerProfile.objects.filter(first_signed_in_at=then)
    assert set(marked.values_list("user_id", flat=True)) == {
        student.user_id,
        teacher.pk,
    }
    assert fresh.user_id not in marked.values_list("user_id", flat=True)
