"""Signing in to the students' pages, and what a session of them opens."""

import time
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from players.models import SecurityEvent
from players.services import accounts, erasure
from registrar.inbox.verifiers import signature
from registrar.models import StudentAccount, StudentToken
from registrar.student_pages import access, linking
from registrar.student_pages.pages import COOKIE
from tests.players.app import PASSWORD
from tests.players.services.test_races import race

SIGN_IN = "/student/sign-in/"


@pytest.fixture
def player(db):
    return accounts.create_player("layla@home.example", PASSWORD, "Layla")


def credentials(password=PASSWORD):
    return {"email": "layla@home.example", "password": password}


def link_for(person):
    token, _expires = access.create_link(person.student, now=timezone.now())
    return f"/student/link/?token={token}"


def test_a_player_signs_in_as_the_student_that_staff_have_linked(layla, player, client):
    linking.link(layla.student, player)
    answer = client.post(SIGN_IN, credentials(), follow=True)
    assert answer.redirect_chain == [("/student/", 302)]
    assert "نابلس" in answer.content.decode()


def test_an_equal_address_alone_signs_nobody_in(layla, player, client):
    layla.student.academic_email = "layla@home.example"
    layla.student.save()
    answer = client.post(SIGN_IN, credentials())
    assert answer.status_code == 200
    assert COOKIE not in answer.cookies


def test_a_wrong_password_is_refused_and_recorded(layla, player, client):
    linking.link(layla.student, player)
    answer = client.post(SIGN_IN, credentials("wrong"))
    assert COOKIE not in answer.cookies
    assert SecurityEvent.objects.filter(user=player.user, type="refused").exists()


def test_wrong_passwords_are_limited_together_with_those_of_the_app(
    layla, player, client, settings, redis_client
):
    linking.link(layla.student, player)
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"login_account": (2, 300)}
    for _attempt in range(2):
        client.post(SIGN_IN, credentials("wrong"))
    assert COOKIE not in client.post(SIGN_IN, credentials()).cookies


def test_a_link_opens_the_pages_once(layla):
    address = link_for(layla)
    browser, other = Client(), Client()
    assert browser.get(address).status_code == 200, "looking at it uses nothing up"
    assert browser.post(address).status_code == 302
    assert browser.get("/student/").status_code == 200
    assert other.post(address).status_code == 410
    assert other.get(address).status_code == 410
    assert other.get("/student/").status_code == 302


def test_a_link_expires_after_five_minutes(layla):
    long_ago = timezone.now() - access.LINK_AGE - timedelta(seconds=1)
    token, _expires = access.create_link(layla.student, now=long_ago)
    assert Client().post(f"/student/link/?token={token}").status_code == 410


def test_a_session_ends_after_eight_hours(layla):
    StudentToken.objects.update(expires_at=timezone.now())
    assert layla.client.get("/student/").headers["Location"] == SIGN_IN


def test_a_deleted_student_is_signed_out(layla):
    address = link_for(layla)
    layla.student.deleted_at = timezone.now()
    layla.student.save()
    assert layla.client.get("/student/").status_code == 302
    assert Client().post(address).status_code == 410


def test_signing_out_ends_the_session_on_the_server(layla):
    cookie = layla.client.cookies[COOKIE].value
    layla.client.post("/student/sign-out/")
    assert access.student_of(cookie, now=timezone.now()) is None


def test_tokens_are_stored_as_hashes_and_neither_is_the_other(layla):
    now = timezone.now()
    token, _expires = access.create_link(layla.student, now=now)
    session = layla.client.cookies[COOKIE].value
    stored = set(StudentToken.objects.values_list("sha256", flat=True))
    assert not {token, session} & stored
    assert access.student_of(token, now=now) is None
    assert access.use_link(session, now=now) is None


def test_the_cookie_is_for_these_pages_and_no_script(layla, settings):
    cookie = layla.client.cookies[COOKIE]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == (
        "/student/",
        True,
        "Lax",
    )
    assert COOKIE != django_settings.SESSION_COOKIE_NAME


def test_the_session_opens_neither_the_admin_nor_the_api(layla):
    assert layla.client.get("/admin/").status_code == 302
    assert layla.client.get("/api/v1/me/").status_code == 401


def test_the_admin_s_session_does_not_open_a_student_s_pages(layla, admin_client):
    assert admin_client.get("/student/").status_code == 302


def test_a_form_without_csrf_token_is_refused(layla):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = layla.client.cookies
    assert strict.post("/student/sign-out/").status_code == 403


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_of_two_uses_of_a_link_at_once_one_succeeds(layla):
    address = link_for(layla)
    answers = race(*[lambda: Client().post(address).status_code] * 2)
    assert sorted(answers) == [302, 410]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ledger", erasure.LEDGERS)
