"""The students' API behind its short chain of middleware."""

import io
import json
import logging.config

import pytest
import structlog
from django.contrib.auth.models import Group
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.urls import clear_url_caches, path
from django.utils import translation

from core import time_budget
from memora_site import logs, request_log, urls
from plans.models import AcademicPlan
from players.models import SecurityEvent, User
from players.services import accounts
from tests.players.app import PASSWORD, App

BEARER = {"Authorization": "Bearer 42.hunter2"}
LANGUAGE_HEADERS = [
    ("ar", "ar"),
    ("en-GB,en;q=0.8", "en"),
    ("fr, ar;q=0.5", "ar"),
    ("fr", "en"),
    ("", "en"),
    ("%%%", "en"),
]


def tell(_request: HttpRequest, word: str = "") -> JsonResponse:
    structlog.get_logger("a.service").info("inside")
    return JsonResponse(
        {"language": translation.get_language(), "limited": time_budget.is_limited()}
    )


def fail(_request: HttpRequest) -> None:
    raise RuntimeError("hunter2")


def ask_database(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"accounts": User.objects.count()})


class Site:
    urlpatterns = [
        path("api/v1/tell/", tell),
        path("api/v1/tell/<str:word>/", tell),
        path("api/v1/admin/tell/", tell),
        path("api/v1/fail/", fail),
        path("api/v1/ask/", ask_database),
        path("tell/", tell),
        *urls.urlpatterns,
    ]
    handler400 = urls.handler400
    handler403 = urls.handler403
    handler404 = urls.handler404
    handler500 = urls.handler500


@pytest.fixture
def site(settings) -> Client:
    settings.ROOT_URLCONF = Site
    clear_url_caches()
    return Client(raise_request_exception=False)


@pytest.fixture
def lines(settings):
    """Log as in production; return a function that returns the parsed lines."""
    config = logs.logging_config(json=True, level="INFO")
    written = io.StringIO()
    config["handlers"]["stderr"]["stream"] = written
    logging.config.dictConfig(config)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logging.config.dictConfig(settings.LOGGING)


@pytest.fixture
def app(db, django_capture_on_commit_callbacks) -> App:
    """A student's app, signed in."""
    plan = AcademicPlan.objects.create(
        title="Grade 5", public_id="PLAN-5", is_published=True
    )
    accounts.create_player("lina@school.example", PASSWORD, "Lina", plan=plan)
    app = App()
    with django_capture_on_commit_callbacks(execute=True):
        assert app.sign_in("lina@school.example").status_code == 200
    return app


@pytest.fixture
def database_away(monkeypatch) -> None:
    def refuse(_connection: BaseDatabaseWrapper) -> None:
        raise OperationalError(2002, "Can't connect to server")

    monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", refuse)


# --- What every answer has ------------------------------------------------------------


@pytest.mark.parametrize("uri", ["tell/", "nothing/here/", "fail/", "wallet/"])
def test_every_answer_has_the_security_headers(site, uri):
    answer = site.get(f"/api/v1/{uri}", headers=BEARER)

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert {name.strip() for name in answer.headers["Vary"].split(",")} == {
        "origin",
        "Accept-Language",
    }
    assert "Strict-Transport-Security" not in answer.headers
    assert not answer.cookies


def test_over_https_the_browser_is_told_to_stay_there(site, settings):
    settings.SECURE_HSTS_SECONDS = 60
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    answer = site.get("/api/v1/tell/", headers=BEARER, secure=True)
    assert answer.headers["Strict-Transport-Security"] == (
        "max-age=60; includeSubDomains; preload"
    )


def test_without_https_production_redirects_to_it(site, settings):
    settings.SECURE_SSL_REDIRECT = True
    answer = site.get("/api/v1/tell/", headers=BEARER)
    assert answer.status_code == 301
    assert answer["Location"] == "https://testserver/api/v1/tell/"
    assert site.get("/api/v1/tell/", headers=BEARER, secure=True).status_code == 200


def test_another_host_is_refused_each_time(site):
    for _again in range(2):
        assert site.get("/api/v1/tell/", headers=BEARER).status_code == 200
        answer = site.get("/api/v1/tell/", headers=BEARER | {"Host": "evil.example"})
        assert (answer.status_code, answer.json()["error_code"]) == (
            400,
            "INVALID_BODY",
        )


@pytest.mark.parametrize(("accepted", "language"), LANGUAGE_HEADERS)
def test_the_language_is_that_of_the_header(site, accepted, language):
    answer = site.get("/api/v1/tell/", headers=BEARER | {"Accept-Language": accepted})
    assert answer.json()["language"] == language
    assert answer.headers["Content-Language"] == language


