"""Merge what an editor sends for a lesson with what others saved meanwhile.

The page holds hashes of what it showed (``seen``). So three versions are known of every
field and stage: the one that was shown, the editor's, and the stored one. What only one of
the two changed is taken. What both changed differently is a conflict: the editor chooses
a version, and nothing is saved before.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import QueryDict
from django.utils.text import capfirst
from django.utils.translation import get_language, gettext as _

from content import json_diff
from content.field_lists import StageFields
from content.json_diff import Difference
from content.models import LessonStage, Node, UnfinishedLesson
from content.stage_types import SCHEMAS, schema_in
from core.fields import CanonicalJSONEncoder
from core.parsing import MAX_KEY, whole_number

PREFIX = "stages"
_FIELDS = (
    *("title", "description", "color_code", "base_xp", "is_published"),
    *("is_public", "is_free_preview", "required_item"),
)
"""The lesson's own fields that are merged. An image is sent only when it is changed."""
_STAGE_FIELDS = (*StageFields.CONTENT, "DELETE")
_CHOICE = "version"
_MAX_STAGES = 1000
MAX_BYTES = 3_000_000
"""The largest draft or unfinished lesson, as UTF-8 JSON: three lessons of the largest
size."""

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
        own = {name: _hash(value.strip()) for name, value in self.fields.items()}
        return own | {key: _stage_hash(values) for key, values in self.stages.items()}


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field or stage that both changed; the form's radio buttons choose one.

    ``differences`` lead from the editor's version to the other one.
    """

    title: str
    name: str
    """The name of the radio buttons."""
    mine: str
    theirs: str
    """Their values: the version, and the hash of the other one."""
    differences: tuple[Difference, ...]


@dataclass(slots=True)
class Merged:
    """The data to save, the conflicts that are not decided, and remarks for the editor."""

    data: QueryDict
    conflicts: list[Conflict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    """The titles of what only the other user changed."""


def stored_content(lesson: Node) -> LessonContent:
    """Return the lesson's stored content. One query."""
    stages = LessonStage.objects.filter(lesson=lesson).order_by("position", "pk")
    return LessonContent(
        fields={name: _text(getattr(lesson, name)) for name in _FIELDS},
        stages={str(stage.pk): _stage_values(stage) for stage in stages},
    )


def current_content(lesson: Node) -> LessonContent:
    """Return what the lesson's page shows: its unfinished version, or the stored one.

    Two queries.
    """
    stored = stored_content(lesson)
    unfinished = UnfinishedLesson.objects.filter(lesson=lesson).first()
    if unfinished is None:
        return stored
    data = unfinished_data(unfinished, stored)
    return LessonContent(
        fields={name: _text(data.get(name, "")) for name in _FIELDS},
        stages={
            key: {**dict.fromkeys(_STAGE_FIELDS, ""), **values}
            for key, values in _entries(data).items()
        },
    )


def unfinished_data(unfinished: UnfinishedLesson, stored: LessonContent) -> QueryDict:
    """Return the form's data of an unfinished version, merged with the stored one.

    An import may have changed the lesson since. The unfinished version wins where both
    changed the same.
    """
    data = form_data(unfinished.data)
    return merge(data, stored=stored, lesson_pk=unfinished.lesson_id).data


def form_data(fields: Iterable[Sequence[str]]) -> QueryDict:
    """Return stored fields, as names and values, as a form is posted."""
    data = QueryDict(mutable=True)
    for name, value in fields:
        data.appendlist(name, value)
    return data


def keep_unfinished(
    data: QueryDict, *, lesson: Node, user_pk: int | None, now: datetime
) -> None:
    """Store a form's data as the lesson's unfinished version.

    Raises:
        ValidationError: it is larger than `MAX_BYTES`.
    """
    kept = data.copy()
    entries = _entries(kept)
    for values in entries.values():
        if not values.get("id") and not values.get("key"):
            values["key"] = f"n{secrets.token_hex(8)}"
    _write(kept, list(entries.values()), lesson.pk)
    # The instance of a form has its values, not the stored ones.
    stored = Node.objects.get(pk=lesson.pk)
    kept["seen"] = version_of(stored_content(stored))
    fields = [
        [name, value]
        for name, values in kept.lists()
        for value in values
        if name != "csrfmiddlewaretoken" and not name.startswith((f"{_CHOICE}-", "_"))
    ]
    if len(CanonicalJSONEncoder().encode(fields).encode()) > MAX_BYTES:
        raise ValidationError(_("This lesson is too large to be kept unfinished."))
    UnfinishedLesson.objects.update_or_create(
        lesson=lesson,
        defaults={"data": fields, "saved_by_id": user_pk, "saved_at": now},
    )


