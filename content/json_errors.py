"""Translate the errors of a JSON Schema into messages that help editors fix them.

The schema decides; the messages are translated, and the place is a JSON path such as
``config.pairs[0].left``.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jsonschema_rs
from django.utils.translation import get_language, gettext as _, gettext_lazy

from content.stage_types import translated_texts

Path = tuple[str | int, ...]
Fault = tuple[Path, str]
"""The path from the root of the value, and the reason."""

MAX_LISTED = 10_000
_PATTERNS = jsonschema_rs.RegexOptions()
"""Patterns are matched in linear time, without lookaround and back-references."""
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")


def path_text(path: Sequence[str | int]) -> str:
    """Return a path as text: ``subject.tracks[0].title``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.match(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step[:64], ensure_ascii=False)}]"
    return text


def make_validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Return a validator whose patterns take time linear in the text.

    Raises:
        jsonschema_rs.ValidationError: the schema, or a pattern in it, is not valid.
    """
    return jsonschema_rs.Draft202012Validator(schema, pattern_options=_PATTERNS)


def schema_faults(
    validator: jsonschema_rs.Draft202012Validator, schema: Mapping[str, Any], value: Any
) -> Iterator[Fault]:
    """Yield every fault of ``value`` against ``schema``.

    If it contains more than `MAX_LISTED` values, only the first fault: the validator
    creates all errors at once, some kilobytes each.
    """
    try:
        if validator.is_valid(value):
            return
        errors = _errors(validator, value)
    except ValueError:  # jsonschema_rs raises it above about 250 levels
        yield (), _("is nested too deeply")
        return
    for error in errors:
        place = _schema_at(schema, error.schema_path[:-1])
        path = tuple(error.instance_path)
        match error.kind.name:
            case "required":
                yield (*path, str(error.kind.value)), _("is missing")
            case "additionalProperties":
                for key in error.kind.value:
                    yield (*path, key), _unknown_key(place)
            case name if name in _REASONS:
                yield path, _REASONS[name](error.kind.value, place)
            case _:
                yield path, error.message


def _errors(
    validator: jsonschema_rs.Draft202012Validator, value: Any
) -> list[jsonschema_rs.ValidationError]:
    if not _holds_more_than(MAX_LISTED, value):
        return list(validator.iter_errors(value))
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return [error]
    return []


def _holds_more_than(limit: int, value: Any) -> bool:
    """Return whether a JSON value contains more than ``limit`` values; stop there."""
    waiting = [value]
    count = 0
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict | list):
            count += len(found)
            if count > limit:
                return True
            waiting.extend(found.values() if isinstance(found, dict) else found)
    return False


def _schema_at(schema: Mapping[str, Any], path: Sequence[str | int]) -> dict[str, Any]:
    place: Any = schema
    for step in path:
        place = place[step]
        if step == "$ref":  # within this schema: #/$defs/name
            place = _schema_at(schema, place.removeprefix("#/").split("/"))
    return place if isinstance(place, dict) else {}


def _words(place: Mapping[str, Any]) -> dict[str, str]:
    return translated_texts(place, get_language() or "en")


def _unknown_key(place: Mapping[str, Any]) -> str:
    known = ", ".join(place.get("properties", ()))
    return _("is not allowed here; allowed: %(known)s") % {"known": known}


_TYPES = {
    "string": gettext_lazy("text"),
    "integer": gettext_lazy("a whole number"),
    "number": gettext_lazy("a number"),
    "boolean": gettext_lazy("true or false"),
    "array": gettext_lazy("a list"),
    "object": gettext_lazy("an object"),
}


def _wrong_type(types: list[str], _place: Mapping[str, Any]) -> str:
    names = ", ".join(str(_TYPES.get(name, name)) for name in types)
    return _("must be %(type)s") % {"type": names}


def _too_few(minimum: int, place: Mapping[str, Any]) -> str:
    if minimum == 1:
        return _("must not be empty")
    what = _words(place).get("title", "").lower()
    return _("must contain at least %(count)d %(what)s") % {
        "count": minimum,
        "what": what,
    }


def _too_many(maximum: int, place: Mapping[str, Any]) -> str:
    what = _words(place).get("title", "").lower()
    return _("must contain at most %(count)d %(what)s") % {
        "count": maximum,
        "what": what,
    }


def _too_short(minimum: int, _place: Mapping[str, Any]) -> str:
    if minimum == 1:
        return _("must not be empty")
    return _("must have at least %(count)d characters") % {"count": minimum}


def _too_long(maximum: int, _place: Mapping[str, Any]) -> str:
    return _("must have at most %(count)d characters") % {"count": maximum}


def _pattern(_regex: str, place: Mapping[str, Any]) -> str:
    return str(_words(place).get("x-hint") or _("does not have the expected format"))


def _enum(options: list[Any], _place: Mapping[str, Any]) -> str:
    return _("must be one of: %(options)s") % {
        "options": ", ".join(str(option) for option in options)
    }


_REASONS: dict[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "type": _wrong_type,
    "minItems": _too_few,
    "maxItems": _too_many,
    "minLength": _too_short,
    "maxLength": _too_long,
    "pattern": _pattern,
    "enum": _enum,
    "const": lambda value, _place: _("must be %(value)s") % {"value": value},
    "minimum": lambda value, _place: _("must be at least %(value)s") % {"value": value},
    "maximum": lambda value, _place: _("must be at most %(value)s") % {"value": value},
}
