"""What a stage may be: one JSON Schema (draft 2020-12) per type, beside this file.

``Quiz.schema.json`` makes ``Quiz`` a type; adding a type is adding a file. A schema
describes the stage's ``config`` and drives the admin's form, so it has titles and
descriptions. Beside JSON Schema's own words it may say:

- ``"x-ar"``: the Arabic ``title``, ``description``, ``x-hint`` and ``x-titles`` of this
  place;
- ``"x-hint"``: what to write where ``pattern`` refuses;
- ``"x-item-id": true``: the stable id of something that can be reviewed; it is made
  where it is missing;
- ``"contentMediaType": "text/html"``: HTML, sanitised on save; with
  ``"x-embed": true`` it may hold an ``<iframe>``;
- ``"x-widget"``: a nicer field than the type's own in the admin's form (``image``,
  ``video``, ``text``, ``options``, ``pairs``, ``tokens``, ``order``, ``cues``);
- ``"x-frame": true``: the address of what a frame shows; a video's page becomes its
  player;
- ``"x-titles"``: what people read instead of an ``enum``'s values;
- ``"default"``: what the form starts a new stage with.

Plain values: no Django here.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SUFFIX = ".schema.json"


def _load() -> dict[str, dict[str, Any]]:
    return {
        path.name.removesuffix(_SUFFIX): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(Path(__file__).parent.glob(f"*{_SUFFIX}"))
    }


SCHEMAS: Mapping[str, dict[str, Any]] = _load()
"""Every type's schema by the type's name, in alphabetical order."""


def words(schema: Mapping[str, Any], language: str) -> dict[str, str]:
    """The ``title``, ``description`` and ``x-hint`` of one place, in ``language``.

    English where there is no translation.
    """
    found = {
        key: schema[key] for key in ("title", "description", "x-hint") if key in schema
    }
    found.update(schema.get(f"x-{language.split('-')[0]}", {}))
    return found


def schema_in(type_name: str, language: str) -> dict[str, Any]:
    """A type's schema with its words in ``language``; for forms.

    Raises:
        KeyError: there is no such type.
    """
    translated: dict[str, Any] = _in_language(SCHEMAS[type_name], language)
    return translated


def _in_language(value: Any, language: str) -> Any:
    if isinstance(value, list):
        return [_in_language(item, language) for item in value]
    if not isinstance(value, dict):
        return value
    said = {key: _in_language(item, language) for key, item in value.items()}
    said.update(words(value, language) if isinstance(value.get("title"), str) else {})
    return said