def test_a_language_that_was_chosen_for_the_admin_is_not_the_apps(site):
    site.cookies["django_language"] = "ar"
    assert site.get("/api/v1/tell/", headers=BEARER).json()["language"] == "en"


def test_an_origin_that_is_allowed_is_told_so(site, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.org"]
    asked = BEARER | {"Origin": "https://app.example.org"}
    answer = site.get("/api/v1/tell/", headers=asked)
    assert answer["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert "Retry-After" in answer["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    other = site.get(
        "/api/v1/tell/", headers=BEARER | {"Origin": "https://evil.example"}
    )
    assert "Access-Control-Allow-Origin" not in other.headers


def test_an_unknown_path_and_an_error_of_ours_are_json(site, caplog):
    answer = site.get("/api/v1/nothing/here/", headers=BEARER)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "NOT_FOUND")
    answer = site.get("/api/v1/fail/", headers=BEARER)
    assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")
    assert b"hunter2" not in answer.content
    assert any(
        record.exc_info and str(record.exc_info[1]) == "hunter2"
        for record in caplog.records
    )


# --- Which requests -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "headers", "limited"),
    [
        ("/api/v1/tell/", BEARER, True),
        ("/api/v1/tell/", {"Authorization": "bearer 42.x"}, True),
        ("/api/v1/tell/", {}, False),
        ("/api/v1/tell/", {"Authorization": "Basic 42"}, False),
        ("/api/v1/admin/tell/", BEARER, False),
        ("/tell/", BEARER, False),
    ],
)
def test_the_short_chain_is_for_students(site, uri, headers, limited):
    answer = site.get(uri, headers=headers)
    assert answer.json()["limited"] is limited
    short = answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert short is limited
    assert not time_budget.is_limited()


