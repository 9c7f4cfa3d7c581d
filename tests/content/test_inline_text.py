"""Titles, options and other plain texts with inline tags and formulas."""

import json
from pathlib import Path

import pytest

from content import inline_text

DOCUMENT = json.loads(
    (Path(__file__).parents[2] / "docs/inline-text.json").read_text(encoding="utf-8")
)
VECTORS = DOCUMENT["vectors"]


def shown(text: str) -> list[dict]:
    """The words and formulas of a text, each with the tags around it."""
    found: list[dict] = []
    tags: list[str] = []
    for piece in inline_text.pieces(text):
        if piece.tag:
            tags = tags[:-1] if piece.is_end else [*tags, piece.tag]
            continue
        written = rf"\({piece.formula.tex}\)" if piece.formula else piece.text
        if found and not piece.formula and found[-1]["tags"] == tags:
            found[-1]["text"] += written
        else:
            found.append({"text": written, "tags": tags})
    return found


@pytest.mark.parametrize("vector", VECTORS, ids=[v["text"] for v in VECTORS])
def test_a_text_is_read_as_its_vector_says(vector):
    assert shown(vector["text"]) == vector["pieces"]
    assert inline_text.plain(vector["text"]) == vector["plain"]


def test_the_document_lists_the_tags():
    assert tuple(DOCUMENT["tags"]) == inline_text.TAGS
