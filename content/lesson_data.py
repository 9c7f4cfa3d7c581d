"""A lesson's form as data: its fields, its stages by key, and their hashes.

Nothing here reads the database.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from content.field_lists import StageFields
from core.parsing import MAX_KEY, whole_number

PREFIX = "stages"
FIELDS = (
    *("title", "description", "color_code", "base_xp", "is_published"),
    *("is_public", "is_free_preview", "required_item"),
)
"""The lesson's own fields that are merged. An image is sent only when it is changed."""
STAGE_FIELDS = (*StageFields.CONTENT, "DELETE")
CHOICE = "version"
"""The names of the radio buttons that choose a version begin with it."""
_MAX_STAGES = 1000

Values = Mapping[str, str]
"""A stage's fields as a form sends them; a box that is not ticked is "".

``DELETE`` is one of these boxes.
"""


@dataclass(frozen=True, slots=True)
class LessonContent:
    """A lesson's own fields, and its stages by key in order, as a form sends them.

    The key of a stage is its primary key; that of a new stage of an unfinished version is
    a random one (`UnfinishedLesson`).
    """

    fields: Values
    stages: Mapping[str, Values]

    @property
    def hashes(self) -> dict[str, str]:
        """A hash of each field and stage, in order."""
        own = {name: hash_of(value.strip()) for name, value in self.fields.items()}
        return own | {key: stage_hash(values) for key, values in self.stages.items()}


def form_data(fields: Iterable[Sequence[str]]) -> QueryDict:
    """Return stored fields, as names and values, as a form is posted."""
    data = QueryDict(mutable=True)
    for name, value in fields:
        data.appendlist(name, value)
    return data


def version_of(content: LessonContent) -> str:
    """Return the text of ``seen``: the hashes of a page that shows ``content``."""
    return json.dumps(list(content.hashes.items()), separators=(",", ":"))


def parse_version(seen: str) -> dict[str, str] | None:
    """Return the hashes in ``seen``; None if it has none."""
    try:
        return {str(key): str(value) for key, value in json.loads(seen)}
    except (ValueError, TypeError):
        return None


# --- Stages in a form's data -------------------------------------------------------------


def entries(data: QueryDict) -> dict[str, dict[str, str]]:
    """Return the stages of a form by key, in the editor's order.

    The key of a new stage is ``new`` and its number in the form.
    """
    total = data.get(f"{PREFIX}-TOTAL_FORMS", "")
    found: list[tuple[int, str, dict[str, str]]] = []
    for number in range(whole_number(str(total), maximum=_MAX_STAGES) or 0):
        start = f"{PREFIX}-{number}-"
        values = {
            name.removeprefix(start): str(data[name])
            for name in data
            if name.startswith(start)
        }
        values = {**dict.fromkeys(StageFields.CONTENT, ""), **values}
        place = whole_number(values.get("position", ""))
        place = MAX_KEY if place is None else place
        key = values.get("id") or values.get("key") or f"new{number}"
        found.append((place, key, values))
    found.sort(key=lambda entry: entry[0])
    return {key: values for _place, key, values in found}


def _positions(stages: Sequence[dict[str, str]]) -> list[int]:
    """Return the stages' positions; new ones unless theirs are in order.

    Saving a page without a change must not change the positions.
    """
    places = [whole_number(values.get("position", "")) for values in stages]
    known = [place for place in places if place is not None]
    if len(known) == len(stages) and known == sorted(set(known)):
        return known
    return list(range(1, len(stages) + 1))


def write(data: QueryDict, stages: list[dict[str, str]], lesson_pk: int) -> None:
    """Replace the stages in a form's data: stored ones first, as Django expects them."""
    for name in [name for name in data if name.startswith(f"{PREFIX}-")]:
        if name.removeprefix(f"{PREFIX}-")[:1].isdigit():
            del data[name]
    for place, values in zip(_positions(stages), stages, strict=True):
        values |= {"position": str(place), "lesson": str(lesson_pk)}
    stages = sorted(stages, key=lambda values: not values.get("id"))
    for number, values in enumerate(stages):
        for name, value in values.items():
            if value or name not in ("is_skippable", "DELETE", "key"):
                data[f"{PREFIX}-{number}-{name}"] = value
    stored = sum(bool(values.get("id")) for values in stages)
    data[f"{PREFIX}-TOTAL_FORMS"] = str(len(stages))
    data[f"{PREFIX}-INITIAL_FORMS"] = str(stored)


# --- Values and hashes ------------------------------------------------------------------


def text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else ""
    return str(value).replace("\r\n", "\n")


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def stage_hash(values: Values) -> str:
    parts = [values.get(name, "").strip() for name in STAGE_FIELDS if name != "config"]
    config = json.dumps(parsed(values.get("config", "")), sort_keys=True)
    return hash_of(json.dumps([*parts, config]))


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
