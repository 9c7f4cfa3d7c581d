"""The texts in a stage's config: sanitise them, limit them, prepare them for readers.

The type's schema marks which texts are HTML, URLs or required.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema_rs
from django.utils.translation import gettext as _

from content import formulas, rich_text, video_pages
from content.formula_faults import reasons as formula_faults_in
from content.json_errors import Fault, Path, make_validator
from content.losses import TextLosses
from content.rich_text import Excess
from content.stage_types import SCHEMAS
from core.fields import CanonicalJSONEncoder
from core.folding import visible_text

Absolute = Callable[[str], str]
"""Makes an absolute URL of a path on this site, such as ``/media/a.png``."""


def sanitise(type_name: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return ``config`` with its HTML fields sanitised. Idempotent.

    Raises:
        KeyError: there is no such type.
    """
    return _changed(SCHEMAS[type_name], config, _sanitised)  # type: ignore[no-any-return]


def for_readers(type_name: str, text: str, absolute: Absolute) -> str:
    """Return the text of a stored config as it is published.

    HTML is sanitised again, by today's rules. Paths on this site, in picture fields and
    in HTML, become absolute URLs, because readers get the document from another host. A
    video's page on another site gets its ``player_url``. A text with none of these is
    returned without being parsed.
    """
    is_plain = "<" not in text and '"/' not in text
    has_page = type_name == "Video" and video_pages.may_have_player(text)
    if type_name not in SCHEMAS or (is_plain and not has_page):
        return text

    def readable(_path: Path, place: Mapping[str, Any], value: str) -> str:
        if _is_html(place):
            embed = bool(place.get("x-embed"))
            return rich_text.sanitise(value, embed=embed, absolute=absolute)
        if place.get("x-widget") == "image" and rich_text.is_here(value):
            return absolute(value)
        return value

    config = _changed(SCHEMAS[type_name], json.loads(text), readable)
    if has_page and isinstance(config, dict):
        page = video_pages.find_video_page(str(config.get("source", "")))
        if page and page.player_url:
            config["player_url"] = page.player_url
    return json.dumps(config, cls=CanonicalJSONEncoder)


def _conditions(
    schema: Any,
) -> Iterator[tuple[int, jsonschema_rs.Draft202012Validator]]:
    """Yield every ``if`` in ``schema``, compiled, with the ``id()`` of its parent."""
    if isinstance(schema, dict):
        if "if" in schema:
            yield id(schema), make_validator(schema["if"])
        for inner in schema.values():
            yield from _conditions(inner)


_CONDITIONS = dict(_conditions(dict(SCHEMAS)))

Change = Callable[[Path, Mapping[str, Any], str], str]
"""Returns the new text, from its path, its place in the schema and the old text."""


def changed(type_name: str, config: Any, change: Change) -> Any:
    """Return a copy of ``config`` with each text changed; unchanged for unknown types."""
    if type_name not in SCHEMAS:
        return config
    return _changed(SCHEMAS[type_name], config, change)


def _changed(
    schema: Mapping[str, Any], value: Any, change: Change, path: Path = ()
) -> Any:
    """Return a copy of ``value`` with each text changed, as deep as the schema."""
    if isinstance(value, str):
        return change(path, schema, value)
    if isinstance(value, list) and "items" in schema:
        inner = schema["items"]
        return [
            _changed(inner, element, change, (*path, index))
            for index, element in enumerate(value)
        ]
    if isinstance(value, dict) and "properties" in schema:
        properties = _properties(schema, value)
        return {
            key: _changed(properties.get(key, {}), inner, change, (*path, key))
            for key, inner in value.items()
        }
    return value


def _is_html(place: Mapping[str, Any]) -> bool:
    return place.get("contentMediaType") == "text/html"


def _sanitised(_path: Path, place: Mapping[str, Any], text: str) -> str:
    if not _is_html(place):
        return text
    return rich_text.sanitise(text, embed=bool(place.get("x-embed")))


