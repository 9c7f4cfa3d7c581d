"""Which product codes are known, and where they are used."""

from collections.abc import Collection, Iterable

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _, ngettext, pgettext

from content import hooks
from content.fields import validate_item_code
from content.models import Node, Product
from core.batches import batches


def unknown(codes: Iterable[str]) -> list[str]:
    """Return those codes that no product has, sorted. One query for 500 codes."""
    missing = set(codes) - {""}
    for some in batches(sorted(missing)):
        missing -= set(
            Product.objects.filter(code__in=some).values_list("code", flat=True)
        )
    return sorted(missing)


def ensure(codes: Iterable[str]) -> None:
    """Create a product for each code that none has; its title is the code.

    Imports and grants call it: they take codes from files and other systems. One query
    for 500 codes, and one more if some are new.
    """
    if new := unknown(codes):
        rows = [Product(code=code, title=code) for code in new]
        Product.objects.bulk_create(rows, ignore_conflicts=True)


def uses(code: str) -> list[str]:
    """Return where a code is used, such as "3 entries of the content tree".

    The trash counts: what is restored needs its product.
    """
    nodes = Node.objects.filter(required_item=code).count()
    own = ngettext(
        "%(count)d entry of the content tree",
        "%(count)d entries of the content tree",
        nodes,
    )
    return [*([own % {"count": nodes}] if nodes else []), *hooks.product_uses(code)]


def uses_text(found: Collection[str]) -> str:
    """Return the uses as one text."""
    return pgettext("list", ", ").join(found)


def require_known(code: str) -> None:
    """Refuse a code that no product has and nothing uses. One query if it is known.

    Raises:
        ValidationError: with code ``unknown_product``, or it is no product code.
    """
    validate_item_code(code)
    if unknown([code]) and not uses(code):
        raise ValidationError(
            _(
                "There is no product “%(code)s”. Choose one of the list; editors of "
                "content create products in the admin under Content › Products."
            ),
            code="unknown_product",
            params={"code": code},
        )
