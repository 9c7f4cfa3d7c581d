"""Template tags of the stage cards."""

import json
from collections.abc import Mapping

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from content.forms import StageForm
from content.models import LessonStage

register = template.Library()

_ICONS = {
    "Video": '<rect x="3" y="6" width="26" height="20" rx="3"/><path d="M13 11.5v9l8-4.5z" class="fill"/>',
    "Text": '<path d="M5 8h22M5 14h22M5 20h22M5 26h13"/>',
    "Quiz": (
        '<circle cx="7" cy="9" r="3"/><path d="M14 9h14"/>'
        '<circle cx="7" cy="23" r="3" class="fill"/><path d="M14 23h14"/>'
    ),
    "Matching": (
        '<rect x="3" y="4" width="9" height="9" rx="2"/>'
        '<rect x="20" y="19" width="9" height="9" rx="2"/>'
        '<rect x="3" y="19" width="9" height="9" rx="2" class="fill"/>'
        '<rect x="20" y="4" width="9" height="9" rx="2" class="fill"/>'
        '<path d="M12 9l8 14M12 23l8-14"/>'
    ),
    "Reveal": (
        '<rect x="4" y="8" width="17" height="20" rx="2"/>'
        '<path d="M11 8V4h17v20h-7"/><path d="M12.5 15.5v5M10 18h5"/>'
    ),
    "SentenceBuilder": (
        '<rect x="3" y="6" width="11" height="8" rx="2"/>'
        '<rect x="17" y="6" width="12" height="8" rx="2" class="fill"/>'
        '<rect x="3" y="18" width="16" height="8" rx="2"/><path d="M23 26h6"/>'
    ),
    "FillIn": (
        '<path d="M3 10h9M20 10h9M3 22h5M27 22h2"/><path d="M12.5 13h7M9 25h17"/>'
        '<path d="M16 5v6M14 5h4M14 11h4" class="fill"/>'
    ),
    "OpenAnswer": (
        '<path d="M5 8h14M5 14h9M5 20h6"/>'
        '<path d="M13 26l1.5-5L25 10.5l3.5 3.5L18 24.5z" class="fill"/>'
    ),
    "Interactive": (
        '<rect x="3" y="5" width="26" height="22" rx="3"/><path d="M3 11h26"/>'
        '<path d="M14 15l9 4-4 1.5-1.5 4z" class="fill"/>'
    ),
}
_ANY = '<rect x="4" y="4" width="24" height="24" rx="4"/>'


@register.simple_tag
def stage_icon(type_name: str) -> SafeString:
    """Render the icon of a stage type; a plain square for an unknown type."""
    drawn = mark_safe(_ICONS.get(type_name, _ANY))  # noqa: S308 - constants above
    return format_html(
        '<svg class="stage-icon" viewBox="0 0 32 32" aria-hidden="true">{}</svg>', drawn
    )


@register.filter
def faults_json(form: StageForm) -> str:
    """Return the errors in the posted config for the script: ``[[path, why]]``."""
    found = [[list(path), why] for path, why in form.config_faults]
    return json.dumps(found, ensure_ascii=False)


@register.filter
def of_stage(
    faults: Mapping[int, list[tuple[str, str]]], stage: LessonStage
) -> list[tuple[str, str]]:
    """Return the faults of one stage: pairs of place and reason."""
    return faults.get(stage.pk, []) if faults else []