def clean(
    schema: Mapping[str, Any], config: Any
) -> tuple[Any, list[Fault], list[TextLosses]]:
    """Return a copy with its texts ready to store, the excesses and the losses.

    An excess is a fault for a text above a limit.
    """
    excesses: list[Fault] = []
    losses: list[TextLosses] = []

    def stored(path: Path, place: Mapping[str, Any], text: str) -> str:
        if place.get("x-widget") == "video":
            return video_pages.complete_address(text)
        if place.get("x-frame"):
            return video_pages.frame_address(text)
        if not _is_html(place):
            return text
        cleaned = rich_text.clean(text, embed=bool(place.get("x-embed")))
        # The schema reports too many characters: its limits are lower.
        if cleaned.excess in _EXCESS_REASONS:
            excesses.append((path, _EXCESS_REASONS[cleaned.excess]()))
        elif cleaned.lost:
            losses.append(TextLosses(path, cleaned.lost))
        return cleaned.html

    return _changed(schema, config, stored), excesses, losses


_EXCESS_REASONS: dict[Excess | None, Callable[[], str]] = {
    Excess.ELEMENTS: lambda: (
        _("has more than %(count)d HTML elements") % {"count": rich_text.MAX_ELEMENTS}
    ),
    Excess.DEPTH: lambda: (
        _("has HTML elements nested more than %(count)d deep")
        % {"count": rich_text.MAX_DEPTH}
    ),
}


def blank_faults(schema: Mapping[str, Any], config: Any) -> list[Fault]:
    """Return a fault for each required text that displays nothing."""
    found: list[Fault] = []

    def visit(path: Path, place: Mapping[str, Any], text: str) -> str:
        if place.get("minLength") and "pattern" not in place:
            seen = rich_text.has_content if _is_html(place) else visible_text
            if not seen(text):
                found.append((path, _("must not be empty")))
        return text

    _changed(schema, config, visit)
    return found


def fields(type_name: str, config: Any) -> list[tuple[Path, Mapping[str, Any], str]]:
    """Return each text of a config: its path, its place in the schema, and the text.

    Empty if there is no such type.
    """
    found: list[tuple[Path, Mapping[str, Any], str]] = []

    def visit(path: Path, place: Mapping[str, Any], text: str) -> str:
        found.append((path, place, text))
        return text

    _changed(SCHEMAS.get(type_name, {}), config, visit)
    return found


# --- Formulas -----------------------------------------------------------------


def formula_faults(type_name: str, config: Any) -> list[Fault]:
    """Return a fault for each formula that cannot be drawn, and for too many of them.

    Formulas are in the texts of all types but those that show none: videos and
    interactive pages.

    Raises:
        KeyError: there is no such type.
    """
    found: list[Fault] = []
    dollars = has_dollar_formulas(config)

    def visit(path: Path, place: Mapping[str, Any], text: str) -> str:
        # Addresses, ids and choices have a pattern or a list of values.
        is_fixed = "pattern" in place or "enum" in place
        if not is_fixed and ("\\" in text or (dollars and "$" in text)):
            written = _formulas_in(place, text, dollars=dollars)
            found.extend((path, reason) for reason in formula_faults_in(written))
        return text

    if type_name not in _WITHOUT_FORMULAS:
        _changed(SCHEMAS[type_name], config, visit)
    return found


def has_dollar_formulas(config: Any) -> bool:
    """Return whether a stage's texts may have formulas between dollar signs."""
    return isinstance(config, dict) and config.get("dollar_formulas") is True


_WITHOUT_FORMULAS = frozenset({"Video", "Interactive"})


def _formulas_in(
    place: Mapping[str, Any], text: str, *, dollars: bool
) -> Iterator[formulas.Formula]:
    if _is_html(place):
        return formulas.in_html(text, dollars=dollars)
    if place.get("x-widget") == "text":
        return formulas.in_markdown(text, dollars=dollars)
    return formulas.in_text(text, dollars=dollars)


def _properties(schema: Mapping[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Return the schema's properties, merged with its ``then`` if its ``if`` holds."""
    properties: dict[str, Any] = schema.get("properties", {})
    condition = _CONDITIONS.get(id(schema))
    if condition is not None and condition.is_valid(value):
        extra = schema["then"]["properties"]
        properties = {
            key: {**inner, **extra.get(key, {})} for key, inner in properties.items()
        }
    return properties