def test_a_preflight_needs_no_token(site, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.org"]
    answer = site.options(
        "/api/v1/auth/login/",
        headers={
            "Origin": "https://app.example.org",
            "Access-Control-Request-Method": "POST",
        },
    )
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.org"


def test_a_session_cookie_is_not_looked_at(app, django_assert_num_queries):
    app.get("auth/session/")
    app.client.cookies["sessionid"] = "a" * 32
    with django_assert_num_queries(0):
        assert app.get("auth/session/").status_code == 200


def test_staff_are_not_kept_out_by_a_token(db, site):
    manager = User.objects.create_user("mona@school.example", PASSWORD, is_staff=True)
    manager.groups.add(Group.objects.get(name="System Managers"))
    site.force_login(manager, "django.contrib.auth.backends.ModelBackend")
    answer = site.post(
        "/api/v1/admin/wallets/sync/",
        {"force": False},
        content_type="application/json",
        headers=BEARER,
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("uri", ["auth/session", "auth/session/", "wallet", "wallet/"])
def test_a_path_is_found_with_and_without_its_slash(app, uri):
    assert app.get(uri).status_code == 200


def test_a_post_without_the_slash_is_not_redirected(app, site, db):
    assert app.post("auth/logout").json() == {"message": "You are signed out."}
    again = App(app.device_id)
    answer = again.post(
        "auth/login", {"email": "lina@school.example", "password": PASSWORD}
    )
    assert answer.status_code == 200
    refused = site.post("/api/v1/lessons/LES-1/complete", {}, "application/json")
    assert refused.status_code == 401
    refused = site.post("/api/v1/admin/wallets/sync", {}, "application/json")
    assert refused.status_code == 401


def test_a_refusal_is_in_the_audit_trail(app):
    """The app's token from another device."""
    other = App()
    other.token = app.token
    answer = other.get("wallet/")
    assert (answer.status_code, answer.json()["error_code"]) == (
        403,
        "DEVICE_MISMATCH",
    )
    event = SecurityEvent.objects.latest("pk")
    assert event.details["code"] == "DEVICE_MISMATCH"
    assert event.ip_address == "127.0.0.1"


# --- The log --------------------------------------------------------------------------


def test_a_request_is_one_line_under_the_id_of_all_its_lines(site, lines):
    site.get("/api/v1/tell/?token=hunter2", headers=BEARER)

    inside, finished = lines()
    assert inside["event"] == "inside"
    assert finished["event"] == "request_finished"
    assert finished["request"] == "GET /api/v1/tell/"
    assert finished["code"] == 200
    assert finished["level"] == "info"
    assert finished["logger"] == "memora_site.requests"
    assert finished["timestamp"].endswith("Z")
    assert finished["request_id"] == inside["request_id"]
    assert finished["ms"] >= 0
    assert "hunter2" not in json.dumps([inside, finished])
    assert "127.0.0.1" not in json.dumps([inside, finished])


def test_requests_have_different_ids_and_keep_nothing_of_others(app, lines):
    app.get("wallet/")
    Client().get("/api/v1/nothing/", headers=BEARER)

    first, second = (line for line in lines() if line["event"] == "request_finished")
    assert first["player_id"]
    assert "player_id" not in second
    assert first["request_id"] != second["request_id"]


def test_a_refused_request_is_a_warning(site, lines):
    site.get("/api/v1/nothing/here/", headers=BEARER)
    [line] = lines()
    assert (line["code"], line["level"]) == (404, "warning")


def test_a_failed_request_is_one_line_with_its_traceback(site, lines):
    site.get("/api/v1/fail/", headers=BEARER)
    [line] = lines()
    assert line["event"] == "request_failed"
    assert "RuntimeError" in line["exception"]
    assert line["request_id"]


@pytest.mark.parametrize(
    ("word", "logged"),
    [
        ("LES-7K3M9QX2VB", "tell/LES-7K3M9QX2VB/"),
        ("sara@school.example", "tell/[removed]/"),
        ("token=hunter2", "tell/token=[removed]"),
        ("x" * 300, f"tell/{'x' * 300}/"),
    ],
)
def test_no_secret_of_a_path_is_logged(site, lines, word, logged):
    site.get(f"/api/v1/tell/{word}/", headers=BEARER)
    assert lines()[-1]["request"] == f"GET /api/v1/{logged}"


def test_a_path_that_is_logged_as_it_is_needs_no_cleaning():
    for word in ("token", "password", "Bearer", "authorization", "cookie", "sessionid"):
        for end in ("", "-", "_", "/", "-hunter2", "_hunter2", "/hunter2", "9"):
            path_ = f"/api/v1/{word}{end}/{word}{end}"
            assert request_log._PLAIN_PATH.fullmatch(path_)
            assert logs.redact(path_) == path_


def test_in_a_terminal_the_line_is_readable(site, settings):
    config = logs.logging_config(json=False, level="INFO")
    written = io.StringIO()
    config["handlers"]["stderr"]["stream"] = written
    logging.config.dictConfig(config)
    site.get("/api/v1/nothing/here/", headers=BEARER)
    logging.config.dictConfig(settings.LOGGING)
    assert "request_finished" in written.getvalue()
    assert "GET /api/v1/nothing/here/" in written.getvalue()


# --- The database away ----------------------------------------------------------------


def test_a_session_cookie_costs_no_query_before_a_view_asks_for_it(client):
    """Without the database's fixture, a query fails the test."""
    client.cookies["sessionid"] = "a" * 32
    assert client.get("/healthz").status_code == 200


def test_a_student_is_told_to_try_again(site, database_away):
    answer = site.get("/api/v1/ask/", headers=BEARER)
    assert (answer.status_code, answer.json()["error_code"]) == (
        503,
        "SERVICE_UNAVAILABLE",
    )
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize("uri", ["/admin/", "/nothing/here/"])
@pytest.mark.parametrize("language", ["en", "ar"])
def test_staff_are_told_in_words(database_away, language, uri):
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "a" * 32
    client.cookies["django_language"] = language
    answer = client.get(uri, headers={"Accept": "text/html"})
    page = answer.content.decode()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert f'lang="{language}"' in page
    if language == "en":
        assert "Try again in a moment" in page


def test_the_admins_scripts_are_told_as_json(database_away):
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "a" * 32
    answer = client.get("/admin/content/node/")
    assert answer.status_code == 503
    assert "Try again" in answer.json()["error"]


def test_staff_of_the_api_are_told_as_json(database_away):
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "a" * 32
    answer = client.get("/api/v1/admin/devices/?player_id=1")
    assert (answer.status_code, answer.json()["error_code"]) == (
        503,
        "SERVICE_UNAVAILABLE",
    )


# --- Content negotiation --------------------------------------------------------------


@pytest.mark.parametrize("accepted", ["text/html", "application/xml", "nonsense", ""])
def test_the_api_answers_json_whatever_is_accepted(app, accepted):
    answer = app.client.get(
        "/api/v1/auth/session/?format=html",
        headers=app._headers() | {"Accept": accepted},
    )
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
def test_a_body_is_json_or_refused(app, content_type, status):
    answer = Client().post(
        "/api/v1/auth/login/",
        json.dumps({"email": "lina@school.example", "password": PASSWORD}),
        content_type=content_type,
        headers={"X-Device-ID": app.device_id},
    )
    assert answer.status_code == status
