"""The settings of the stage editor in the browser: types, texts and URLs."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import get_language, gettext as _

from content.stage_types import SCHEMAS, schema_in, translated_texts

_FIRST_TYPES = ("Text", "Video", "Quiz")
"""The types offered first in "Add stage", because most stages are of them."""

SCRIPTS = (
    "stage-fields",
    "stage-formulas",
    "stage-losses",
    "stage-paste",
    "stage-text",
    "stage-media",
    "stage-forms",
    "stages",
    "lesson-page",
)


def settings_of(lesson_pk: int | None) -> dict[str, Any]:
    """Return the editor's settings as JSON values, in the active language.

    The preview and the uploads are pages of other apps, so they are named only by URL.
    """
    language = get_language() or "en"
    return {
        "types": {name: schema_in(name, language) for name in SCHEMAS},
        "texts": _texts(),
        "lesson": lesson_pk,
        "urls": {
            "live": reverse("admin:preview_live"),
            "image": reverse("admin:upload_image"),
            "video": reverse("admin:upload_video"),
            "watch": reverse("admin:watch_video"),
            "recent_media": reverse("admin:recent_media"),
            "sign_in": reverse("admin:login"),
            "prose": static("django_prose_editor/editor.js"),
            "katex": static("vendor/katex/katex.js"),
            "katex_style": static("vendor/katex/katex.css"),
        },
    }


def type_choices() -> list[tuple[str, dict[str, str]]]:
    """Return the stage types, with title and description in the active language.

    `_FIRST_TYPES` come first.
    """
    language = get_language() or "en"
    names = dict.fromkeys([*_FIRST_TYPES, *SCHEMAS])
    return [(name, translated_texts(SCHEMAS[name], language)) for name in names]


def _texts() -> dict[str, str]:
    return {
        # The texts of json-editor.
        "button_add_row_title": _("Add: {{0}}"),
        "button_delete_row_title": _("Remove: {{0}}"),
        "button_delete_row_title_short": _("Remove"),
        "button_delete_all": _("All"),
        "button_delete_all_title": _("Remove all"),
        "button_delete_last": _("Last: {{0}}"),
        "button_delete_last_title": _("Remove the last: {{0}}"),
        "button_move_up_title": _("Move up"),
        "button_move_down_title": _("Move down"),
        "button_collapse": _("Collapse"),
        "button_expand": _("Expand"),
        "button_delete_node_warning": _("Remove this permanently?"),
        "button_properties": _("Fields"),
        "button_object_properties": _("Fields"),
        "button_edit_json": _("Edit JSON"),
        "button_save": _("Save"),
        "button_copy": _("Copy"),
        "button_cancel": _("Cancel"),
        "button_add": _("Add"),
        "default_array_item_title": _("entry"),
        # The texts of our own fields.
        "right": _("Right answer"),
        "mark_right": _("Mark as the right answer"),
        "remove": _("Remove"),
        "remove_what": _("Remove: %(what)s"),
        "optional": _("optional"),
        "inline_hint": _(
            "May contain formulas in \\( \\), and <b>, <i>, <sub>, <sup> and <code> in "
            "pairs."
        ),
        "upload_image": _("Upload a picture"),
        "upload_video": _("Upload a video"),
        "replace": _("Upload another"),
        "or_address": _("or its address"),
        "recent": _("Recent pictures"),
        "recent_videos": _("Stored videos"),
        "choose_picture": _("Choose a picture"),
        "choose_video": _("Choose a video"),
        "search_media": _("Search by name or description"),
        "nothing_found": _("Nothing found."),
        "no_videos": _("No videos have been uploaded yet."),
        "upload_captions": _("Read a WebVTT file"),
        "picture_alt": _("Alternative text for people who cannot see the picture"),
        "no_pictures": _("No pictures have been uploaded yet."),
        "pasted_without": _("Not pasted: %(what)s"),
        "paste_without": _(
            "A lesson cannot contain everything that you paste. Paste it without these "
            "parts?\n\n%(what)s"
        ),
        "no_answer": _("The server did not answer. Try again."),
        "uploading": _("Uploading: %(share)s"),
        "cancel": _("Cancel"),
        "upload_failed": _("The upload failed. Try again."),
        "too_large": _("The file is too large for this server."),
        "wait_for_upload": _(
            "The upload is still running: wait until it is complete, or cancel it."
        ),
        "signed_out": _(
            "You are signed out. Your text is kept on this page: sign in in another "
            "tab, then continue."
        ),
        "sign_in": _("Sign in"),
        "bold": _("Bold"),
        "italic": _("Italic"),
        "underline": _("Underline"),
        "heading": _("Heading"),
        "bullets": _("List"),
        "numbers": _("Numbered list"),
        "quote": _("Quotation"),
        "link": _("Link"),
        "link_address": _("The link's address (https://…)"),
        "picture": _("Picture"),
        "formula": _("Formula"),
        "formula_tex": _("The formula in TeX"),
        "formula_display": _("On a line of its own"),
        "formula_insert": _("Insert"),
        "formula_change": _("Click to change the formula"),
        "formula_fault": _("This formula cannot be drawn: %(reason)s"),
        "plain": _("Remove formatting"),
        "source": _("HTML"),
        "only_html": _(
            "This text contains HTML that the toolbar does not support. Edit it as "
            "HTML to keep all of it."
        ),
        "token_hint": _("Type a word and press Enter"),
        "token_add": _("Add word"),
        "order_hint": _("Click the words in the correct order"),
        "order_clear": _("Start again"),
        "order_all": _("All, in the order above"),
        "order_empty": _("Add words above first."),
        "cue_hint": _(
            "One caption per paragraph, with its time above it; or paste a WebVTT file."
        ),
        # The texts of the cards.
        "new_stage": _("New stage"),
        "removed": _("“%(title)s” will be removed when you save."),
        "undo": _("Undo"),
        "moved": _("“%(title)s” is now number %(place)s."),
        "drag": _("Move “%(title)s”: drag, or press the arrow keys"),
        "copy_stage": _("Copy “%(title)s” and insert the copy below it"),
        "open": _("Expand"),
        "close": _("Collapse"),
        "json": _("JSON source"),
        "form": _("Back to the form"),
        "not_json": _("This is not valid JSON, so the form cannot be shown."),
        "not_finished": _("Not finished"),
        "seconds": _("%(seconds)s s"),
        "skippable": _("may be skipped"),
        "unknown_type": _("This type has no form. Enter its content as JSON."),
        "preview_failed": _(
            "The preview could not be refreshed. Your text is kept on this page."
        ),
        "leave": _("You have unsaved changes."),
    }
