"""Parse the format ``memora-curriculum/1``: one JSON file holds one subject.

This module turns a file into specifications and reports every fault that can be found
without the database. `content.curriculum` does the rest.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import jsonschema_rs
import orjson
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _, gettext_lazy, ngettext

from content import formula_faults, formulas, kinds
from content.fields import (
    validate_color_code,
    validate_item_code,
    validate_public_id,
)
from content.json_errors import Fault, Path, make_validator, path_text, schema_faults
from content.kinds import Kind
from content.losses import TextLosses
from content.stage_types import SCHEMAS
from core.errors import CurriculumError
from core.folding import visible_text

FORMAT = "memora-curriculum/1"
MAX_BYTES = 50 * 1024 * 1024
MAX_VALUES = 2_000_000
"""The most opening brackets, braces and commas, counted before parsing."""
MAX_NODES = 100_000
MAX_STAGES = 500_000
MAX_FAULTS = 50
MAX_COUNTED = 1_000
"""The most faults that are collected; `MAX_FAULTS` of them are shown."""
CHILDREN_KEY = {
    Kind.SUBJECT: "tracks",
    Kind.TRACK: "units",
    Kind.UNIT: "topics",
    Kind.TOPIC: "lessons",
    Kind.LESSON: "stages",
}


@dataclass(eq=False, slots=True)
class StageSpec:
    """A stage in the file; ``id`` is "" if the file gives none.

    ``losses`` holds what cleaning removed from its config. ``given`` names the fields
    that the file sets.
    """

    path: Path
    id: str
    fields: dict[str, Any]
    losses: tuple[TextLosses, ...] = ()
    given: frozenset[str] = frozenset()


@dataclass(eq=False, slots=True)
class NodeSpec:
    """A node in the file with its descendants, in order.

    ``fields`` holds every column that a file can set; missing fields have their
    defaults. ``given`` names the fields that the file sets.
    """

    path: Path
    id: str
    kind: Kind
    fields: dict[str, Any]
    children: list["NodeSpec"] = field(default_factory=list)
    stages: list[StageSpec] = field(default_factory=list)
    is_named_after_topic: bool = False
    given: frozenset[str] = frozenset()


def walk(spec: NodeSpec) -> Iterator[NodeSpec]:
    """Yield the node and its descendants, parents first, in file order."""
    yield spec
    for child in spec.children:
        yield from walk(child)


def curriculum_error(faults: list[Fault], document: Any = None) -> CurriculumError:
    """Return an error that lists ``faults`` in file order, at most `MAX_FAULTS`."""
    keys: _KeyPlaces = {}
    ordered = sorted(faults, key=lambda fault: _place_in_file(document, fault[0], keys))
    if len(faults) < MAX_COUNTED:
        message = ngettext(
            "The curriculum file has %(count)d error. Nothing was imported.",
            "The curriculum file has %(count)d errors. Nothing was imported.",
            len(faults),
        ) % {"count": len(faults)}
    else:
        message = _(
            "The curriculum file has %(count)d errors or more. Nothing was imported."
        ) % {"count": MAX_COUNTED}
    return CurriculumError(
        message,
        [(path_text(path), str(reason)) for path, reason in ordered[:MAX_FAULTS]],
    )


_KeyPlaces = dict[int, dict[str, int]]
"""The index of each key in an object, by the object's ``id()``."""


def _place_in_file(document: Any, path: Path, keys: _KeyPlaces) -> tuple[int, ...]:
    """Return a key that sorts paths in file order; missing keys are last."""
    place: list[int] = []
    for step in path:
        if isinstance(document, dict):
            places = keys.get(id(document))
            if places is None:
                places = {key: at for at, key in enumerate(document)}
                keys[id(document)] = places
            place.append(places.get(str(step), len(places)))
            document = document.get(step)
        elif isinstance(document, list) and isinstance(step, int):
            place.append(step)
            document = document[step] if step < len(document) else None
        else:
            place.append(0)
    return tuple(place)


# --- Reading the bytes ------------------------------------------------------


