"""Signing in to the students' pages, and what a session of them opens."""

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone

from players.models import SecurityEvent
from players.services import accounts, erasure
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
