"""The API's schema and its page: complete, and loaded from this server alone."""

import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema


def test_the_schema_describes_the_api(client: Client):
    response = client.get("/api/v1/schema/", {"format": "json"})

    assert response.status_code == 200
    schema = response.json()
    validate_schema(schema)
    assert "/api/v1/lessons/{lesson_id}/complete/" in schema["paths"]


def test_every_operation_says_what_it_answers():
    paths = SchemaGenerator().get_schema(public=True)["paths"]

    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation["responses"], f"{method} {path}"


@pytest.fixture
def page(client: Client) -> str:
    response = client.get("/api/v1/docs/")
    assert response.status_code == 200
    return response.content.decode()


def test_the_page_loads_nothing_from_elsewhere(page: str):
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)

    assert loaded
    here = ("/static/", "/api/v1/docs/?script")
    assert all(link.startswith(here) for link in loaded)
    assert "http://" not in page
    assert "https://" not in page


def test_what_the_page_loads_is_there(page: str):
    for link in re.findall(r"(?:src|href)=\"/static/([^\"]+)\"", page):
        assert finders.find(link), link


def test_the_page_asks_no_validation_service(client):
    script = client.get("/api/v1/docs/", {"script": ""}).content.decode()
    assert '"validatorUrl": null' in script
