"""A student changes their own password."""

import uuid

import pytest

from players import tokens
from players.errors import SessionReplacedError
from players.models import SecurityEvent, Session, User
from players.services import devices, passwords
from tests.players.app import PASSWORD, App

pytestmark = pytest.mark.django_db
EMAIL = "lina@school.example"
NEW = "another horse 8"


def ask(app: App, current: str = PASSWORD, new: str = NEW):
    body = {"current_password": current, "new_password": new}
    return app.post("me/password/", body)


def test_the_new_password_signs_in_and_the_old_one_does_not(signed_in):
    assert ask(signed_in).status_code == 204
    assert App(signed_in.device_id).sign_in(EMAIL).status_code == 401
    assert App(signed_in.device_id).sign_in(EMAIL, NEW).status_code == 200


@pytest.mark.parametrize("redis", ["warm", "lost"])
def test_the_app_stays_signed_in(signed_in, redis_client, redis):
    session = Session.objects.get()
    ask(signed_in)
    if redis == "lost":
        redis_client.flushdb()
    assert signed_in.get("auth/session/").status_code == 200
    assert Session.objects.get().token_sha256 == session.token_sha256


def test_the_change_is_in_the_audit_trail(signed_in, student):
    ask(signed_in)
    event = SecurityEvent.objects.get(type="password_changed")
    assert (event.user_id, event.actor_id, event.ip_address) == (
        *(student.user_id, None),
        "127.0.0.1",
    )
    assert not SecurityEvent.objects.filter(type="session_ended").exists()


def test_a_wrong_current_password_is_refused_and_counted_like_a_sign_in(
    signed_in, settings
):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"login_device": (3, 60)}
    before = User.objects.get().password
    for _guess in range(3):
        answer = ask(signed_in, "wrong")
        assert (answer.status_code, answer.json()["error_code"]) == (
            403,
            "WRONG_PASSWORD",
        )
    # The fourth guess is refused, as a sign-in on this device is.
    assert ask(signed_in).status_code == 429
    assert App(signed_in.device_id).sign_in(EMAIL).status_code == 429
    assert User.objects.get().password == before
    limited = SecurityEvent.objects.filter(type="rate_limited").order_by("pk")
    assert limited[0].details == {"endpoint": "me-password"}
    assert signed_in.get("auth/session/").status_code == 200


def test_a_refused_request_hashes_nothing(signed_in, settings, monkeypatch):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"login_device": (0, 60)}
    monkeypatch.setattr(User, "check_password", lambda *_args: pytest.fail("hashed"))
    assert ask(signed_in).status_code == 429


@pytest.mark.parametrize(
    ("new", "word"),
    [
        ("short", "too short"),
        ("password1234", "too common"),
        ("8164739164", "entirely numeric"),
        ("lina@school.example", "too similar"),
        ("", "1 to 1000"),
        (7, "text"),
        ("x" * 1001, "1 to 1000"),
        ("a\u0000b" * 5, "U+0000"),
    ],
)
def test_what_is_wrong_with_the_new_password_is_told_in_words(signed_in, new, word):
    answer = ask(signed_in, new=new)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_BODY")
    assert word in " ".join(answer.json()["details"]["fields"]["new_password"])
    assert App(signed_in.device_id).sign_in(EMAIL).status_code == 200


def test_an_app_that_was_signed_out_in_the_same_moment_changes_nothing(
    signed_in, student
):
    """The session check passed, and then the other device signed in."""
    tablet = App()
    devices.add(player_id=student.pk, device_id=uuid.UUID(tablet.device_id))
    token = tokens.parse(signed_in.token)
    assert tablet.sign_in(EMAIL).status_code == 200
    with pytest.raises(SessionReplacedError):
        passwords.change(
            token=token,
            device_id=uuid.UUID(signed_in.device_id),
            current=PASSWORD,
            new=NEW,
        )
    assert tablet.get("auth/session/").status_code == 200
    assert App(tablet.device_id).sign_in(EMAIL).status_code == 200


def test_a_password_that_staff_changed_in_the_same_moment_stays(
    signed_in, monkeypatch, student
):
    """The current password was right when it was checked."""
    checked = passwords.validate_password

    def change_meanwhile(password, user):
        checked(password, user)
        other = User.objects.get(pk=user.pk)
        other.set_password("of the staff 9")
        other.save(update_fields=["password"])

    monkeypatch.setattr(passwords, "validate_password", change_meanwhile)
    assert ask(signed_in).json()["error_code"] == "WRONG_PASSWORD"
    assert User.objects.get().check_password("of the staff 9")


def test_a_change_counts_its_queries(signed_in, django_assert_num_queries):
    signed_in.get("auth/session/")
    # The account; between two for the transaction: profile and account under lock, the
    # session, the old columns between two for a savepoint, password, audit event, reset
    # code.
    with django_assert_num_queries(12):
        ask(signed_in)
