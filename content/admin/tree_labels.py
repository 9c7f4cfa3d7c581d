"""Texts of the tree page: its rows, its menu and its script."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy, ngettext, pgettext

from content import kinds
from content.kinds import Kind
from content.models import NodeKind
from content.services import placement_rule
from content.tree_annotations import RowAnnotation
from content.tree_rows import Row
from core.badges import LOCK, badge, paid_label


@dataclass(frozen=True, slots=True)
class Cells:
    """The texts and badges of a row.

    ``title`` is the plan's title if the plan renames the node.
    """

    title: str
    own_title: str
    """The node's own title, if the plan renames it."""
    state: SafeString
    access: SafeString | str
    contents: SafeString | str
    is_hidden: bool
    child: str
    """The kind of its children, or ""."""


def cells_of(
    row: Row, annotation: RowAnnotation | None, badges: Sequence[SafeString] = ()
) -> Cells:
    """Return the cells of ``row``, with the annotation if there is one.

    Args:
        badges: those of other apps, which follow the state.
    """
    node = row.node
    child = kinds.child_kind(Kind(node.kind))
    renamed = annotation.title if annotation is not None else ""
    seen = annotation.lessons if annotation is not None else None
    return Cells(
        title=renamed or node.title,
        own_title=node.title if renamed and renamed != node.title else "",
        state=format_html_join(" ", "{}", ((b,) for b in (_state(row), *badges))),
        access=annotation.access if annotation is not None else _access(row),
        contents=_contents(row, seen),
        is_hidden=annotation is not None and annotation.is_hidden,
        child=child.value if child else "",
    )


def _state(row: Row) -> SafeString:
    if row.is_in_trash:
        return badge("✕", _("In the trash"), "quiet")
    if not row.node.is_published:
        return badge("○", _("Draft"), "quiet")
    if row.draft_above:
        why = _("Students do not see it: “%(title)s” is a draft.")
        return badge(
            "◌", _("Inside a draft"), "waiting", why=why % {"title": row.draft_above}
        )
    return badge("●", _("Published"), "done")


def _access(row: Row) -> SafeString | str:
    node = row.node
    if node.is_free_preview:
        return badge("★", _("Free preview"), "done")
    if node.required_item:
        why = _("Students need the product %(item)s.") % {"item": node.required_item}
        return badge(LOCK, paid_label(node.required_item), "waiting", why=why)
    if node.is_public:
        return badge("◇", _("Public"), "action")
    return ""


def unfinished_badge() -> SafeString:
    """Render the mark of a lesson whose last saved version is not complete."""
    why = _("A newer version is saved that students see when it is complete.")
    return badge("✎", pgettext("lesson", "Not finished"), "waiting", why=why)


def _contents(row: Row, seen: int | None) -> SafeString | str:
    if row.node.kind == NodeKind.LESSON:
        count = row.stages
        if row.is_unfinished:
            return unfinished_badge()
        if count == 0 and row.node.is_published:
            why = _("Students will see an empty lesson: add a stage.")
            return badge("!", _("No stages"), "waiting", why=why)
        words = ngettext("%(count)d stage", "%(count)d stages", count)
        return words % {"count": count}
    count = row.lessons
    words = ngettext("%(count)d lesson", "%(count)d lessons", count) % {"count": count}
    if seen is None or seen == count:
        return words
    return format_html(
        '<span title="{}">{} / {}</span>',
        _("The first number counts the lessons that this plan's students see."),
        seen,
        words,
    )


