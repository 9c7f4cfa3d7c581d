"""Where a node lies, as the pages about it write it."""

from typing import Any

from django import template

from content import tree_rows
from content.models import Node

register = template.Library()


@register.inclusion_tag("admin/content/node/crumbs.html")
def node_crumbs(node: Node | None, here: str = "") -> dict[str, Any]:
    """The way from the tree's top to ``node``'s page, or to the page ``here`` below it.

    One query. Without a node the page is right below the tree.
    """
    if node is None:
        return {"here": here}
    placed = tree_rows.with_ancestors(Node.objects.order_by()).get(pk=node.pk)
    above = tree_rows.ancestors_of(placed)
    return {
        "above": above,
        "node": node,
        "here": here,
        "is_in_trash": any(found.trashed_at for found in (*above, placed)),
    }
