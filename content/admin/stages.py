"""The stages on a lesson's page."""

from typing import Any

from adminsortable2.admin import SortableStackedInline
from django.forms import Media
from django.http import HttpRequest
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from content import field_labels, stage_editor
from content.forms import StageForm, StageFormSet
from content.media import faults
from content.models import LessonStage
from core.parsing import whole_number

_MAX_EMPTY_STAGES = 10


class StageInline(SortableStackedInline):
    """A lesson's stages, shown as cards; without JavaScript, as plain forms."""

    model = LessonStage
    form = StageForm
    formset = StageFormSet
    template = "admin/content/node/stages.html"
    extra = 0
    ordering = ("position",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("type", "title"),
                    "config",
                    ("target_time", "weight", "is_skippable"),
                )
            },
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return our fieldsets with the hidden position field that dragging sets."""
        name, options = self.fieldsets[0]
        return ((name, {"fields": (*options["fields"], self.default_order_field)}),)

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        """Return how many empty forms to show without JavaScript: ``?stages=2``."""
        value = request.GET.get("stages", "")
        stages = whole_number(value)
        return self.extra if stages is None else min(stages, _MAX_EMPTY_STAGES)

    @property
    def media(self) -> Media:
        """Only our scripts; they also sort the cards."""
        scripts: list[Any] = [
            Script("vendor/json-editor/jsoneditor.js"),
            Script("memora/html.js"),
            *(Script(f"memora/{name}.js") for name in stage_editor.SCRIPTS),
        ]
        return Media(css={"all": ["memora/stages.css"]}, js=scripts)


class Script:
    """A deferred script, for the media of a form."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __html__(self) -> SafeString:
        return format_html('<script src="{}" defer></script>', static(self.path))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Script) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)


def media_faults(context: dict[str, Any]) -> dict[int, list[tuple[str, str]]]:
    """Return, by stage, the places and reasons of stored media that students miss.

    Videos in the bucket are not requested, so that the page does not wait for it.
    """
    stages = [
        form.instance
        for inline in context["inline_admin_formsets"]
        for form in inline.formset.initial_forms
    ]
    found = faults.of_stages((stage.type, stage.stored_config) for stage in stages)
    return {
        stage.pk: [
            (field_labels.place(stage.type, path), reason) for path, reason in of_stage
        ]
        for stage, of_stage in zip(stages, found, strict=True)
    }