KIND_TEXTS: dict[str, dict[str, Any]] = {
    Kind.SUBJECT.value: {
        "inside": gettext_lazy("Add a subject"),
        "above": gettext_lazy("Add a subject above"),
        "below": gettext_lazy("Add a subject below"),
        "title": gettext_lazy("Title of the new subject"),
        "many": gettext_lazy("subjects"),
    },
    Kind.TRACK.value: {
        "inside": gettext_lazy("Add a track inside"),
        "above": gettext_lazy("Add a track above"),
        "below": gettext_lazy("Add a track below"),
        "title": gettext_lazy("Title of the new track"),
        "many": gettext_lazy("tracks"),
    },
    Kind.UNIT.value: {
        "inside": gettext_lazy("Add a unit inside"),
        "above": gettext_lazy("Add a unit above"),
        "below": gettext_lazy("Add a unit below"),
        "title": gettext_lazy("Title of the new unit"),
        "many": gettext_lazy("units"),
    },
    Kind.TOPIC.value: {
        "inside": gettext_lazy("Add a topic inside"),
        "above": gettext_lazy("Add a topic above"),
        "below": gettext_lazy("Add a topic below"),
        "title": gettext_lazy("Title of the new topic"),
        "many": gettext_lazy("topics"),
    },
    Kind.LESSON.value: {
        "inside": gettext_lazy("Add a lesson inside"),
        "above": gettext_lazy("Add a lesson above"),
        "below": gettext_lazy("Add a lesson below"),
        "title": gettext_lazy("Title of the new lesson"),
        "many": gettext_lazy("lessons"),
    },
}

MENU_TEXTS: dict[str, Any] = {
    "open": gettext_lazy("Open the page"),
    "preview": gettext_lazy("Preview"),
    "show": gettext_lazy("Show in the tree"),
    "rename": gettext_lazy("Rename…"),
    "copy": gettext_lazy("Copy here"),
    "copy_to": gettext_lazy("Copy to…"),
    "move_to": gettext_lazy("Move to…"),
    "import_here": gettext_lazy("Import a document or questions here…"),
    "publish": gettext_lazy("Publish"),
    "publish_inside": gettext_lazy("Publish with everything inside"),
    "unpublish": gettext_lazy("Change to draft"),
    "schedule": gettext_lazy("Schedule…"),
    "quality": gettext_lazy("Quality report"),
    "unpublish_inside": gettext_lazy("Change to draft with everything inside"),
    "free": gettext_lazy("Mark as free preview"),
    "not_free": gettext_lazy("Remove free preview"),
    "item": gettext_lazy("Product code…"),
    "history": gettext_lazy("History"),
    "trash": gettext_lazy("Move to the trash"),
    "restore": gettext_lazy("Restore from the trash"),
    "delete": gettext_lazy("Delete permanently…"),
}


_PLURALS = {"zero": 0, "one": 1, "two": 2, "few": 3, "many": 11, "other": 100}
"""A number for each plural form of a language, as `Intl.PluralRules` names them."""


def script_texts() -> dict[str, Any]:
    """Return the texts of `memora/tree.js`."""
    includes_descendants = {
        kind: placement_rule(kind)
        for kind in (Kind.TRACK, Kind.UNIT, Kind.TOPIC, Kind.LESSON)
    }
    return {
        "undo": _("Undo"),
        "redo": _("Redo"),
        "close": _("Close"),
        "cancel": _("Cancel"),
        "save": _("Save"),
        "selected": {
            form: ngettext("%(count)s selected", "%(count)s selected", number)
            for form, number in _PLURALS.items()
        },
        "failed": _("The server did not answer. Nothing was changed: try again."),
        "forbidden": _("You do not have permission to do this. Ask a System Manager."),
        "signed_out": _("You are signed out. Reload the page and sign in."),
        "move_to": _("Move to…"),
        "copy_to": _("Copy to…"),
        "search_places": _("Search by title or id"),
        "no_places": _("No results. Try another word of the title."),
        "rename_title": _("New title"),
        "item_title": _("Product code"),
        "item_help": _(
            "Students need this product to open this entry and everything inside it. "
            "Leave it empty if no product is needed."
        ),
        "copy_help": _(
            "The copy is a draft with new ids, so students have no progress in it. "
            "The entries inside keep their state."
        ),
        "mixed_kinds": _("Select entries of one kind to move them together."),
        "into_itself": _("An entry cannot be moved into itself."),
        "subject_top": placement_rule(Kind.SUBJECT),
        **{
            f"goes_inside_{kind.value}": words
            for kind, words in includes_descendants.items()
        },
    }
