"""What the app searches in. Plain rules: no Django here."""

from collections.abc import Iterator
from typing import Any

from content.folding import fold
from plans.access import PlanNode


def items(root: PlanNode) -> Iterator[dict[str, Any]]:
    """One search item per node of the plan's tree, in tree order."""
    return _items(root, ())


def _items(node: PlanNode, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    item: dict[str, Any] = {"id": node.id, "kind": node.kind.value, "title": node.title}
    if node.source.description:
        item["description"] = node.source.description
    item["path"] = list(path)
    item["access_level"] = node.access.level.value
    item["text"] = fold(f"{node.title} {node.source.description}")
    yield item
    for child in node.children:
        yield from _items(child, (*path, node.title))
