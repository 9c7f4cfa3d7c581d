"""Errors outside of views: JSON for the API, HTML pages for people."""

import errno
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connection,
)
from django.http import HttpRequest
from django.test import Client
from django.urls import clear_url_caches, path, reverse
from redis import exceptions as redis_errors
from rest_framework.viewsets import ViewSet

from memora_site import urls
from players.models import User


def fail(_request: HttpRequest) -> None:
    raise RuntimeError("hunter2")


def too_much(_request: HttpRequest) -> None:
    raise SuspiciousOperation("hunter2")


def forbidden(_request: HttpRequest) -> None:
    raise PermissionDenied("hunter2")


class Broken:
    """The site's URLs and some that fail."""

    urlpatterns = [
        path("api/v1/fail/", fail),
        path("fail/", fail),
        path("api/v1/too-much/", too_much),
        path("too-much/", too_much),
        path("forbidden/", forbidden),
        *urls.urlpatterns,
    ]
    handler400 = urls.handler400
    handler403 = urls.handler403
    handler404 = urls.handler404
    handler500 = urls.handler500


@pytest.fixture
def broken(settings) -> Client:
    settings.ROOT_URLCONF = Broken
    return Client(raise_request_exception=False)


def test_an_unknown_api_path_is_json(client: Client):
    response = client.get("/api/v1/nothing/here/")

    assert response.status_code == 404
    assert response.json() == {
        "error_code": "NOT_FOUND",
        "message": "Not found.",
    }


def test_an_unknown_page_is_a_page(client: Client):
    response = client.get("/nothing/here/")

    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


def test_an_error_of_ours_is_json_under_api_and_tells_nothing(broken: Client):
    response = broken.get("/api/v1/fail/")

    assert response.status_code == 500
    assert response.json()["error_code"] == "INTERNAL_ERROR"
    assert b"hunter2" not in response.content


def test_an_error_of_ours_is_a_page_elsewhere_and_tells_nothing(broken: Client):
    response = broken.get("/fail/")

    assert response.status_code == 500
    assert response["Content-Type"].startswith("text/html")
    assert b"hunter2" not in response.content


def test_a_malformed_api_request_is_json(broken: Client):
    response = broken.get("/api/v1/too-much/")

    assert response.status_code == 400
    assert response.json()["error_code"] == "INVALID_BODY"


@pytest.mark.parametrize("path", ["/", "/api/v1/me/", "/healthz"])
def test_another_host_is_refused_without_a_traceback(client: Client, path: str):
    response = client.get(path, headers={"host": "evil.example"})

    assert response.status_code == 400
    assert b"Traceback" not in response.content
    assert b"evil.example" not in response.content


@pytest.mark.parametrize("path", ["/%00", "/api/v1/%FF/", "/files/%2e%2e/%2e%2e/x"])
def test_a_strange_path_is_not_found(client: Client, path: str):
    assert client.get(path).status_code == 404


def test_the_root_leads_to_the_admin(client: Client):
    response = client.get("/")

    assert response.status_code == 302
    assert response["Location"] == "/admin/"


# --- A database or Redis that fails ---------------------------------------------------

AWAY = [
    OperationalError(2002, "Can't connect to server"),
    OperationalError(2006, "Server has gone away"),
    OperationalError(2013, "Lost connection to server during query"),
    OperationalError(1040, "Too many connections"),
    OperationalError(1205, "Lock wait timeout exceeded"),
    OperationalError(1213, "Deadlock found"),
    OperationalError("database is locked"),
    OperationalError("unable to open database file"),
    InterfaceError(0, ""),
    # What Django does not wrap.
    connection.Database.OperationalError(2006, ""),
    connection.Database.InterfaceError(0, ""),
    redis_errors.ConnectionError("refused"),
    redis_errors.TimeoutError("too slow"),
    redis_errors.BusyLoadingError("loading"),
    redis_errors.ReadOnlyError("a replica"),
    redis_errors.ResponseError("MISCONF Redis is configured to save"),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EROFS, "Read-only file system"),
]
FAULTS = [
    OperationalError(1054, "Unknown column 'hunter2'"),
    OperationalError(1267, "Illegal mix of collations"),
    OperationalError("no such column: hunter2"),
    DataError(1406, "Data too long"),
    IntegrityError(1062, "Duplicate entry 'hunter2'"),
    ProgrammingError(1146, "No such table"),
    DatabaseError("hunter2"),
    redis_errors.ResponseError("WRONGTYPE hunter2"),
    redis_errors.DataError("hunter2"),
    PermissionError(errno.EACCES, "hunter2"),
    FileNotFoundError(errno.ENOENT, "hunter2"),
]


class Failing(ViewSet):
    """Raise the configured error."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    error: Exception

    def list(self, _request):
        raise self.error


@pytest.fixture
def failing(broken: Client, monkeypatch) -> Callable[[Exception], Any]:
    """Return a function that returns the API's answer to an error in a view."""
    view = Failing.as_view({"get": "list"})
    monkeypatch.setattr(
        Broken, "urlpatterns", [path("api/v1/failing/", view), *Broken.urlpatterns]
    )
    clear_url_caches()

    def ask(error: Exception) -> Any:
        monkeypatch.setattr(Failing, "error", error, raising=False)
        return broken.get("/api/v1/failing/")

    return ask


