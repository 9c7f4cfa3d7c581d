"""The labels of the fields of stages' configs, as the form shows them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.utils.translation import get_language

from content.json_diff import Difference
from content.json_errors import Fault
from content.stage_types import SCHEMAS, translated_texts

Schema = Mapping[str, Any]


def place(type_name: str, path: Sequence[str | int]) -> str:
    """Return a path from the root of a config as text: ``Questions 1 › Question text``.

    Args:
        path: entries of lists are counted from 0.
    """
    counted = [step + 1 if isinstance(step, int) else step for step in path]
    return " › ".join(_labels(SCHEMAS.get(type_name, {}), counted))


def sentences(type_name: str, faults: Iterable[Fault]) -> list[str]:
    """Return each fault with its place: ``Pairs: must contain at least 2 pairs``."""
    return [
        f"{where}: {reason}" if (where := place(type_name, path)) else reason
        for path, reason in faults
    ]


def labelled(type_name: str, differences: Iterable[Difference]) -> Iterator[Difference]:
    """Yield the differences of two configs with labels in their paths and values."""
    schema = SCHEMAS.get(type_name, {})
    for difference in differences:
        at = _schema_at(schema, difference.path)
        yield replace(
            difference,
            path=tuple(_labels(schema, difference.path)),
            old=_with_labels(at, difference.old),
            new=_with_labels(at, difference.new),
        )


def _labels(schema: Schema, path: Sequence[str | int]) -> list[str]:
    """Return the labels of a path; those of a list and of its entry are one.

    A step that the schema does not know is its own label.
    """
    found: list[str] = []
    is_list_named = False
    for step in path:
        if "items" in schema:
            if is_list_named:
                found[-1] += f" {step}"
            else:
                found.append(f"{_title(schema)} {step}".strip())
            is_list_named = False
        else:
            found.append(_title(_child(schema, step)) or str(step))
            is_list_named = True
        schema = _child(schema, step)
    return found


def _with_labels(schema: Schema, value: Any) -> Any:
    """Return a JSON value with labels as keys, in the order of the form; without ids."""
    if isinstance(value, list):
        return [_with_labels(schema.get("items", {}), entry) for entry in value]
    if not isinstance(value, dict):
        return value
    known = [key for key in schema.get("properties", {}) if key in value]
    children = {key: _child(schema, key) for key in [*known, *value]}
    return {
        _title(child) or key: _with_labels(child, value[key])
        for key, child in children.items()
        if not child.get("x-item-id")
    }


def _schema_at(schema: Schema, path: Iterable[str | int]) -> Schema:
    for step in path:
        schema = _child(schema, step)
    return schema


def _child(schema: Schema, step: str | int) -> Schema:
    if "items" in schema:
        found: Schema = schema["items"]
        return found
    inner: Schema = schema.get("properties", {}).get(str(step), {})
    return inner


def _title(schema: Schema) -> str:
    return translated_texts(schema, get_language() or "en").get("title", "")
