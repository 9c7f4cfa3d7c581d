"""Merge what an editor sends for a lesson with what others saved meanwhile.

The page holds hashes of what it showed (``seen``). So three versions are known of every
field and stage: the one that was shown, the editor's, and the stored one. What only one of
the two changed is taken. What both changed differently is a conflict: the editor chooses
a version, and nothing is saved before.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model
from django.http import QueryDict
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from content import field_labels, json_diff, lesson_data
from content.field_lists import StageFields
from content.json_diff import Difference
from content.lesson_data import LessonContent, Values
from content.models import LessonStage, Node


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


def merge(data: QueryDict, *, stored: LessonContent, lesson_pk: int) -> Merged:
    """Merge a form's data with the stored content.

    ``seen`` of the result is the stored version, except for undecided conflicts: they
    keep the hash that was shown, so that the form is refused as outdated.
    """
    shown = lesson_data.parse_version(data.get("seen", ""))
    if shown is None:
        return Merged(data.copy())
    now = stored.hashes
    merged = Merged(data.copy())
    seen = dict(now)
    for name in lesson_data.FIELDS:
        _merge_field(name, merged, stored, shown, seen)
    entries = lesson_data.entries(merged.data)
    kept: dict[str, dict[str, str]] = {}
    for key, values in entries.items():
        if key in now and key in shown:
            _merge_stage(key, values, merged, stored, shown, seen)
        elif key not in now and (key in shown or key.isdigit()):
            if key not in shown or lesson_data.stage_hash(values) == shown[key]:
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
    lesson_data.write(merged.data, [kept[key] for key in order], lesson_pk)
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
    mine, theirs = lesson_data.text(merged.data.get(name, "")), stored.fields[name]
    mine_hash, now = lesson_data.hash_of(mine.strip()), stored.hashes[name]
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
    mine_hash = lesson_data.stage_hash(values)
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
    inside = tuple(_differences(values, theirs))
    title = values["title"] or theirs["title"]
    merged.conflicts.append(_conflict(title, key, now, inside))


def _conflict(
    title: str, key: str, now: str, inside: tuple[Difference, ...]
) -> Conflict:
    return Conflict(
        title=title,
        name=f"{lesson_data.CHOICE}-{key}",
        mine=f"mine:{now}",
        theirs=f"theirs:{now}",
        differences=inside,
    )


def _choice(data: QueryDict, key: str, now: str) -> str:
    """Return the chosen version, "mine" or "theirs"; "" if none was chosen.

    A choice made when the stored version was another one does not count.
    """
    version, _colon, of = data.get(f"{lesson_data.CHOICE}-{key}", "").partition(":")
    return version if of == now else ""


def _set(data: QueryDict, name: str, value: str) -> None:
    if value:
        data[name] = value
    else:
        data.pop(name, None)


def _differences(mine: Values, theirs: Values) -> Iterator[Difference]:
    """Yield the differences of two versions of a stage, with the labels of the form."""
    names = [name for name in StageFields.CONTENT if name != "config"]
    yield from json_diff.differences(
        _own_fields(mine, names), _own_fields(theirs, names)
    )
    old, new = (
        lesson_data.parsed(values.get("config", "")) for values in (mine, theirs)
    )
    # Of two types, both configs are shown with the labels of the other version.
    yield from field_labels.labelled(
        theirs.get("type", ""), json_diff.differences(old, new)
    )


def _own_fields(values: Values, names: Iterable[str]) -> dict[str, str]:
    return {_label(LessonStage, name): values.get(name, "") for name in names}


def _label(model: type[Model], name: str) -> str:
    found: Any = model._meta.get_field(name)
    return capfirst(str(found.verbose_name))


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
