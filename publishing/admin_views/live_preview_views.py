"""The preview beside a lesson's form: the document that the form would publish."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_POST, require_safe

from content.json_errors import Fault
from content.kinds import Kind
from content.models import Node
from content.queries import content_node
from content.stage_configs import (
    MAX_LESSON_BYTES,
    ConfigError,
    byte_size,
    clean,
    lesson_size_fault,
    repeated_item_fault,
    repeated_items,
)
from content.tree import Stage
from core import folding, json_limits
from core.fields import CanonicalJSONEncoder
from core.parsing import whole_number
from publishing.admin_views.preview_parts import (
    direction_of,
    language_and_direction,
    require_view,
    ui_texts,
    with_security_headers,
)
from publishing.building import draft_documents

_MAX_STAGES = 500
MAX_BYTES = 2 * MAX_LESSON_BYTES
"""Twice a lesson's limit: titles, and parts of configs that saving would remove."""


@require_safe
@xframe_options_sameorigin
@with_security_headers
def blank(request: HttpRequest) -> HttpResponse:
    """Render the inner page without a lesson; the outer page sends it while editing."""
    require_view(request)
    context = {
        "title": "",
        "document": None,
        "texts": ui_texts(),
        "folding": folding.tables(),
        "is_live": True,
    }
    return TemplateResponse(request, "preview/lesson.html", context)


@require_POST
def live(request: HttpRequest) -> HttpResponse:
    """Return the document that the form would publish in its present state.

    Takes ``{"lesson": pk or null, "title", "description", "stages": [{"type",
    "title", "config", "weight", "target_time", "is_skippable"}]}``; returns
    ``{"document", "direction", "faults", "losses", "size_fault"}``. ``faults`` has one
    list of ``[path, reason]`` per stage; ``losses`` likewise, for parts that saving
    would remove. A stage with faults is ``{"unfinished": true}`` in the document.
    ``size_fault`` is the reason why the lesson is too large to save, or "". A body that
    is too large or malformed gets 400 with ``{"message"}``.

    Raises:
        PermissionDenied: the user may not view content.
    """
    require_view(request)
    try:
        typed = _from_form(request.body)
    except json_limits.JSONLimitError:
        return _refused(
            _(
                "The lesson is too large for a preview, or its JSON is nested too "
                "deeply."
            )
        )
    if typed is None:
        return _refused(
            _("The preview cannot read the data of this page. Reload the page.")
        )
    lesson = _lesson_from_form(typed)
    good: dict[int, Stage] = {}
    configs: list[tuple[int, str, dict[str, Any]]] = []
    faults: list[list[Any]] = []
    losses: list[list[Any]] = []
    size = 0
    for number, stage in enumerate(typed["stages"]):
        kind = str(stage.get("type", ""))
        try:
            cleaned = clean(kind, stage.get("config"))
        except ConfigError as error:
            faults.append(_placed(error.faults))
            losses.append([])
        else:
            faults.append([])
            losses.append(_placed((text.path, text.what) for text in cleaned.losses))
            size += byte_size(cleaned.config)
            good[number] = _stage_from_form(number, kind, stage, cleaned.config)
            configs.append((number, kind, cleaned.config))
    for number, fault in _repeated_items(configs, typed["stages"], lesson.title):
        faults[number] += _placed([fault])
    document = draft_documents.lesson_document(
        content_node(lesson, stages=good.values())
    )
    checked = dict(zip(good, document["stages"], strict=True))
    document["stages"] = [
        checked.get(number, {"unfinished": True, "title": str(stage.get("title", ""))})
        | {"idx": number + 1}
        for number, stage in enumerate(typed["stages"])
    ]
    if lesson.pk:
        direction = language_and_direction(lesson)["content_direction"]
    else:
        direction = direction_of(lesson.title)
    answer = {
        "document": document,
        "direction": direction,
        "faults": faults,
        "losses": losses,
        "size_fault": lesson_size_fault(size),
    }
    return HttpResponse(orjson.dumps(answer), content_type="application/json")


def _repeated_items(
    configs: Sequence[tuple[int, str, dict[str, Any]]],
    stages: Sequence[Mapping[str, Any]],
    lesson: str,
) -> Iterator[tuple[int, Fault]]:
    """Yield the number of each stage that repeats another one's item, with the fault."""
    titles = [
        str(stages[number].get("title", "")) for number, _kind, _config in configs
    ]
    pairs = ((kind, config) for _number, kind, config in configs)
    for repeated in repeated_items(pairs):
        reason = repeated_item_fault(repeated, lesson=lesson, stages=titles)
        yield configs[repeated.second][0], (repeated.path, reason)


def _placed(found: Iterable[Fault]) -> list[Any]:
    return [[list(place), why] for place, why in found]


def _refused(message: str) -> JsonResponse:
    return JsonResponse({"error": message}, status=HTTPStatus.BAD_REQUEST)


def _from_form(body: bytes) -> dict[str, Any] | None:
    """Parse the body; return None if it does not have the expected form.

    Raises:
        JSONLimitError: the body is larger or nested deeper than any lesson.
    """
    try:
        typed = json_limits.loads(body, max_bytes=MAX_BYTES)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(typed, dict):
        return None
    stages = typed.get("stages")
    if not isinstance(stages, list) or len(stages) > _MAX_STAGES:
        return None
    return typed if all(isinstance(stage, dict) for stage in stages) else None


def _lesson_from_form(typed: dict[str, Any]) -> Node:
    """Return the lesson with the form's values and its stored picture. Not saved."""
    pk = typed.get("lesson")
    found = None
    if isinstance(pk, int) and 0 < pk < 2**63:
        found = Node.objects.filter(pk=pk, kind=Kind.LESSON.value).first()
    lesson = found or Node(kind=Kind.LESSON.value, public_id="LES-NEW")
    lesson.title = str(typed.get("title", ""))[:255]
    lesson.description = str(typed.get("description", ""))
    return lesson


def _stage_from_form(
    number: int, kind: str, stage: dict[str, Any], config: Any
) -> Stage:
    return Stage(
        id=f"STG-{number + 1}",
        type=kind,
        title=str(stage.get("title", ""))[:255],
        config=json.dumps(config, cls=CanonicalJSONEncoder),
        weight=_number_or(stage.get("weight"), 1),
        target_time=_number_or(stage.get("target_time"), 60),
        is_skippable=bool(stage.get("is_skippable")),
    )


def _number_or(value: Any, otherwise: int) -> int:
    found = whole_number(str(value), maximum=999_999)
    return otherwise if found is None else found
