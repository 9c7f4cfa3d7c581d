"""Admin pages of what nobody edits: logs, ledgers, results of jobs, choices made."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString


class ReadOnly:
    """For an admin or an inline: no row is added, changed or deleted by anybody."""

    def has_add_permission(self, *_args: Any) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """A list and pages to read, newest first, whatever the table's size."""

    list_per_page = 50
    show_full_result_count = False


class PlainChoices:
    """For an admin or an inline: choices without buttons that leave the page."""

    def formfield_for_dbfield(self, *args: Any, **kwargs: Any) -> Any:
        parent: Any = super()
        field = parent.formfield_for_dbfield(*args, **kwargs)
        widget = getattr(field, "widget", None)
        if isinstance(widget, RelatedFieldWidgetWrapper):
            widget.can_add_related = widget.can_change_related = False
            widget.can_delete_related = widget.can_view_related = False
        return field


class ReadOnlyChoice(forms.HiddenInput):
    """A row's choice that stays, in words: another choice is another row.

    A chooser would read its own choice again, for every row.
    """

    is_hidden = False
    """The column shows, though what it sends does not."""

    def __init__(self, shown: str) -> None:
        super().__init__()
        self.shown = shown

    def render(self, *args: Any, **kwargs: Any) -> SafeString:
        return format_html("{}{}", super().render(*args, **kwargs), self.shown)


def readable_json(value: Any) -> SafeString:
    """JSON, indented, for a page."""
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    return format_html('<pre class="readable" dir="auto">{}</pre>', text)
