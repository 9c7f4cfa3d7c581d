"""Bulk edits of the tree page and their confirmation questions."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _, gettext_lazy, ngettext

from content.models import Node


@dataclass(frozen=True, slots=True)
class Change:
    """A value to set in one field of many nodes, with its note for the history.

    With ``value`` None, the request sends the value. With ``goes_inside``, the
    descendants of the chosen nodes are changed too, and ``asks`` returns the question
    to confirm for a number of nodes.
    """

    note: Any
    field: str
    value: Any = None
    goes_inside: bool = False
    asks: Callable[[int], dict[str, str]] | None = None


def _asks_to_publish(count: int) -> dict[str, str]:
    return {
        "title": _("Publish with all inside?"),
        "ask": ngettext(
            "%(count)d entry becomes published. Students whose plan has it see it from "
            "the next publish on.",
            "%(count)d entries become published. Students whose plan has them see them "
            "from the next publish on.",
            count,
        )
        % {"count": count},
        "yes": _("Publish"),
        "no": _("Leave it as it is"),
    }


def _asks_to_unpublish(count: int) -> dict[str, str]:
    return {
        "title": _("Make a draft of all inside, too?"),
        "ask": ngettext(
            "%(count)d entry becomes a draft. Students no longer see it from the next "
            "publish on.",
            "%(count)d entries become drafts. Students no longer see them from the next "
            "publish on.",
            count,
        )
        % {"count": count},
        "yes": _("Make a draft"),
        "no": _("Leave it as it is"),
    }


def _asks_to_replace(codes: Collection[str], value: str) -> dict[str, str]:
    return {
        "title": _("Replace different product codes?"),
        "ask": _("The chosen have %(codes)s. All of them get %(value)s instead.")
        % {
            "codes": ", ".join(f"“{code}”" for code in sorted(codes)),
            "value": f"“{value}”" if value else _("no product code"),
        },
        "yes": _("Replace them"),
        "no": _("Leave it as it is"),
    }


CHANGES = {
    "publish": Change(gettext_lazy("Published"), "is_published", True),
    "publish_inside": Change(
        gettext_lazy("Published"),
        "is_published",
        True,
        goes_inside=True,
        asks=_asks_to_publish,
    ),
    "unpublish": Change(gettext_lazy("Made a draft"), "is_published", False),
    "unpublish_inside": Change(
        gettext_lazy("Made a draft"),
        "is_published",
        False,
        goes_inside=True,
        asks=_asks_to_unpublish,
    ),
    "free": Change(gettext_lazy("Free preview"), "is_free_preview", True),
    "not_free": Change(
        gettext_lazy("No longer a free preview"), "is_free_preview", False
    ),
    "item": Change(gettext_lazy("Product code"), "required_item"),
}


def confirmation_for(
    change: Change, chosen: Sequence[Node], changed: Sequence[Node], value: Any
) -> dict[str, str] | None:
    """Return the question to confirm, or None.

    A change of nodes that were not chosen and the replacement of different product
    codes are confirmed.
    """
    if change.asks is not None:
        own = {node.pk for node in chosen}
        return change.asks(len(changed)) if {n.pk for n in changed} - own else None
    if change.value is None:
        codes = {getattr(node, change.field) for node in changed} - {""}
        return _asks_to_replace(codes, value) if len(codes) > 1 else None
    return None
