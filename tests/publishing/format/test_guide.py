"""Check the tables, examples and rules of ``docs/content-format.md``.

``MEMORA_WRITE_GOLDEN=1`` writes its examples again, as it does the golden files.
"""

import json
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from content.stage_types import SCHEMAS
from core import folding
from core.api_types import hints_of
from core.folding import fold
from memora_site.error_codes import ERROR_CODES
from plans.access import Level
from players.api_types import LessonLink, PlanContent
from players.services.content import LESSON_URL_SECONDS
from publishing import views
from publishing.format.validation import SCHEMA_FOLDER
from publishing.format.versioning import BuiltDocument
from tests.publishing.format.test_golden import CASES
from tests.publishing.format.trees import (
    build,
    contents,
    lesson,
    subject,
    topic,
    track,
    unit,
)

GUIDE = Path(__file__).parents[3] / "docs/content-format.md"
EXAMPLE = re.compile(
    r"<!-- example: (?P<case>\S+) (?P<path>\S+) -->\n```json\n(?P<json>.*?)```",
    re.DOTALL,
)
DOCUMENTS = {
    "manifest": "Manifest",
    "hierarchy": "Hierarchy",
    "bitmap": "Bitmap",
    "topic": "Topic",
    "lesson": "Lesson",
    "search_index": "Search index",
    "search_shard": "Search shard",
}


def guide() -> str:
    return GUIDE.read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text between a heading and the next one."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", guide(), re.DOTALL | re.M)
    assert found is not None, title
    return found[1]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's tables, without the header rows."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    heads = {index - 1 for index, row in enumerate(found) if set(row[0]) == {"-"}}
    return [
        row
        for index, row in enumerate(found)
        if index not in heads and index - 1 not in heads
    ]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def fields(schema: dict[str, Any], defs: Any, prefix: str = "") -> Iterator[str]:
    """Yield the fields of a schema, optional ones with ``?``; not inside ``access``."""
    required = schema.get("required", [])
    for name, schema_of_field in schema.get("properties", {}).items():
        yield f"{prefix}{name}{'' if name in required else '?'}"
        if schema_of_field.get("type") == "array":
            yield from fields(schema_of_field["items"], defs, f"{prefix}{name}[].")
        elif isinstance(entry := schema_of_field.get("additionalProperties"), dict):
            yield from fields(entry, defs, f"{prefix}{name}.*.")
        else:
            yield from fields(schema_of_field, defs, f"{prefix}{name}.")


@pytest.mark.parametrize(("schema", "title"), DOCUMENTS.items())
def test_a_table_has_every_field_of_its_schema_and_no_other(schema, title):
    known = orjson.loads((SCHEMA_FOLDER / f"{schema}.schema.json").read_bytes())
    documented = [name for row in rows(title) for name in codes(row[0])]
    assert len(documented) == len(set(documented))
    assert set(documented) == set(fields(known, known["$defs"]))


def test_the_access_table_has_every_field_of_its_schema():
    known = orjson.loads((SCHEMA_FOLDER / "topic.schema.json").read_bytes())
    access = known["$defs"]["access"]
    documented = {name for row in rows("Who may open what") for name in codes(row[0])}
    levels = {level.value for level in Level}
    assert documented == set(fields(access, known["$defs"], "access.")) | levels


def test_every_schema_has_its_section():
    schemas = {file.name.split(".")[0] for file in SCHEMA_FOLDER.glob("*.schema.json")}
    assert schemas == set(DOCUMENTS)


def example(case: str, path: str) -> str:
    document = contents(CASES[case]())[path]
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def test_the_examples_are_what_the_builder_makes():
    if os.environ.get("MEMORA_WRITE_GOLDEN"):
        written = EXAMPLE.sub(
            lambda found: found[0].replace(
                f"```json\n{found['json']}", f"```json\n{example(*found.groups()[:2])}"
            ),
            guide(),
        )
        GUIDE.write_text(written, encoding="utf-8")
    shown = EXAMPLE.findall(guide())
    for case, path, text in shown:
        assert text == example(case, path), path
    schemas = {schema_of(case, path) for case, path, _text in shown}
    assert schemas == set(DOCUMENTS)