@pytest.mark.parametrize("error", AWAY, ids=repr)
def test_a_service_that_is_away_is_503_try_again(failing, error: Exception):
    answer = failing(error)

    assert (answer.status_code, answer.json()["error_code"]) == (
        503,
        "SERVICE_UNAVAILABLE",
    )
    assert answer["Retry-After"] == "5"


@pytest.mark.parametrize("error", FAULTS, ids=repr)
def test_any_other_error_of_a_service_is_500_and_logged_with_its_traceback(
    failing, error: Exception, caplog
):
    answer = failing(error)

    assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")
    assert b"hunter2" not in answer.content
    assert any(
        record.exc_info and record.exc_info[1] is error for record in caplog.records
    )


# --- Pages for people -----------------------------------------------------------------

PAGES = {
    "/too-much/": (400, "The data from your browser cannot be read"),
    "/forbidden/": (
        403,
        "You do not have permission to do this. Ask a System Manager.",
    ),
    "/nothing/here/": (404, "The address is wrong"),
    "/admin/nothing/here/": (404, "The address is wrong"),
    "/admin/content/node/do/": (405, "This address accepts only form submissions"),
    "/admin/content/node/1/change/": (403, "You signed in again after"),
}
"""The failing URLs: the status, and the beginning of the page's text."""
HTML = {"Accept": "text/html,*/*;q=0.8"}


@pytest.fixture
def staff(broken: Client, db) -> Client:
    """A superuser's browser that checks CSRF tokens."""
    user = User.objects.create_superuser("root@example.com", "root-password-1")
    strict = Client(raise_request_exception=False, enforce_csrf_checks=True)
    strict.force_login(user)
    return strict


def look(browser: Client, uri: str, language: str):
    browser.cookies["django_language"] = language
    if uri.endswith("/change/"):
        browser.cookies["csrftoken"] = "a" * 32
        data = {"csrfmiddlewaretoken": "b" * 32}
        return browser.post(uri, data, headers=HTML)
    return browser.get(uri, headers=HTML)


@pytest.mark.parametrize("uri", PAGES)
@pytest.mark.parametrize(("language", "direction"), [("ar", "rtl"), ("en", "ltr")])
def test_a_page_of_the_admin_says_what_went_wrong_in_the_visitors_language(
    staff, uri, language, direction
):
    status, message = PAGES[uri]
    answer = look(staff, uri, language)
    page = answer.content.decode()

    assert answer.status_code == status
    assert f'<html lang="{language}" dir="{direction}"' in page
    if language == "en":
        assert message in page
    assert 'id="user-tools"' in page
    assert f'class="button" href="{reverse("admin:index")}"' in page
    assert "hunter2" not in page


@pytest.mark.parametrize("uri", ["/too-much/", "/forbidden/", "/nothing/here/"])
@pytest.mark.parametrize(("language", "direction"), [("ar", "rtl"), ("en", "ltr")])
def test_a_stranger_gets_the_same_page_without_a_query(
    broken, uri, language, direction, django_assert_num_queries, db
):
    with django_assert_num_queries(0):
        answer = look(broken, uri, language)
    page = answer.content.decode()

    assert answer.status_code == PAGES[uri][0]
    assert f'<html lang="{language}" dir="{direction}"' in page
    assert 'id="user-tools"' not in page


def test_an_error_of_ours_is_told_in_both_languages(broken):
    answer = broken.get("/fail/", headers=HTML)
    page = answer.content.decode()

    assert answer.status_code == 500
    assert "حدث خطأ في الخادم" in page
    assert "An error occurred on the server" in page


def test_another_host_is_refused_in_the_visitors_language_whoever_came_before(client):
    look(client, "/nothing/here/", "ar")
    client.cookies["django_language"] = "en"
    answer = client.get("/", headers={"host": "evil.example"})
    assert b'<html lang="en"' in answer.content


def test_who_sends_no_cookies_is_told_to_allow_them(staff):
    answer = staff.post("/admin/content/node/1/change/", headers=HTML)
    assert "allow cookies" in answer.content.decode()


def test_more_fields_than_are_taken_are_refused_in_words(staff, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 2
    staff.cookies["csrftoken"] = "a" * 32
    fields = dict.fromkeys("abc", "")
    answer = staff.post("/admin/content/node/1/change/", fields, headers=HTML)
    assert answer.status_code == 400
    assert "send the data in smaller parts" in answer.content.decode()


def test_the_admins_scripts_get_the_words_alone(staff, settings):
    doors = reverse("admin:content_node_do")
    refused = staff.post(doors)
    assert refused.status_code == 403
    assert "Nothing was saved" in refused.json()["error"]
    missing = staff.get("/admin/nothing/here/")
    assert missing.status_code == 404
    assert missing.json()["error"].startswith("The address is wrong")
    other = staff.get(doors)
    assert (other.status_code, other.headers["Allow"]) == (405, "POST")
    assert other.json()["error"].startswith("This address accepts only")
