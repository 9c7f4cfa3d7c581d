"""The items of the app's search index. Plain rules: no Django here."""

from typing import Any

from core.folding import fold
from plans.access import PlanNode


def items(root: PlanNode) -> list[dict[str, Any]]:
    """Return one search item per node of the plan's tree, in tree order."""
    found: list[dict[str, Any]] = []
    _add(root, [], found)
    return found


def _add(node: PlanNode, path: list[str], found: list[dict[str, Any]]) -> None:
    item: dict[str, Any] = {"id": node.id, "kind": node.kind.value, "title": node.title}
    if node.source.description:
        item["description"] = node.source.description
    item["path"] = path
    item["access_level"] = node.access.level.value
    item["text"] = fold(f"{node.title} {node.source.description}")
    found.append(item)
    below = [*path, node.title]
    for child in node.children:
        _add(child, below, found)
