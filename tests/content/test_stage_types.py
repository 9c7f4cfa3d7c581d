"""Each stage type's schema file is complete, in two languages, and safe to walk."""

import jsonschema
import pytest
from django.utils.translation import override

from content.models import LessonStage, stage_type_choices
from content.stage_types import SCHEMAS, schema_in

TYPES = [
    "FillIn",
    "Interactive",
    "Matching",
    "OpenAnswer",
    "Quiz",
    "Reveal",
    "SentenceBuilder",
    "Text",
    "Video",
]

# The keywords that `content.stage_configs` follows to find HTML and item ids. With
# another keyword, such as oneOf, the sanitiser could miss an HTML field.
KEYWORDS = {
    *("$schema", "$id", "title", "description", "type", "properties", "items"),
    *("required", "additionalProperties", "enum", "const", "pattern", "if", "then"),
    *("minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum"),
    *("contentMediaType", "x-ar", "x-hint", "x-item-id", "x-embed", "default"),
    *("x-widget", "x-titles", "x-frame"),
}


def places(schema):
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from places(inner)
    if "items" in schema:
        yield from places(schema["items"])


def test_there_is_a_schema_for_every_type_of_the_design():
    assert list(SCHEMAS) == TYPES


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_is_valid_json_schema(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", TYPES)
def test_every_place_of_a_schema_has_a_title_in_both_languages(name):
    for place in places(SCHEMAS[name]):
        assert place["title"]
        assert place["x-ar"]["title"]
        assert ("description" in place) == ("description" in place["x-ar"])
        assert ("x-hint" in place) == ("x-hint" in place["x-ar"])
        assert (
            place.get("x-titles", {}).keys() == place["x-ar"].get("x-titles", {}).keys()
        )


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_uses_only_words_that_its_readers_know(name):
    for place in places(SCHEMAS[name]):
        assert set(place) <= KEYWORDS


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_refuses_unknown_keys_everywhere(name):
    for place in places(SCHEMAS[name]):
        if place["type"] == "object":
            assert place["additionalProperties"] is False


def test_a_form_gets_the_schema_in_its_language():
    schema = schema_in("Matching", "ar")
    assert schema["title"] == "توصيل"
    assert schema["properties"]["pairs"]["title"] == "الأزواج"
    assert schema_in("Matching", "en")["title"] == "Matching"


def test_the_choices_of_a_stage_are_the_files_in_the_reader_s_language():
    assert [name for name, _label in stage_type_choices()] == TYPES
    with override("ar"):
        assert dict(stage_type_choices())["Quiz"] == "اختبار"
        assert LessonStage(type="Quiz").get_type_display() == "اختبار"


@pytest.mark.parametrize("name", TYPES)
def test_every_number_has_an_end(name):
    for place in places(SCHEMAS[name]):
        if place["type"] in ("integer", "number"):
            assert place["maximum"] <= 1_000_000