def version_of(content: LessonContent) -> str:
    """Return the text of ``seen``: the hashes of a page that shows ``content``."""
    return json.dumps(list(content.hashes.items()), separators=(",", ":"))


def parse_version(seen: str) -> dict[str, str] | None:
    """Return the hashes in ``seen``; None if it has none."""
    try:
        return {str(key): str(value) for key, value in json.loads(seen)}
    except (ValueError, TypeError):
        return None


def merge(data: QueryDict, *, stored: LessonContent, lesson_pk: int) -> Merged:
    """Merge a form's data with the stored content.

    ``seen`` of the result is the stored version, except for undecided conflicts: they
    keep the hash that was shown, so that the form is refused as outdated.
    """
    shown = parse_version(data.get("seen", ""))
    if shown is None:
        return Merged(data.copy())
    now = stored.hashes
    merged = Merged(data.copy())
    seen = dict(now)
    for name in _FIELDS:
        _merge_field(name, merged, stored, shown, seen)
    entries = _entries(merged.data)
    kept: dict[str, dict[str, str]] = {}
    for key, values in entries.items():
        if key in now and key in shown:
            _merge_stage(key, values, merged, stored, shown, seen)
        elif key not in now and (key in shown or key.isdigit()):
            if key not in shown or _stage_hash(values) == shown[key]:
                if not values.get("DELETE"):
                    merged.taken.append(values["title"])
                continue  # deleted by the other user, unchanged here
            if values.get("DELETE"):
                continue
            values |= {"id": "", "key": ""}
            merged.notes.append(
                _(
                    "“%(title)s” was deleted by another user. Your version of it is "
                    "kept as a new stage."
                )
                % {"title": values["title"]}
            )
        kept[key] = values
    for key, theirs in stored.stages.items():
        if key not in entries:
            kept[key] = {**theirs, "id" if key.isdigit() else "key": key}
            merged.taken.append(theirs["title"])
    order = _order(list(kept), shown, list(stored.stages))
    _write(merged.data, [kept[key] for key in order], lesson_pk)
    merged.data["seen"] = json.dumps(list(seen.items()), separators=(",", ":"))
    if merged.taken:
        merged.notes.append(
            _("Another user has saved this lesson, too. Taken from there: %(what)s")
            % {"what": ", ".join(f"“{title}”" for title in merged.taken)}
        )
    return merged


# --- One field, one stage ---------------------------------------------------------------


def _merge_field(
    name: str,
    merged: Merged,
    stored: LessonContent,
    shown: Mapping[str, str],
    seen: dict[str, str],
) -> None:
    mine, theirs = _text(merged.data.get(name, "")), stored.fields[name]
    mine_hash, now = _hash(mine.strip()), stored.hashes[name]
    if now == shown.get(name) or mine_hash == now:
        return
    label = _label(Node, name)
    if mine_hash == shown.get(name):
        _set(merged.data, name, theirs)
        merged.taken.append(label)
        return
    match _choice(merged.data, name, now):
        case "mine":
            return
        case "theirs":
            _set(merged.data, name, theirs)
            return
    seen[name] = shown.get(name, "")
    inside = tuple(json_diff.differences({label: mine}, {label: theirs}))
    merged.conflicts.append(_conflict(label, name, now, inside))


