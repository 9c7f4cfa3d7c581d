"""Bulk edits of the tree page and their confirmation questions."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _, gettext_lazy, ngettext

from content.models import Node


@dataclass(frozen=True, slots=True)
class Change:
    """A value to set in one field of many nodes, with its note for the history.

    With ``value`` None, the request sends the value. With ``includes_descendants``, the
    descendants of the chosen nodes are changed too, and ``asks`` returns the question
    to confirm for a number of nodes. With ``is_of_one``, only one node may be chosen.
    """

    note: Any
    field: str
    value: Any = None
    includes_descendants: bool = False
    asks: Callable[[int], dict[str, str]] | None = None
    is_of_one: bool = False


def _asks_to_publish(count: int) -> dict[str, str]:
    return {
        "title": _("Publish with everything inside?"),
        "question": ngettext(
            "%(count)d entry will be marked as published. Students whose plan has it "
            "will see it after the next publish.",
            "%(count)d entries will be marked as published. Students whose plans have "
            "them will see them after the next publish.",
            count,
        )
        % {"count": count},
        "confirm_label": _("Publish"),
        "cancel_label": _("Leave unchanged"),
    }


def _asks_to_unpublish(count: int) -> dict[str, str]:
    return {
        "title": _("Change everything inside to draft, too?"),
        "question": ngettext(
            "%(count)d entry will be changed to draft. Students will not see it after "
            "the next publish.",
            "%(count)d entries will be changed to draft. Students will not see them "
            "after the next publish.",
            count,
        )
        % {"count": count},
        "confirm_label": _("Change to draft"),
        "cancel_label": _("Leave unchanged"),
    }


def _asks_to_replace(codes: Collection[str], value: str) -> dict[str, str]:
    return {
        "title": _("Replace different product codes?"),
        "question": _(
            "The selected entries have these product codes: %(codes)s. All will be "
            "changed to: %(value)s."
        )
        % {
            "codes": ", ".join(f"“{code}”" for code in sorted(codes)),
            "value": f"“{value}”" if value else _("no product code"),
        },
        "confirm_label": _("Replace them"),
        "cancel_label": _("Leave unchanged"),
    }


CHANGES = {
    "publish": Change(gettext_lazy("Published"), "is_published", True),
    "publish_inside": Change(
        gettext_lazy("Published"),
        "is_published",
        True,
        includes_descendants=True,
        asks=_asks_to_publish,
    ),
    "unpublish": Change(gettext_lazy("Changed to draft"), "is_published", False),
    "unpublish_inside": Change(
        gettext_lazy("Changed to draft"),
        "is_published",
        False,
        includes_descendants=True,
        asks=_asks_to_unpublish,
    ),
    "free": Change(gettext_lazy("Free preview"), "is_free_preview", True),
    "not_free": Change(gettext_lazy("Free preview removed"), "is_free_preview", False),
    "item": Change(gettext_lazy("Product code"), "required_item"),
    "rename": Change(gettext_lazy("Renamed"), "title", is_of_one=True),
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
