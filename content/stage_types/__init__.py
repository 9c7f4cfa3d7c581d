"""The stage types: one JSON Schema (draft 2020-12) per type, beside this file.

``Quiz.schema.json`` defines the type ``Quiz``; to add a type, add a file. A schema
describes the stage's ``config`` and generates the admin's form, so it has titles and
descriptions. Besides the keywords of JSON Schema it may have:

- ``"x-ar"``: the Arabic ``title``, ``description``, ``x-hint`` and ``x-titles``;
- ``"x-hint"``: the message when ``pattern`` does not match;
- ``"x-item-id": true``: the permanent id of a reviewable item; created if missing;
- ``"contentMediaType": "text/html"``: HTML, sanitised on save; with ``"x-embed": true``
  it may contain an ``<iframe>``;
- ``"x-widget"``: a special field in the admin's form (``image``, ``video``, ``text``,
  ``options``, ``pairs``, ``tokens``, ``order``, ``cues``);
- ``"x-frame": true``: the URL of a page in a frame; a video's page is replaced by its
  player;
- ``"x-titles"``: the labels of the values of an ``enum``;
- ``"default"``: the initial value in the form of a new stage.

Plain Python: no Django here.
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
"""The schema of every type by name, in alphabetical order."""


def translated_texts(schema: Mapping[str, Any], language: str) -> dict[str, str]:
    """Return the ``title``, ``description`` and ``x-hint`` of a schema in ``language``.

    English if there is no translation.
    """
    found = {
        key: schema[key] for key in ("title", "description", "x-hint") if key in schema
    }
    found.update(schema.get(f"x-{language.split('-')[0]}", {}))
    return found


def schema_in(type_name: str, language: str) -> dict[str, Any]:
    """Return a type's schema with its texts in ``language``, for forms.

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
    translated = {key: _in_language(item, language) for key, item in value.items()}
    translated.update(
        translated_texts(value, language) if isinstance(value.get("title"), str) else {}
    )
    return translated
