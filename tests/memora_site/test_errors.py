"""Answers where no view answered: JSON for the API, pages for people."""

import pytest
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from django.test import Client
from django.urls import path

from memora_site import urls


def fail(_request: HttpRequest) -> None:
    raise RuntimeError("hunter2")


def too_much(_request: HttpRequest) -> None:
    raise SuspiciousOperation("hunter2")


class Broken:
    """The site's URLs and two that fail."""

    urlpatterns = [
        path("api/v1/fail/", fail),
        path("fail/", fail),
        path("api/v1/too-much/", too_much),
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
        "message": "There is nothing here.",
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
