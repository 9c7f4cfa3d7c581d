"""The admin's sign-in: limits on wrong passwords per account and address."""

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client
from django.urls import reverse

from players.models import User
from tests.players.app import PASSWORD
from tests.players.test_credentials import SPELLINGS

pytestmark = pytest.mark.django_db
EMAIL = "lina@school.example"
LIMIT = 4
HERE, ELSEWHERE = "198.51.100.1", "198.51.100.2"


@pytest.fixture(autouse=True)
def behind_a_proxy(settings):
    settings.AXES_FAILURE_LIMIT = LIMIT
    settings.TRUSTED_PROXIES = 1


@pytest.fixture
def lina(db):
    return User.objects.create_superuser(EMAIL, PASSWORD, full_name="Lina")


def sign_in(username=EMAIL, password=PASSWORD, address=HERE):
    """Return the status of a sign-in that came through nginx and its Unix socket."""
    answer = Client(headers={"X-Forwarded-For": address}, REMOTE_ADDR="").post(
        reverse("admin:login"), {"username": username, "password": password}
    )
    return answer.status_code


def fail(times=LIMIT, spellings=(EMAIL,), address=HERE):
    for number in range(times):
        sign_in(spellings[number % len(spellings)], "wrong", address)


def test_the_right_password_signs_in(lina):
    fail(LIMIT - 1)
    assert sign_in() == 302


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_after_too_many_failures_the_right_password_is_refused(lina, spelling):
    fail()
    assert sign_in(spelling) == 429


def test_failures_of_every_spelling_count_together(lina):
    fail(spellings=SPELLINGS)
    assert sign_in() == 429


def test_another_address_and_another_account_are_not_affected(lina):
    User.objects.create_superuser("omar@school.example", PASSWORD)
    fail()
    assert sign_in(address=ELSEWHERE) == 302
    assert sign_in("omar@school.example") == 302


def test_an_account_and_an_address_are_not_run_together(lina):
    """“…example1” at 2.3.4.5 is not “…example” at 12.3.4.5."""
    fail(spellings=(f"{EMAIL}1",), address="2.3.4.5")
    assert sign_in(address="12.3.4.5") == 302


def test_an_ipv6_network_counts_as_one_address(lina):
    for number in range(LIMIT):
        fail(1, address=f"2001:db8:1:2::{number:x}")
    assert sign_in(address="2001:db8:1:2:ffff:ffff:ffff:ffff") == 429
    assert sign_in(address="2001:db8:1:3::1") == 302


def test_an_ipv4_address_in_ipv6_form_is_the_ipv4_address(lina):
    fail(address=f"::ffff:{HERE}")
    assert sign_in() == 429
    assert sign_in(address=f"::ffff:{ELSEWHERE}") == 302


def test_a_refused_sign_in_hashes_nothing(lina, monkeypatch):
    fail()

    def hashed(*_args):
        pytest.fail("a password was hashed")

    for name in ("encode", "verify", "harden_runtime"):
        monkeypatch.setattr(MD5PasswordHasher, name, hashed)
    assert sign_in() == 429
    assert sign_in(password="wrong e\u0301") == 429


def test_a_refusal_says_how_long_to_wait_and_does_not_prolong_it(lina, redis_client):
    fail()
    (name,) = redis_client.scan_iter("*axes*")
    redis_client.pexpire(name, 500_000)
    answer = Client(headers={"X-Forwarded-For": HERE, "Accept": "text/html"}).post(
        reverse("admin:login"), {"username": EMAIL, "password": PASSWORD}
    )
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) == 3600
    assert "Too many attempts" in answer.content.decode()
    assert redis_client.pttl(name) <= 500_000


def test_no_address_and_no_account_stands_in_redis(lina, redis_client):
    fail()
    held = b" ".join(redis_client.scan_iter("*"))
    assert b"lina" not in held
    assert HERE.encode() not in held


def test_without_redis_staff_sign_in_and_a_wrong_password_is_refused(lina, monkeypatch):
    from django_redis.client import DefaultClient
    from django_redis.exceptions import ConnectionInterrupted
    from redis.exceptions import TimeoutError as RedisTimeoutError

    def away(*_args, **_kwargs):
        raise ConnectionInterrupted(connection=None) from RedisTimeoutError()

    for name in ("get", "set", "incr", "touch", "add"):
        monkeypatch.setattr(DefaultClient, name, away)
    assert sign_in(password="wrong") == 200
    assert sign_in() == 302


# --- The other view that takes a staff password --------------------------------------


def change(client, old_password):
    return client.post(
        reverse("admin:password_change"),
        {
            "old_password": old_password,
            "new_password1": "another horse 8",
            "new_password2": "another horse 8",
        },
    )


def test_an_old_password_cannot_be_guessed_at_the_change_form(lina, settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"password_change": (LIMIT, 60)}
    client = Client()
    client.force_login(lina)
    for _ in range(LIMIT):
        page = change(client, "wrong")
        assert page.context["form"].errors["old_password"]
    refused = change(client, PASSWORD)
    assert "Too many" in str(refused.context["form"].errors["old_password"])
    lina.refresh_from_db()
    assert lina.check_password(PASSWORD)


def test_changing_a_password_uses_up_no_attempt(lina, settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"password_change": (1, 60)}
    client = Client()
    client.force_login(lina)
    assert change(client, PASSWORD).status_code == 302
    assert change(client, "another horse 8").status_code == 302


def test_a_refused_change_hashes_nothing(lina, settings, monkeypatch):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"password_change": (0, 60)}
    client = Client()
    client.force_login(lina)

    def hashed(*_args):
        pytest.fail("a password was hashed")

    for name in ("encode", "verify", "harden_runtime"):
        monkeypatch.setattr(MD5PasswordHasher, name, hashed)
    assert change(client, PASSWORD).status_code == 200