def parse(data: bytes) -> Any:
    """Return the JSON value in ``data``.

    Raises:
        CurriculumError: it is too large, has too many values or nodes, is not UTF-8 or
            not JSON, is nested too deeply, or repeats a key in an object.
    """
    if len(data) > MAX_BYTES:
        raise curriculum_error(
            [((), _("is larger than %(limit)d MB") % {"limit": MAX_BYTES >> 20})]
        )
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise curriculum_error(
            [((), _("is not valid UTF-8 at byte %(at)d") % {"at": error.start})]
        ) from error
    if sum(data.count(mark) for mark in (b"{", b"[", b",")) > MAX_VALUES:
        raise curriculum_error(
            [((), _("contains more than %(limit)d values") % {"limit": MAX_VALUES})]
        )
    try:
        document = orjson.loads(data)
        json.loads(data, object_pairs_hook=_without_repeats)
    except _RepeatedKeyError as error:
        raise curriculum_error(
            [((), _("has the key “%(key)s” twice in one object") % {"key": error.key})]
        ) from error
    except orjson.JSONDecodeError as error:
        if "depth limit" in error.msg:  # part of orjson's message
            raise curriculum_error([((), _("is nested too deeply"))]) from error
        raise curriculum_error(
            [
                (
                    (),
                    _("is not JSON: line %(line)d, column %(column)d: %(problem)s")
                    % {
                        "line": error.lineno,
                        "column": error.colno,
                        "problem": error.msg,
                    },
                )
            ]
        ) from error
    except RecursionError as error:
        raise curriculum_error([((), _("is nested too deeply"))]) from error
    _refuse_too_many(document)
    return document


def _refuse_too_many(document: Any) -> None:
    """Refuse too many nodes or stages before they are processed."""
    level = [document.get("subject")] if isinstance(document, dict) else []
    nodes = len(level)
    for kind, key in CHILDREN_KEY.items():
        lists = (node.get(key) for node in level if isinstance(node, dict))
        level = [child for inner in lists if isinstance(inner, list) for child in inner]
        if kind is not Kind.LESSON:
            nodes += len(level)
    if nodes > MAX_NODES:
        raise curriculum_error(
            [
                (
                    (),
                    _("has more than %(limit)d tracks, units, topics and lessons")
                    % {"limit": MAX_NODES},
                )
            ]
        )
    if len(level) > MAX_STAGES:
        raise curriculum_error(
            [((), _("has more than %(limit)d stages") % {"limit": MAX_STAGES})]
        )


class _RepeatedKeyError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _without_repeats(pairs: list[tuple[str, Any]]) -> None:
    """Refuse a repeated key; otherwise the last one would silently win."""
    seen = set()
    for key, _value in pairs:
        if key in seen:
            raise _RepeatedKeyError(key)
        seen.add(key)


# --- The schema of the file -------------------------------------------------

_TITLE = {
    "title": "Title",
    "type": "string",
    "maxLength": 255,
    "pattern": r"\S",
    "x-hint": gettext_lazy("must not be empty"),
}
_LESSON_TITLE = {"title": "Title", "type": "string", "maxLength": 255}
"""A lesson's title may be empty: see `_read_node`."""
_FLAG = {"type": "boolean", "default": False}
_TEXT = {"type": "string"}
_OPTIONAL_TEXT = {**_TEXT, "default": ""}
_ID = {"type": "string", "minLength": 1}
_NODE_PROPERTIES: dict[str, Any] = {
    "id": _ID,
    "title": _TITLE,
    "description": _OPTIONAL_TEXT,
    "image": {
        **_OPTIONAL_TEXT,
        "maxLength": 255,
        "pattern": r"^(|https?://[^\s]+|[^\s./\\:][^/\\:]*(/[^\s./\\:][^/\\:]*)*)$",
        "x-hint": gettext_lazy(
            "enter an https:// address or a path in the uploads folder, such as "
            "images/cell.png"
        ),
    },
    "color_code": {
        **_OPTIONAL_TEXT,
        "pattern": r"^(|#[0-9A-Fa-f]{6})$",
        "x-hint": validate_color_code.message,
    },
    "is_published": {"type": "boolean", "default": True},
    "is_linear": _FLAG,
    "is_public": _FLAG,
    "is_free_preview": _FLAG,
    "required_item": {
        **_OPTIONAL_TEXT,
        "pattern": r"^(|[A-Za-z0-9][A-Za-z0-9._-]{0,63})$",
        "x-hint": validate_item_code.message,
    },
}
_LESSON_PROPERTIES: dict[str, Any] = {
    **_NODE_PROPERTIES,
    "title": _LESSON_TITLE,
    "base_xp": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 10},
    "bit_index": {"type": "integer", "minimum": 0},
}
_STAGE_PROPERTIES: dict[str, Any] = {
    "id": _ID,
    "type": {"type": "string", "enum": list(SCHEMAS)},
    "title": _TITLE,
    "weight": {"type": "integer", "minimum": 0, "maximum": 100, "default": 1},
    "target_time": {
        "type": "integer",
        "minimum": 0,
        "maximum": 86_400,
        "default": 60,
    },
    "is_skippable": _FLAG,
    "config": {"type": "object"},
}
_STAGE_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "title", "config"],
    "properties": _STAGE_PROPERTIES,
}