def schema_of(case: str, path: str) -> str:
    found: BuiltDocument = CASES[case]()[path]
    return found.schema


def test_the_paths_are_those_of_a_release():
    made = build(
        [
            subject(
                "SUBJECT-ID",
                track(
                    "TRACK-ID",
                    unit("UNIT-ID", topic("TOPIC-ID", lesson("LESSON-ID", 0))),
                ),
            )
        ],
        shard_threshold=0,
    )
    ids = {"subject_id": "SUBJECT-ID", "topic_id": "TOPIC-ID", "lesson_id": "LESSON-ID"}
    documented = {
        codes(row[0])[0].format(plan_id="PLAN-1", **ids) for row in rows("The files")
    }
    assert documented == set(made)


def test_the_folding_examples_are_true():
    examples = rows("Searching")
    assert len(examples) >= 6
    for text, folded in examples:
        assert fold(text) == folded


def test_the_folding_file_has_the_rules_and_vectors_of_the_server():
    file = json.loads((GUIDE.parent / "search-folding.json").read_text())
    assert file["version"] == folding.VERSION
    assert file["replace"] == folding.EQUAL_LETTERS
    assert set(file["remove"]) == folding.REMOVED_LETTERS
    assert [(ord(first), ord(last)) for first, last in file["remove_ranges"]] == list(
        folding.INVISIBLE_RANGES
    )
    assert all(fold(f"a{sign}b") == "ab" for sign in file["remove_first"])
    assert len(file["vectors"]) >= 30
    for vector in file["vectors"]:
        assert fold(vector["text"]) == vector["folded"], vector["about"]


def test_the_folding_rules_of_the_guide_make_the_same_as_the_server():
    file = json.loads((GUIDE.parent / "search-folding.json").read_text())
    for vector in file["vectors"]:
        assert _fold_by_the_guide(file, vector["text"]) == fold(vector["text"])


def _fold_by_the_guide(rules: dict[str, Any], text: str) -> str:
    text = "".join(char for char in text if char not in rules["remove_first"])
    text = unicodedata.normalize("NFKD", text).casefold()
    text = unicodedata.normalize("NFKD", text)
    ranges = rules["remove_ranges"]
    removed = {*rules["remove"]}
    kept = [
        rules["replace"].get(char, char)
        for char in text
        if unicodedata.category(char) not in rules["remove_categories"]
        and (unicodedata.category(char) != "Cc" or char in "\t\n\v\f\r\x85")
        and not any(first <= char <= last for first, last in ranges)
        and char not in removed
    ]
    return " ".join("".join(kept).split())


def test_the_api_s_answers_have_these_fields():
    documented = [name for row in rows("Where to start") for name in codes(row[0])]
    assert documented == list(hints_of(PlanContent))
    assert all(f"`{name}`" in section("Gated lessons") for name in hints_of(LessonLink))


def test_the_refusals_have_these_statuses():
    for status, names, _meaning in rows("Gated lessons"):
        assert [ERROR_CODES[name].status for name in codes(names)] == [
            int(status)
        ] * len(codes(names))


def test_the_numbers_are_true():
    assert f"lasts {LESSON_URL_SECONDS // 60} minutes" in section("Gated lessons")
    caching = {row[0]: codes(row[1])[0] for row in rows("Caching")}
    assert caching == {
        "Open files": views._OPEN_CACHE,
        "Gated lessons, videos": views._GATED_CACHE,
    }


def test_every_stage_type_is_named():
    assert all(f"`{name}`" in section("Lesson") for name in SCHEMAS)


def test_every_link_within_the_page_leads_somewhere():
    headings = re.findall(r"^## (.+)$", guide(), re.M)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    links = set(re.findall(r"\]\(#([^)]+)\)", guide()))
    assert links == anchors
