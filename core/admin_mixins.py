"""Mixins for admin pages, above all of rows that are never edited by hand."""

import json
from abc import ABCMeta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString


class AbstractAdmin(ABCMeta, forms.MediaDefiningClass):
    """The metaclass of an admin with abstract methods."""


class ReadOnly:
    """Mixin for an admin or an inline: rows cannot be added, changed or deleted."""

    def has_add_permission(self, *_args: Any) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """A read-only admin whose list does not count large tables."""

    list_per_page = 50
    show_full_result_count = False


class NoRelatedButtons:
    """Mixin for an admin or an inline: removes the related-object buttons."""

    def formfield_for_dbfield(self, *args: Any, **kwargs: Any) -> Any:
        parent: Any = super()
        field = parent.formfield_for_dbfield(*args, **kwargs)
        widget = getattr(field, "widget", None)
        if isinstance(widget, RelatedFieldWidgetWrapper):
            widget.can_add_related = widget.can_change_related = False
            widget.can_delete_related = widget.can_view_related = False
        return field


class ReadOnlyChoice(forms.HiddenInput):
    """A hidden input that shows a fixed choice as text.

    A select would query its choices again for every row.
    """

    is_hidden = False
    """False, so that the column is shown although the input is hidden."""

    def __init__(self, shown: str) -> None:
        super().__init__()
        self.shown = shown

    def render(self, *args: Any, **kwargs: Any) -> SafeString:
        return format_html("{}{}", super().render(*args, **kwargs), self.shown)


def readable_json(value: Any) -> SafeString:
    """Render a JSON value, indented, as HTML."""
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    return format_html('<pre class="readable" dir="auto">{}</pre>', text)
