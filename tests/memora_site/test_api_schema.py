"""The API's schema and its page: complete, true, and loaded from this server alone."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.utils.translation import get_language
from drf_spectacular.generators import SchemaGenerator
from openapi_spec_validator import OpenAPIV31SpecValidator

from memora_site import schema_view
from memora_site.error_codes import ERROR_CODES

URL = "/api/v1/schema/?format=json"
ARABIC = re.compile("[\u0621-\u064a]")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return Client().get(URL).json()


def operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in schema["paths"].values():
        yield from path.values()


def descriptions(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Each text for people in a schema, with its place."""
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield from descriptions(entry, f"{at}/{index}")
    elif isinstance(value, dict):
        for name, entry in value.items():
            if name in ("description", "summary") and isinstance(entry, str):
                yield f"{at}/{name}", entry
            elif name not in ("example", "examples"):
                yield from descriptions(entry, f"{at}/{name}")


def test_the_schema_is_valid_openapi(schema):
    assert schema["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(schema).validate()


def test_the_schema_names_this_server(client, settings):
    settings.SITE_URL = "https://memora.example"
    assert client.get(URL).json()["servers"][0]["url"] == "https://memora.example"


def test_the_schema_is_made_once_in_each_language(client, monkeypatch):
    schema_view.document.cache_clear()
    made = []
    make = SchemaGenerator.get_schema

    def counted(*arguments, **options):
        made.append(get_language())
        return make(*arguments, **options)

    monkeypatch.setattr(SchemaGenerator, "get_schema", counted)
    for language in ("ar", "en", "ar", "en"):
        assert client.get(URL, headers={"Accept-Language": language}).status_code == 200
    assert made == ["ar", "en"]


def test_a_client_that_has_the_schema_gets_a_304(client):
    answer = client.get(URL)
    etag = answer.headers["ETag"]
    for held in (etag, f"W/{etag}", f'"other", {etag}'):
        again = client.get(URL, headers={"If-None-Match": held})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == etag
    arabic = {"Accept-Language": "ar", "If-None-Match": etag}
    assert client.get(URL, headers=arabic).status_code == 200


def test_the_schema_is_also_yaml(client):
    answer = client.get("/api/v1/schema/?format=yaml")
    assert answer.headers["Content-Type"].startswith("application/vnd.oai.openapi")
    assert answer.content.startswith(b"openapi: 3.1")


def test_every_operation_parameter_and_field_is_described(schema):
    for operation in operations(schema):
        name = operation["operationId"]
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (name, parameter["name"])
    for name, component in schema["components"]["schemas"].items():
        for field, value in component.get("properties", {}).items():
            if name == "Error" or field in ("error_code", "details"):
                continue
            assert value.get("description"), (name, field)


def test_without_a_language_every_text_is_english(client, settings):
    settings.LANGUAGE_CODE = "ar"  # as in production
    answer = client.get(URL)
    assert answer.headers["Content-Language"] == "en"
    for at, text in descriptions(answer.json()):
        assert not ARABIC.search(text), at


def test_where_arabic_is_asked_for_every_text_is_arabic(client):
    arabic = client.get(URL, headers={"Accept-Language": "ar-JO,ar;q=0.9,en;q=0.5"})
    assert arabic.headers["Content-Language"] == "ar"
    for at, text in descriptions(arabic.json()):
        # The description of a refusal is its codes.
        assert ARABIC.search(text) or re.fullmatch(r"(`[A-Z_]+` ?)+", text), (at, text)


def test_no_text_is_about_the_inside_of_the_server(schema):
    for at, text in descriptions(schema):
        assert not re.search(
            r"``|Args:|Raises:|serializer|\bDRF\b|`[a-z_.]+\(", text
        ), at


# --- Refusals -------------------------------------------------------------------


def codes_of(response: dict[str, Any]) -> set[str]:
    return set(response["content"]["application/json"]["examples"])


def test_every_refusal_lists_codes_of_its_status(schema):
    for operation in operations(schema):
        for status, response in operation["responses"].items():
            if status < "400":
                continue
            assert codes_of(response), operation["operationId"]
            for code in codes_of(response):
                assert ERROR_CODES[code].status == int(status)


def test_every_operation_may_be_limited_or_away(schema):
    for operation in operations(schema):
        for status in ("429", "503"):
            headers = operation["responses"][status]["headers"]
            assert "Retry-After" in headers, operation["operationId"]


def test_what_needs_a_session_says_how_it_ends(schema):
    for operation in operations(schema):
        if operation["tags"] == ["staff"] or "security" not in operation:
            continue
        assert codes_of(operation["responses"]["401"]) >= {
            *("NOT_AUTHENTICATED", "SESSION_REPLACED", "SESSION_EXPIRED"),
            *("PASSWORD_CHANGED", "DEVICE_REMOVED"),
        }
        assert "DEVICE_MISMATCH" in codes_of(operation["responses"]["403"])


def test_uploads_of_queued_work_alone_accept_every_version(schema):
    accepting = {
        operation["operationId"]
        for operation in operations(schema)
        if operation["tags"] != ["staff"] and "426" not in operation["responses"]
    }
    assert accepting == {"complete_lesson", "submit_events", "submit_reviews"}


def test_the_enum_lists_every_code(schema):
    listed = schema["components"]["schemas"]["ErrorCode"]["enum"]
    assert set(listed) == ERROR_CODES.keys()


# --- Examples -------------------------------------------------------------------


def media_types(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operation in operations(schema):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            yield from body.get("content", {}).values()


def test_every_example_is_what_its_schema_allows(schema):
    for media in media_types(schema):
        if media["schema"].get("format") == "binary" or "example" not in str(media):
            continue  # a picture
        validator = jsonschema_rs.Draft202012Validator(
            media["schema"] | {"components": schema["components"]},
            validate_formats=True,
        )
        examples = media.get("examples", {"": {"value": media.get("example")}})
        for example in examples.values():
            validator.validate(example["value"])


def test_every_parameter_has_an_example_that_its_schema_allows(schema):
    for operation in operations(schema):
        for parameter in operation.get("parameters", ()):
            validator = jsonschema_rs.Draft202012Validator(parameter["schema"])
            validator.validate(parameter["example"])


# --- The page -------------------------------------------------------------------


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


def test_options_tells_nothing_about_the_code(client):
    answer = client.options("/api/v1/auth/login/")
    assert answer.status_code == 405
    assert answer.json()["error_code"] == "METHOD_NOT_ALLOWED"
