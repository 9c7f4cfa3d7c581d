"""The items of the app's search index. Plain rules: no Django here."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from content.inline_text import plain
from content.kinds import Kind
from core.folding import searchable
from plans.access import Level, PlanNode
from publishing.format import keywords

Words = Callable[[str], str]
"""Returns the recorded words of a lesson, by its id (`keywords.of_stages`)."""


def items(root: PlanNode, words: Words) -> list[dict[str, Any]]:
    """Return one search item per node of the plan's tree, in tree order."""
    found: list[dict[str, Any]] = []
    _add(root, [], found)
    return with_keywords(found, words)


def _add(node: PlanNode, path: list[str], found: list[dict[str, Any]]) -> None:
    item: dict[str, Any] = {"id": node.id, "kind": node.kind.value, "title": node.title}
    if node.source.description:
        item["description"] = node.source.description
    item["path"] = path
    item["access_level"] = node.access.level.value
    item["text"] = searchable(f"{plain(node.title)} {node.source.description}")
    found.append(item)
    below = [*path, node.title]
    for child in node.children:
        _add(child, below, found)


def with_keywords(
    items: Sequence[dict[str, Any]],
    words: Words,
    only: Collection[str] | None = None,
) -> list[dict[str, Any]]:
    """Return a subject's items with the keywords of its lessons.

    Of paid lessons only the terms: anyone can read the index.

    Args:
        only: the ids of the lessons to change; None for all.
    """
    lesson = Kind.LESSON.value
    count = sum(item["kind"] == lesson for item in items)
    return [
        _with_keywords(item, words(item["id"]), lessons=count)
        if item["kind"] == lesson and (only is None or item["id"] in only)
        else item
        for item in items
    ]


def _with_keywords(
    item: dict[str, Any], recorded: str, *, lessons: int
) -> dict[str, Any]:
    found = keywords.for_index(
        recorded,
        known=item["text"],
        lessons=lessons,
        only_terms=item["access_level"] == Level.PAID.value,
    )
    others = {name: value for name, value in item.items() if name != "keywords"}
    return {**others, "keywords": found} if found else others
