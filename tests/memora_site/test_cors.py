"""Web apps of other origins: which may call the API, and how."""

import re

import pytest
from django.conf import settings as real_settings
from django.test import Client

APP = "https://app.example.org"
LOCAL = [
    "http://localhost:3000",
    "http://127.0.0.1:8081",
    "http://[::1]:5173",
    "http://10.0.2.2:3000",
    "https://localhost",
    "capacitor://localhost",
]
FOREIGN = [
    "https://evil.example",
    "http://localhost.evil.example",
    "http://localhost:3000.evil.example",
    "http://evil.example:3000/localhost",
    "http://10.0.2.20",
    "null",
]


def preflight(client: Client, origin: str, *, method: str = "POST"):
    return client.options(
        "/api/v1/auth/login/",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "content-type,x-device-id",
        },
    )


@pytest.fixture
def production(settings) -> None:
    """Answer as in production: no local origins are allowed."""
    settings.CORS_ALLOWED_ORIGIN_REGEXES = []


@pytest.mark.parametrize("origin", LOCAL)
def test_a_web_app_on_this_machine_may_call_the_api(client, db, origin):
    asked = preflight(client, origin)
    assert asked.status_code == 200
    assert asked["Access-Control-Allow-Origin"] == origin
    allowed = asked["Access-Control-Allow-Headers"].lower()
    for name in (
        *("authorization", "content-type", "idempotency-key", "if-none-match"),
        *("x-app-version", "x-device-id"),
    ):
        assert name in allowed
    answer = client.get("/api/v1/me/", headers={"Origin": origin})
    assert answer.status_code == 401
    assert answer["Access-Control-Allow-Origin"] == origin
    exposed = answer["Access-Control-Expose-Headers"].split(", ")
    assert {"Date", "ETag", "Retry-After"} <= set(exposed)


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_web_app_of_another_origin_may_not(client, db, origin):
    assert "Access-Control-Allow-Origin" not in preflight(client, origin)


@pytest.mark.parametrize("origin", [*LOCAL, *FOREIGN])
def test_in_production_no_origin_may_until_it_is_named(client, db, production, origin):
    assert "Access-Control-Allow-Origin" not in preflight(client, origin)


def test_an_origin_that_is_named_may(client, db, production, settings):
    settings.CORS_ALLOWED_ORIGINS = [APP]
    assert preflight(client, APP)["Access-Control-Allow-Origin"] == APP


@pytest.mark.parametrize("path", ["/admin/login/", "/healthz", "/i18n/setlang/"])
def test_nothing_but_the_api_is_for_other_origins(client, db, path):
    answer = client.get(path, headers={"Origin": LOCAL[0]})
    assert "Access-Control-Allow-Origin" not in answer


def test_no_origin_may_use_the_admin_s_session(client, db):
    answer = preflight(client, LOCAL[0])
    assert "Access-Control-Allow-Credentials" not in answer
    assert real_settings.CORS_URLS_REGEX == r"^/api/"
    assert not re.match(real_settings.CORS_URLS_REGEX, "/admin/")
