"""Admin pages of what nobody edits: logs, ledgers, results of jobs."""

import json
from typing import Any

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


def readable_json(value: Any) -> SafeString:
    """JSON, indented, for a page."""
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    return format_html('<pre class="readable" dir="auto">{}</pre>', text)