def _defaults(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the properties that a file may leave out."""
    return {
        name: schema["default"]
        for name, schema in properties.items()
        if "default" in schema
    }


NODE_DEFAULTS = _defaults(_NODE_PROPERTIES)
LESSON_DEFAULTS = _defaults(_LESSON_PROPERTIES)
STAGE_DEFAULTS = _defaults(_STAGE_PROPERTIES)


def _node_schema(kind: Kind) -> dict[str, Any]:
    below = kinds.child_kind(kind)
    properties = dict(_LESSON_PROPERTIES if below is None else _NODE_PROPERTIES)
    inner = _STAGE_SCHEMA if below is None else _node_schema(below)
    properties[CHILDREN_KEY[kind]] = {"type": "array", "items": inner}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["title"],
        "properties": properties,
    }


FILE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["format", "subject"],
    "properties": {
        "format": {"const": FORMAT},
        "language": {
            "type": "string",
            "maxLength": 35,
            "pattern": r"^(|[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)$",
            "x-hint": gettext_lazy("enter a language code such as ar or en-GB"),
        },
        "attribution": _TEXT,
        "license": {"type": "string", "maxLength": 500},
        "subject": _node_schema(Kind.SUBJECT),
    },
}


class _Part:
    """A schema without the nested objects; it checks one object at a time.

    The validator creates all errors of a value, some kilobytes each, before it returns
    the first one. For a whole file of 1.6 MB they took 1 GB.
    """

    def __init__(self, schema: Mapping[str, Any], inner: str, empty: Any) -> None:
        kind = {"type": "array" if isinstance(empty, list) else "object"}
        properties = {**schema["properties"], inner: kind}
        self._schema = {**schema, "properties": properties}
        self._validator = _validator(self._schema)
        self._inner = inner
        self._empty = empty

    def faults(self, value: Any, path: Path) -> Iterator[Fault]:
        """Yield the faults of ``value``, which is at ``path``."""
        if isinstance(value, dict) and isinstance(
            value.get(self._inner), type(self._empty)
        ):
            value = {**value, self._inner: self._empty}
        for place, reason in schema_faults(self._validator, self._schema, value):
            yield (*path, *place), reason


def _validator(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return make_validator(json.loads(json.dumps(schema, default=str)))


_VALIDATOR = _validator(FILE_SCHEMA)
_FILE_PART = _Part(FILE_SCHEMA, "subject", {})
_NODE_PARTS = {kind: _Part(_node_schema(kind), CHILDREN_KEY[kind], []) for kind in Kind}
_STAGE_PART = _Part(_STAGE_SCHEMA, "config", {})


def file_faults(document: Any) -> list[Fault]:
    """Return the faults of the file's structure, except in stage configs.

    At most `MAX_COUNTED` faults.
    """
    try:
        is_valid = _VALIDATOR.is_valid(document)
    except ValueError:  # jsonschema_rs raises it above about 250 levels
        return [((), _("is nested too deeply"))]
    found = chain(
        () if is_valid else _faults_of_parts(document), _unstorable_text(document)
    )
    return list(islice(found, MAX_COUNTED))


def _faults_of_parts(document: Any) -> Iterator[Fault]:
    yield from _FILE_PART.faults(document, ())
    if isinstance(document, dict) and isinstance(document.get("subject"), dict):
        yield from _node_faults(document["subject"], Kind.SUBJECT, ("subject",))


def _node_faults(node: Any, kind: Kind, path: Path) -> Iterator[Fault]:
    yield from _NODE_PARTS[kind].faults(node, path)
    key = CHILDREN_KEY[kind]
    inner = node.get(key) if isinstance(node, dict) else None
    below = kinds.child_kind(kind)
    for index, value in enumerate(inner if isinstance(inner, list) else ()):
        place = (*path, key, index)
        if below is None:
            yield from _STAGE_PART.faults(value, place)
        else:
            yield from _node_faults(value, below, place)


def _unstorable_text(value: Any, path: Path = ()) -> Iterator[Fault]:
    if isinstance(value, str):
        if "\0" in value:
            yield path, _("must not contain the character U+0000")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unstorable_text(inner, (*path, index))
    elif isinstance(value, dict):
        for key, inner in value.items():
            if "\0" in key:
                yield (*path, key), _("must not contain the character U+0000")
            yield from _unstorable_text(inner, (*path, key))


# --- Specifications ---------------------------------------------------------


def read(document: Any) -> NodeSpec | None:
    """Return the subject in ``document``, as far as it can be read.

    Parts of the wrong type are left out; `file_faults` reports them.
    """
    subject = document.get("subject") if isinstance(document, dict) else None
    if not isinstance(subject, dict):
        return None
    return _read_node(subject, Kind.SUBJECT, ("subject",))


def _read_node(
    found: dict[str, Any], kind: Kind, path: Path, topic_title: str = ""
) -> NodeSpec:
    """Return the node with its descendants.

    Books have sections without a heading. A lesson whose title is empty therefore gets
    the title of its topic, and `NodeSpec.is_named_after_topic` is set.
    """
    below = kinds.child_kind(kind)
    defaults = LESSON_DEFAULTS if kind is Kind.LESSON else NODE_DEFAULTS
    spec = NodeSpec(
        path=path,
        id=_text(found.get("id")),
        kind=kind,
        fields={"title": _text(found.get("title")), **_with(defaults, found)},
        given=frozenset(found),
    )
    if (
        kind is Kind.LESSON
        and "title" in found
        and not visible_text(spec.fields["title"])
    ):
        spec.fields["title"] = topic_title
        spec.is_named_after_topic = True
    key = CHILDREN_KEY[kind]
    inner = found.get(key)
    for index, value in enumerate(inner if isinstance(inner, list) else ()):
        if not isinstance(value, dict):
            continue
        place = (*path, key, index)
        if below is None:
            spec.stages.append(_read_stage(value, place))
        else:
            title = spec.fields["title"]
            spec.children.append(_read_node(value, below, place, title))
    return spec


def _read_stage(found: dict[str, Any], path: Path) -> StageSpec:
    fields = {key: found.get(key) for key in ("type", "title", "config")}
    return StageSpec(
        path=path,
        id=_text(found.get("id")),
        fields={**fields, **_with(STAGE_DEFAULTS, found)},
        given=frozenset(found),
    )


def _with(defaults: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    values = {key: found.get(key, default) for key, default in defaults.items()}
    # JSON Schema accepts 10.0 as an integer; the database should store 10.
    return {
        key: int(value) if isinstance(value, float) and value.is_integer() else value
        for key, value in values.items()
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def title_faults(root: NodeSpec) -> Iterator[Fault]:
    """Yield a fault for each title without visible characters or with a bad formula.

    `file_faults` reports titles that consist of spaces.
    """
    for spec in walk(root):
        titles = [(spec.path, spec.fields["title"])]
        titles += [(stage.path, stage.fields["title"]) for stage in spec.stages]
        for path, title in titles:
            if not isinstance(title, str):
                continue
            if title.strip() and not visible_text(title):
                yield (*path, "title"), _("must not be empty")
            for reason in formula_faults.reasons(formulas.in_text(title)):
                yield (*path, "title"), reason


def id_faults(root: NodeSpec) -> Iterator[Fault]:
    """Yield a fault for each id that is not valid as a file name or is repeated."""
    nodes: dict[str, Path] = {}
    stages: dict[str, Path] = {}
    for spec in walk(root):
        yield from _one_id_faults(spec, nodes)
        for stage in spec.stages:
            yield from _one_id_faults(stage, stages)


def _one_id_faults(
    spec: NodeSpec | StageSpec, seen: dict[str, Path]
) -> Iterator[Fault]:
    if not spec.id:
        return
    path = (*spec.path, "id")
    try:
        validate_public_id(spec.id)
    except ValidationError as error:
        yield path, " ".join(error.messages)
    first = seen.setdefault(spec.id, path)
    if first != path:
        yield path, _("is already used at %(place)s") % {"place": path_text(first)}
