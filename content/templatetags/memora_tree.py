"""Breadcrumbs of a node."""

from typing import Any

from django import template

from content import tree_rows
from content.models import Node

register = template.Library()


@register.inclusion_tag("admin/content/node/breadcrumbs.html")
def node_breadcrumbs(node: Node | None, current: str = "") -> dict[str, Any]:
    """Render the breadcrumbs of ``node``'s page, or of the page ``current`` below it.

    One query. Without a node, the page is directly below the tree.
    """
    if node is None:
        return {"here": current}
    placed = tree_rows.with_ancestors(Node.objects.order_by()).get(pk=node.pk)
    above = tree_rows.ancestors_of(placed)
    return {
        "above": above,
        "node": node,
        "here": current,
        "is_in_trash": any(found.trashed_at for found in (*above, placed)),
    }
