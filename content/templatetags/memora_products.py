"""The list of products for the fields with a product code."""

from collections.abc import Mapping
from typing import Any

from django import template
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from content.models import Product

register = template.Library()


@register.inclusion_tag("admin/content/product_codes.html")
def product_codes(
    used: str = "", sold_content: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Render the list that a ``ProductCodeField`` offers. One query.

    Args:
        used: a code to offer although no product may have it.
        sold_content: more such codes, with the first content that each opens.
    """
    opens = {
        code: f"{capfirst(sold.kind)}: {sold.title}"
        for code, sold in (sold_content or {}).items()
    }
    titles = dict(Product.objects.values_list("code", "title"))
    others = {used, *opens} - titles.keys() - {"", None}
    titles |= dict.fromkeys(sorted(others), _("not in the list of products"))
    return {
        "options": [
            (code, " – ".join(filter(None, (title, opens.get(code)))))
            for code, title in titles.items()
        ]
    }