def test_erasing_the_player_ends_the_link_and_the_session(
    layla, player, settings, ledger, redis_client
):
    settings.ERASED_LEDGER = ledger
    linking.link(layla.student, player)
    erasure.erase(player_id=player.pk, now=timezone.now())
    assert not StudentAccount.objects.exists()
    assert layla.client.get("/student/").status_code == 302


def test_pairs_have_the_same_address_and_no_other_student_has_it(layla, omar, player):
    layla.student.academic_email = "Layla@Home.example"
    layla.student.save()
    assert [(one.student, one.player) for one in linking.pairs()] == [
        (layla.student, player)
    ]
    omar.student.academic_email = "layla@home.example"
    omar.student.save()
    assert list(linking.pairs()) == []


def test_a_player_is_one_student_at_most(layla, omar, player):
    assert linking.link(layla.student, player)
    assert not linking.link(omar.student, player)
    assert linking.student_of(player.pk) == layla.student


def test_the_command_lists_pairs_and_links_them_on_demand(layla, player, capsys):
    layla.student.academic_email = "layla@home.example"
    layla.student.save()
    call_command("link_students")
    out = capsys.readouterr().out
    assert layla.student.zoho_id in out
    assert "layla@home.example" in out
    assert not StudentAccount.objects.exists()
    call_command("link_students", "--apply")
    assert StudentAccount.objects.get().player == player


def test_nginx_asks_for_a_session_before_it_takes_a_receipt(layla, client):
    assert layla.client.get("/student/may-send/").status_code == 204
    assert client.get("/student/may-send/").status_code == 401


# --- Links for Moodle ----------------------------------------------------------------

KEY = "a-key-of-moodle-that-is-long-enough"


@pytest.fixture
def ask(layla, settings, client):
    """Return a function that asks for a link as Moodle does."""
    settings.STUDENT_LINK_KEYS = ["an-older-key-of-moodle-just-as-long", KEY]
    settings.REGISTRAR_HMAC_KEYS = ["a-key-of-the-inbox-that-is-long-too"]
    layla.student.moodle_id = 42
    layla.student.save()

    def send(body=b'{"moodle_id": 42}', *, key=KEY, ago=0, spell=str):
        stamp = str(int(time.time()) - ago)
        return client.post(
            "/api/v1/student-links/",
            body,
            content_type="application/json",
            headers={
                "x-registrar-timestamp": stamp,
                "x-registrar-signature": spell(
                    signature(key, timestamp=stamp, body=body)
                ),
            },
        )

    return send


def test_moodle_gets_a_link_that_opens_the_student_s_pages(ask):
    answer = ask()
    assert answer.status_code == 200
    address = answer.json()["url"].removeprefix("http://127.0.0.1:8000")
    browser = Client()
    assert browser.post(address).status_code == 302
    assert "نابلس" in browser.get("/student/").content.decode()


def test_a_key_of_the_inbox_gets_no_link(ask, settings):
    assert ask(key=settings.REGISTRAR_HMAC_KEYS[0]).status_code == 401
    assert not StudentToken.objects.filter(purpose="link").exists()


def test_a_signed_request_is_accepted_once(ask):
    with time_machine.travel(timezone.now(), tick=False):
        assert ask().status_code == 200
        again = ask()
        assert again.status_code == 401
        assert "was used" in again.json()["message"]
        assert StudentToken.objects.filter(purpose="link").count() == 1
        assert ask(b'{"moodle_id": 42, "nonce": "7"}').status_code == 200


def test_a_signature_ahead_of_our_clock_is_accepted_once(ask):
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        assert ask(ago=-299).status_code == 200
    with time_machine.travel(now + timedelta(seconds=598), tick=False):
        assert ask(ago=299).status_code == 401


def test_another_spelling_of_a_used_signature_gets_no_link(ask, client):
    with time_machine.travel(timezone.now(), tick=False):
        assert ask().status_code == 200
        assert ask(spell=lambda sent: f"sha256={sent.upper()}").status_code == 401


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_of_two_uses_of_a_signature_at_once_one_gets_a_link(ask):
    with time_machine.travel(timezone.now(), tick=False):
        statuses = race(lambda: ask().status_code, lambda: ask().status_code)
    assert sorted(statuses) == [200, 401]


def test_an_old_signature_gets_no_link(ask):
    assert ask(ago=301).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"moodle_id": 43}', 404),
        (b'{"moodle_id": "42"}', 400),
        (b'{"moodle_id": true}', 400),
        (b'{"moodle_id": 99999999999999999999}', 400),
        (b"[]", 400),
        (b"{", 400),
        (b" " * 1_001, 413),
    ],
)
def test_a_body_that_names_no_student_gets_no_link(ask, body, status):
    assert ask(body).status_code == status


def test_without_a_key_there_are_no_links_and_deleted_students_have_none(
    ask, layla, settings
):
    layla.student.deleted_at = timezone.now()
    layla.student.save()
    assert ask().status_code == 404
    settings.STUDENT_LINK_KEYS = []
    assert ask().status_code == 404
