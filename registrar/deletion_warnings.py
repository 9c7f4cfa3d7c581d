"""What the rules of the registrar lose before a product is deleted."""

from django.utils.translation import ngettext

from content.hooks import product_uses
from registrar.models import GivenAccess, ProgramAccess


@product_uses.add
def rules_with_product(code: str) -> str:
    """Return how many rules give this product, or gave it. Two queries."""
    rules = ProgramAccess.objects.filter(item=code).values_list("pk", flat=True)
    given = GivenAccess.objects.filter(item=code).values_list("rule_id", flat=True)
    count = len({*rules, *given.order_by().distinct()})
    if not count:
        return ""
    return ngettext(
        "%(count)d rule of access by registration",
        "%(count)d rules of access by registration",
        count,
    ) % {"count": count}
