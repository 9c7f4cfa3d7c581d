"""Bodies and answers of the API as dataclasses: parser, description and JSON.

Each body, query and answer is one frozen dataclass whose fields are
``Annotated[type, Field(...)]``. Views parse requests with it and answer its instances;
`memora_site.openapi` makes the OpenAPI schema of it. So there is one source.

Types of fields: bool, int, float, str, UUID, date, datetime, StrEnum, ``list[…]``,
``dict[str, …]``, another dataclass, and each of them ``| None``. Bodies contain fewer of
them: `_parser_of` knows which.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import date, datetime
from functools import cache
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

import orjson
from django.utils.translation import gettext as _, gettext_lazy

from core.errors import MemoraError
from core.parsing import MAX_KEY, parse_time, time_text, whole_number

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

Body = TypeVar("Body")

NO_NUL = re.compile(r"^[^\u0000]{0,1000}$")
"""The pattern of a text that is stored or hashed: no system agrees on U+0000. Like all
patterns of fields it limits its repetitions; no such text is longer."""
NOT_BLANK = re.compile(r"^[^\u0000]{0,1000}[^\s\u0000][^\u0000]{0,1000}$")
UUID4 = re.compile(
    "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}"
    "-[0-9a-fA-F]{12}$"
)
_MAX_FAULTS = 20
"""How many faults of a body are listed; and the characters of an unknown name:"""
_MAX_NAME = 100

Faults = dict[str, str]
"""What is wrong, by the field's path: ``reviews[0].rating``."""
_Parser = Callable[[Any, str, Faults], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """What the API promises of a field besides its type.

    ``check`` returns what is wrong with a text for which JSON Schema has no words;
    ``format`` is the name of that rule. With ``not_null`` None stands only for a missing
    field. ``choices`` are the texts that are accepted.
    Patterns are those of JSON Schema that Python reads in the same way. ``minimum`` and
    ``maximum`` are of a number, ``min_length`` and ``max_length`` of a text in
    characters, or of a list in items.
    """

    description: StrOrPromise
    example: Any = None
    minimum: int | None = None
    maximum: int | None = None
    min_length: int = 0
    max_length: int | None = None
    pattern: re.Pattern[str] | None = None
    format: str | None = None
    choices: tuple[str, ...] = ()
    not_null: bool = False
    check: Callable[[str], str | None] = lambda _text: None


@dataclass(frozen=True, slots=True)
class FieldFaults:
    """The details of `InvalidBodyError`."""

    fields: Annotated[
        dict[str, list[str]],
        Field(
            gettext_lazy(
                "What is wrong with each field, by its path. “body” is the whole body; "
                "headers and query parameters have their names."
            ),
            example={"reviews[0].rating": ["It must be a whole number from 1 to 4."]},
        ),
    ]


class InvalidBodyError(MemoraError):
    """The request has invalid values; ``details`` names each field."""

    code = "INVALID_BODY"
    details_type = FieldFaults

    def __init__(self, faults: Mapping[str, str | Sequence[str]]) -> None:
        """``faults`` has one text or several for each field; at least one in all."""
        fields = {
            name: [found] if isinstance(found, str) else list(found)
            for name, found in faults.items()
        }
        message, *others = (text for texts in fields.values() for text in texts)
        if others:
            message = _("The request is not valid.")
        super().__init__(message, details=FieldFaults(fields))


@dataclass(frozen=True, slots=True)
class Faulty:
    """An element of a list that is not valid, where that does not refuse the body.

    Write such a list's type as ``list[Element | Faulty]``. ``faults`` are those of the
    element's fields by path, without the list's.
    """

    value: Any
    faults: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TypeHint:
    """The parts of a field's annotation."""

    type: Any
    field: Field | None
    is_nullable: bool
    may_be_faulty: bool = False


def read_hint(hint: Any) -> TypeHint:
    """Return the parts of an annotation."""
    field: Field | None = None
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        field = next((extra for extra in extras if isinstance(extra, Field)), None)
    if get_origin(hint) not in (Union, UnionType):
        return TypeHint(hint, field, is_nullable=False)
    parts = get_args(hint)
    (kind,) = (part for part in parts if part not in (NoneType, Faulty))
    inner = read_hint(kind)
    field = field or inner.field
    is_nullable = NoneType in parts and (field is None or not field.not_null)
    return TypeHint(inner.type, field, is_nullable, may_be_faulty=Faulty in parts)


def hints_of(cls: type) -> dict[str, Any]:
    """Return the annotations of a dataclass by field name."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in fields(cast("Any", cls))}


def defaults_of(cls: type) -> dict[str, Any]:
    """Return the defaults of a dataclass's optional fields by name."""
    return {
        field.name: field.default
        for field in fields(cast("Any", cls))
        if field.default is not MISSING
    }


# --- Rendering --------------------------------------------------------------


def to_json(answer: Any) -> bytes:
    """Return an answer as UTF-8 JSON; `time_text` is the form of every time."""
    return orjson.dumps(
        answer, default=_as_text, option=orjson.OPT_PASSTHROUGH_DATETIME
    )


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return time_text(value)
    return value.isoformat() if isinstance(value, date) else str(value)


# --- Parsing ----------------------------------------------------------------


def parse(cls: type[Body], body: Any) -> Body:
    """Return a JSON value as an instance of ``cls``.

    Raises:
        InvalidBodyError: with the path and the fault of up to 20 fields.
    """
    faults: Faults = {}
    found = _object_parser(cast("type", cls))(body, "", faults)
    if faults:
        raise InvalidBodyError(faults)
    return cast("Body", found)


def parse_query(cls: type[Body], query: Mapping[str, str]) -> Body:
    """Return query parameters as an instance of ``cls``; unknown ones are ignored.

    Raises:
        InvalidBodyError: see `parse`.
    """
    values: dict[str, Any] = {}
    for name, is_number in _numbers_of(cast("type", cls)).items():
        if name in query:
            number = whole_number(query[name]) if is_number else None
            # A text that is no number stays a text, which is a fault.
            values[name] = query[name] if number is None else number
    return parse(cls, values)


@cache
def _numbers_of(cls: type) -> dict[str, bool]:
    """Return for each query parameter whether its text is a number."""
    return {name: read_hint(hint).type is int for name, hint in hints_of(cls).items()}


@cache
def _object_parser(cls: type) -> _Parser:
    """Return the parser of a JSON object; other fields than those of ``cls`` are faults."""
    parsers = _field_parsers(cls)
    items = tuple(
        (name, parser, default) for name, (parser, default) in parsers.items()
    )
    allowed = ", ".join(sorted(parsers))

    def parse_object(value: Any, at: str, faults: Faults) -> Any:
        if not isinstance(value, Mapping):
            faults[at or "body"] = (
                _("“%(field)s” must be a JSON object.") % {"field": at}
                if at
                else _("The body must be a JSON object.")
            )
            return None
        found = {}
        for name in sorted(value.keys() - parsers.keys())[:_MAX_FAULTS]:
            path = _path(at, str(name)[:_MAX_NAME])
            faults[path] = _("“%(field)s” is not known here: use %(allowed)s.") % {
                "field": path,
                "allowed": allowed,
            }
        for name, parser, default in items:
            if name in value:
                found[name] = parser(value[name], _path(at, name), faults)
            elif default is MISSING:
                faults[_path(at, name)] = _missing(_path(at, name))
        return None if faults else cls(**found)

    return parse_object


@cache
def _field_parsers(cls: type) -> dict[str, tuple[_Parser, Any]]:
    defaults = defaults_of(cls)
    return {
        name: (_parser_of(read_hint(hint)), defaults.get(name, MISSING))
        for name, hint in hints_of(cls).items()
    }


def _path(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _missing(field: str) -> str:
    return _("“%(field)s” is missing.") % {"field": field}


def _parser_of(hint: TypeHint) -> _Parser:
    field = hint.field or Field("")
    parser: _Parser
    if hint.type is int:
        parser = _whole_parser(field)
    elif hint.type is str:
        parser = _text_parser(field)
    elif hint.type is bool:
        parser = _parse_flag
    elif hint.type is datetime:
        parser = _parse_time
    elif hint.type is UUID:
        parser = _parse_uuid4
    elif get_origin(hint.type) is list:
        parser = _list_parser(field, read_hint(get_args(hint.type)[0]))
    else:
        parser = _object_parser(hint.type)
    if not hint.is_nullable:
        return parser
    return lambda value, at, faults: (
        None if value is None else parser(value, at, faults)
    )


def whole_bounds(field: Field) -> tuple[int, int]:
    """Return the smallest and the largest whole number that a request may send."""
    return field.minimum or 0, MAX_KEY if field.maximum is None else field.maximum


def _whole_parser(field: Field) -> _Parser:
    least, most = whole_bounds(field)

    def parse_whole(value: Any, at: str, faults: Faults) -> Any:
        # In JSON Schema 3.0 is an integer.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        # In Python True is an int, but in JSON it is not a number.
        if type(value) is not int or not least <= value <= most:
            faults[at] = _(
                "“%(field)s” must be a whole number from %(least)d to %(most)d."
            ) % {"field": at, "least": least, "most": most}
        return value

    return parse_whole


def _text_parser(field: Field) -> _Parser:
    least, most = field.min_length, field.max_length or sys.maxsize

    def parse_text(value: Any, at: str, faults: Faults) -> Any:
        if not isinstance(value, str) or not least <= len(value) <= most:
            faults[at] = _(
                "“%(field)s” must be a text of %(least)d to %(most)d characters."
            ) % {"field": at, "least": least, "most": most}
        # A final line break is before "$", too.
        elif field.pattern and not field.pattern.fullmatch(value):
            faults[at] = _PATTERN_FAULTS.get(
                field.pattern, gettext_lazy("“%(field)s” must be an id.")
            ) % {"field": at}
        elif field.choices and value not in field.choices:
            faults[at] = _("“%(field)s” must be one of these: %(choices)s.") % {
                "field": at,
                "choices": ", ".join(choice or "“”" for choice in field.choices),
            }
        elif fault := field.check(value):
            faults[at] = fault
        return value

    return parse_text


_PATTERN_FAULTS: dict[re.Pattern[str], Any] = {
    NO_NUL: gettext_lazy("“%(field)s” must not contain the character U+0000."),
    NOT_BLANK: gettext_lazy("“%(field)s” must not be blank."),
}


def _parse_flag(value: Any, at: str, faults: Faults) -> Any:
    if not isinstance(value, bool):
        faults[at] = _("“%(field)s” must be true or false.") % {"field": at}
    return value


def _parse_time(value: Any, at: str, faults: Faults) -> datetime | None:
    moment = parse_time(value)
    if moment is None:
        faults[at] = _(
            "“%(field)s” must be an ISO 8601 time with its zone, such as "
            "2026-01-31T08:00:00Z."
        ) % {"field": at}
    return moment


def is_uuid4(text: str) -> bool:
    """Return whether ``text`` is a hyphenated UUID, version 4."""
    return UUID4.fullmatch(text) is not None


def _parse_uuid4(value: Any, at: str, faults: Faults) -> UUID | None:
    if isinstance(value, str) and is_uuid4(value):
        return UUID(value)
    faults[at] = _(
        "“%(field)s” must be a UUID (version 4), such as "
        "7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e."
    ) % {"field": at}
    return None


def _list_parser(field: Field, items: TypeHint) -> _Parser:
    parser = _parser_of(items)
    least, most = field.min_length, field.max_length or sys.maxsize

    def parse_list(value: Any, at: str, faults: Faults) -> Any:
        if not isinstance(value, list) or not least <= len(value) <= most:
            faults[at] = _(
                "“%(field)s” must be a list of %(least)d to %(most)d entries."
            ) % {"field": at, "least": least, "most": most}
            return None
        found: list[Any] = []
        if items.may_be_faulty:
            for entry in value:
                own: Faults = {}
                parsed = parser(entry, "", own)
                found.append(Faulty(entry, own) if own else parsed)
            return found
        for index, entry in enumerate(value):
            if len(faults) >= _MAX_FAULTS:
                break
            found.append(parser(entry, f"{at}[{index}]", faults))
        return found

    return parse_list