def _merge_stage(
    key: str,
    values: dict[str, str],
    merged: Merged,
    stored: LessonContent,
    shown: Mapping[str, str],
    seen: dict[str, str],
) -> None:
    theirs, now = stored.stages[key], stored.hashes[key]
    mine_hash = _stage_hash(values)
    if now == shown[key] or mine_hash == now:
        return
    if values.get("DELETE"):
        values |= theirs
        note = _("“%(title)s” was not removed: another user has changed it.")
        merged.notes.append(note % {"title": theirs["title"]})
        return
    choice = _choice(merged.data, key, now)
    if mine_hash == shown[key] or choice == "theirs":
        values |= theirs
        if not choice:
            merged.taken.append(theirs["title"])
        return
    if choice == "mine":
        return
    seen[key] = shown[key]
    inside = tuple(json_diff.differences(_readable(values), _readable(theirs)))
    title = values["title"] or theirs["title"]
    merged.conflicts.append(_conflict(title, key, now, inside))


def _conflict(
    title: str, key: str, now: str, inside: tuple[Difference, ...]
) -> Conflict:
    return Conflict(
        title=title,
        name=f"{_CHOICE}-{key}",
        mine=f"mine:{now}",
        theirs=f"theirs:{now}",
        differences=inside,
    )


def _choice(data: QueryDict, key: str, now: str) -> str:
    """Return the chosen version, "mine" or "theirs"; "" if none was chosen.

    A choice made when the stored version was another one does not count.
    """
    version, _colon, of = data.get(f"{_CHOICE}-{key}", "").partition(":")
    return version if of == now else ""


def _set(data: QueryDict, name: str, value: str) -> None:
    if value:
        data[name] = value
    else:
        data.pop(name, None)


def _readable(values: Values) -> dict[str, Any]:
    """Return a stage's fields by label, and the fields of its config."""
    labels = {
        name: _label(LessonStage, name)
        for name in StageFields.CONTENT
        if name != "config"
    }
    config = _parsed(values.get("config", ""))
    if isinstance(config, dict) and values.get("type") in SCHEMAS:
        schema = schema_in(values["type"], get_language() or "en")
        titles = {key: part["title"] for key, part in schema["properties"].items()}
        config = {titles.get(key, key): value for key, value in config.items()}
    own = {label: values.get(name, "") for name, label in labels.items()}
    return own | (config if isinstance(config, dict) else {"": str(config)})


# --- Stages in a form's data -------------------------------------------------------------


def _entries(data: QueryDict) -> dict[str, dict[str, str]]:
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


def _order(
    mine: Sequence[str], shown: Iterable[str], stored: Sequence[str]
) -> list[str]:
    """Return the order of the stages ``mine``, which has all keys to keep.

    The stored order counts if the editor did not reorder; new stages stay behind the
    stage that they follow.
    """
    before = [key for key in shown if key in mine and key in stored]
    by_editor = [key for key in mine if key in before]
    lead, other = (list(stored), mine) if by_editor == before else (list(mine), stored)
    result = [key for key in lead if key in mine]
    for place, key in enumerate(other):
        if key in mine and key not in result:
            above = next((k for k in reversed(other[:place]) if k in result), None)
            result.insert(0 if above is None else result.index(above) + 1, key)
    return result


def _positions(stages: Sequence[dict[str, str]]) -> list[int]:
    """Return the stages' positions; new ones unless theirs are in order.

    Saving a page without a change must not change the positions.
    """
    places = [whole_number(values.get("position", "")) for values in stages]
    known = [place for place in places if place is not None]
    if len(known) == len(stages) and known == sorted(set(known)):
        return known
    return list(range(1, len(stages) + 1))


def _write(data: QueryDict, stages: list[dict[str, str]], lesson_pk: int) -> None:
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


def _stage_values(stage: LessonStage) -> dict[str, str]:
    values = {name: _text(getattr(stage, name)) for name in StageFields.CONTENT}
    config = json.dumps(stage.config, ensure_ascii=False, indent=2)
    return values | {"config": config, "DELETE": ""}


def _label(model: type[Model], name: str) -> str:
    found: Any = model._meta.get_field(name)
    return capfirst(str(found.verbose_name))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else ""
    return str(value).replace("\r\n", "\n")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _stage_hash(values: Values) -> str:
    parts = [values.get(name, "").strip() for name in _STAGE_FIELDS if name != "config"]
    config = json.dumps(_parsed(values.get("config", "")), sort_keys=True)
    return _hash(json.dumps([*parts, config]))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
