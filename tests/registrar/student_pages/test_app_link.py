"""The app asks for a link to the students' pages."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from players.services import accounts
from registrar.models import StudentToken
from registrar.student_pages import access, linking
from tests.players.app import PASSWORD, App

SITE = "http://127.0.0.1:8000"


@pytest.fixture
def player(db, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        return accounts.create_player("layla@home.example", PASSWORD, "Layla")


@pytest.fixture
def app(player, django_capture_on_commit_callbacks):
    app = App()
    with django_capture_on_commit_callbacks(execute=True):
        assert app.sign_in("layla@home.example").status_code == 200
    return app


def ask(app):
    return app.post("me/student-link/")


def test_the_link_opens_the_pages_of_the_student_that_the_player_is(
    app, player, layla, omar
):
    linking.link(layla.student, player)
    answer = ask(app)
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    address = answer.json()["url"].removeprefix(SITE)
    browser = Client()
    assert browser.post(address).status_code == 302
    assert "نابلس" in browser.get("/student/").content.decode()


def test_the_answer_says_when_the_link_expires(app, player, layla):
    linking.link(layla.student, player)
    now = timezone.now().replace(microsecond=0)
    with time_machine.travel(now, tick=False):
        answer = ask(app).json()
    expires = now + timedelta(minutes=5)
    assert answer["expires_at"] == expires.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_link_costs_three_queries(app, player, layla, django_assert_num_queries):
    linking.link(layla.student, player)
    ask(app)  # stores the session in Redis
    # The record; expired tokens; the new one.
    with django_assert_num_queries(3):
        ask(app)


@pytest.mark.parametrize(
    ("language", "word"), [("en", "registrar"), ("ar", "سجلات المدرسة")]
)
def test_a_player_without_a_record_gets_an_explanation(app, layla, language, word):
    answer = app.client.post(
        "/api/v1/me/student-link/",
        headers=app._headers() | {"Accept-Language": language},
    )
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "NO_SCHOOL_RECORD"
    assert word in answer.json()["message"]
    assert not StudentToken.objects.filter(purpose="link").exists()


def test_a_student_deleted_in_zoho_has_no_link(app, player, layla):
    linking.link(layla.student, player)
    layla.student.deleted_at = timezone.now()
    layla.student.save()
    assert ask(app).status_code == 404


def test_nobody_gets_a_link_without_a_session(layla):
    assert ask(App()).status_code == 401


def test_the_eleventh_link_in_five_minutes_is_refused(app, player, layla):
    linking.link(layla.student, player)
    assert {ask(app).status_code for _time in range(10)} == {201}
    assert ask(app).json()["error_code"] == "RATE_LIMITED"


def test_switching_the_account_off_ends_session_and_link_for_good(app, player, layla):
    linking.link(layla.student, player)
    address = ask(app).json()["url"].removeprefix(SITE)
    assert layla.client.get("/student/").status_code == 200
    for is_active in (False, True):
        player.user.is_active = is_active
        player.user.save()
        assert layla.client.get("/student/").status_code == 302
        assert Client().get(address).status_code == 410


def test_a_session_begun_while_the_account_is_switched_off_opens_nothing(player, layla):
    linking.link(layla.student, player)
    player.user.is_active = False
    player.user.save()
    now = timezone.now()
    assert (
        access.student_of(access.start_session(layla.student, now=now), now=now) is None
    )


def test_switching_off_another_account_ends_nothing(player, layla, omar):
    linking.link(omar.student, player)
    player.user.is_active = False
    player.user.save()
    assert layla.client.get("/student/").status_code == 200


def test_a_new_password_ends_the_session(player, layla):
    linking.link(layla.student, player)
    player.user.set_password("another-password-9")
    player.user.save()
    assert layla.client.get("/student/").status_code == 302


def test_a_password_that_the_player_changes_in_the_app_ends_no_session(
    app, player, layla
):
    linking.link(layla.student, player)
    body = {"current_password": PASSWORD, "new_password": "another-password-9"}
    assert app.post("me/password/", body).status_code == 204
    assert layla.client.get("/student/").status_code == 200
