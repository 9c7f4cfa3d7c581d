"""The OpenAPI schema of the API.

drf-spectacular finds the operations and their sign-in. The rest comes from what the views
declare (`core.api_operations`), their dataclasses (`core.api_types`) and the table of
error codes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby
from typing import Any, TypeGuard, cast, get_args, get_origin
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from core.api_operations import Operation
from core.api_types import (
    UUID4,
    Field,
    TypeHint,
    defaults_of,
    hints_of,
    read_hint,
    whole_bounds,
)
from memora_site.error_codes import ERROR_CODES
from players.api_types import APP_VERSION

Schema = dict[str, Any]

_SESSION_ENDED = (
    *("NOT_AUTHENTICATED", "SESSION_REPLACED", "SESSION_SIGNED_OUT"),
    *("SESSION_EXPIRED", "SESSION_ENDED_BY_STAFF", "SESSION_UNKNOWN"),
    *("PASSWORD_CHANGED", "DEVICE_REMOVED"),
)
_STUDENT_ERRORS = (
    *("INVALID_DEVICE_ID", *_SESSION_ENDED, "DEVICE_MISMATCH", "ACCOUNT_INACTIVE"),
)
_VERSION_ERRORS = ("INVALID_BODY", "APP_TOO_OLD")
_STAFF_ERRORS = ("NOT_AUTHENTICATED", "PERMISSION_DENIED")
_COMMON_ERRORS = ("RATE_LIMITED", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE")

_ORDER = {code: place for place, code in enumerate(ERROR_CODES)}

_SUCCESSES = {
    200: _("The request was executed."),
    201: _("It was created."),
    202: _("The request was accepted."),
    204: _("The request was executed; the answer has no body."),
}

# --- Types ------------------------------------------------------------------

_BASIC: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    UUID: {"type": "string", "format": "uuid"},
    date: {"type": "string", "format": "date"},
    datetime: {"type": "string", "format": "date-time"},
}


class _Types:
    """Makes schemas of types; those of dataclasses become components."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    def of_body(self, cls: type) -> Schema:
        """Return the schema of a request's body: it has no other fields."""
        return self._component(cls.__name__, lambda: self._object(cls, is_body=True))

    def of_answer(self, cls: type) -> Schema:
        """Return the schema of an answer; later versions may add fields."""
        return self._component(cls.__name__, lambda: self._object(cls, is_body=False))

    def of_error(self, code: str) -> Schema:
        """Return the schema of an error's body."""
        name = code.title().replace("_", "").removesuffix("Error") + "Error"
        return self._component(name, lambda: self._error(code))

    def of_parameter(self, hint: TypeHint) -> Schema:
        """Return the schema of a parameter; without its description."""
        schema = self._value(TypeHint(hint.type, hint.field, False), is_body=True)
        schema.pop("description", None)
        return schema

    def _component(self, name: str, make: Any) -> Schema:
        schema: Schema = {}
        component: Any = ResolvedComponent(  # type: ignore[no-untyped-call]
            name, ResolvedComponent.SCHEMA, schema, object=name
        )
        if component not in self._registry:
            # Registered before it is made: a tree contains itself.
            self._registry.register(component)
            schema.update(make())
        reference: Schema = component.ref
        return reference

    def _object(self, cls: type, *, is_body: bool) -> Schema:
        defaults = defaults_of(cls) if is_body else {}
        # Without defaults: generated clients then require the field.
        properties = {
            name: self._value(read_hint(hint), is_body=is_body)
            for name, hint in hints_of(cls).items()
        }
        schema: Schema = {"type": "object", "properties": properties}
        if required := [name for name in properties if name not in defaults]:
            schema["required"] = required
        if is_body:
            schema["additionalProperties"] = False
        return schema

    def _error(self, code: str) -> Schema:
        entry = ERROR_CODES[code]
        text = f"{entry.meaning} {entry.advice}"
        properties: Schema = {
            "error_code": {"type": "string", "const": code},
            "message": {
                "type": "string",
                "description": _("A text for the user, in the language of the answer."),
            },
        }
        required = ["error_code", "message"]
        if entry.details is not None:
            properties["details"] = self.of_answer(entry.details)
            required += [] if entry.details_are_optional else ["details"]
        return {
            "type": "object",
            "description": text,
            "properties": properties,
            "required": required,
        }

    def _value(self, hint: TypeHint, *, is_body: bool) -> Schema:
        schema = self._type(hint.type, is_body=is_body)
        field = hint.field or Field("")
        if hint.is_nullable:
            schema = _or_null(schema)
        is_list = get_origin(hint.type) is list
        minimum, maximum = field.minimum, field.maximum
        if is_body and hint.type is int:
            minimum, maximum = whole_bounds(field)
        limits = {
            "minimum": minimum,
            "maximum": maximum,
            "minItems" if is_list else "minLength": field.min_length or None,
            "maxItems" if is_list else "maxLength": field.max_length,
            "pattern": field.pattern and field.pattern.pattern,
            "format": field.format,
            "enum": list(field.choices) or None,
            "description": field.description or None,
        }
        return schema | {
            name: value for name, value in limits.items() if value is not None
        }

    def _type(self, kind: Any, *, is_body: bool) -> Schema:
        if get_origin(kind) is list:
            (items,) = get_args(kind)
            return {
                "type": "array",
                "items": self._value(read_hint(items), is_body=is_body),
            }
        if get_origin(kind) is dict:
            values = read_hint(get_args(kind)[1])
            return {
                "type": "object",
                "additionalProperties": self._value(values, is_body=is_body),
            }
        if _is_object(kind):
            return self.of_body(kind) if is_body else self.of_answer(kind)
        if issubclass(kind, StrEnum):
            return {"type": "string", "enum": [str(member) for member in kind]}
        if kind is UUID and is_body:
            return _BASIC[UUID] | {"pattern": UUID4.pattern}
        return dict(_BASIC[kind])


def _is_object(kind: Any) -> TypeGuard[type]:
    return is_dataclass(kind)


def _or_null(schema: Schema) -> Schema:
    if "$ref" in schema:
        return {"oneOf": [schema, {"type": "null"}]}
    nullable = schema | {"type": [schema["type"], "null"]}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    return nullable


def example_of(cls: type) -> Schema:
    """Return an example of a body or an answer, made of those of its fields."""
    return {name: _example(read_hint(hint)) for name, hint in hints_of(cls).items()}


def _example(hint: TypeHint) -> Any:
    if hint.field is not None and hint.field.example is not None:
        return hint.field.example
    if _is_object(hint.type):
        return example_of(hint.type)
    if get_origin(hint.type) is list and hint.field is not None:
        (items,) = get_args(hint.type)
        is_leaf = hint.field.example == []
        return [] if is_leaf else [_example(read_hint(items))]
    if get_origin(hint.type) is dict:
        return {"STG-7K3M9QX2VB": _example(read_hint(get_args(hint.type)[1]))}
    return None


# --- Headers ----------------------------------------------------------------

_RATE_LIMIT = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_HEADERS: dict[str, Schema] = {
    "Content-Language": {
        "description": _("The language of the texts in the answer: en or ar."),
        "schema": {"type": "string", "enum": ["en", "ar"]},
    },
    "X-RateLimit-Limit": {
        "description": _("The number of requests that are allowed in a window."),
        "schema": {"type": "integer"},
    },
    "X-RateLimit-Remaining": {
        "description": _("How many of them are left."),
        "schema": {"type": "integer"},
    },
    "X-RateLimit-Reset": {
        "description": _("The Unix time at which the window ends."),
        "schema": {"type": "integer"},
    },
    "Retry-After": {
        "description": _("The seconds to wait before the request is sent again."),
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": _("How to sign in: Bearer for students, Session for staff."),
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": _(
            "Identifies this version of the answer: it changes with the progress, the "
            "products and the release. Send it as If-None-Match."
        ),
        "schema": {"type": "string"},
    },
    "Cache-Control": {
        "description": _("The answer is private and is to be revalidated."),
        "schema": {"type": "string"},
    },
}


def _headers(status: int, *, has_etag: bool) -> Schema:
    names = ["Content-Language"]
    if status < 500 and status not in (401, 426):
        names += _RATE_LIMIT
    if status in (429, 503):
        names.append("Retry-After")
    if status == 401:
        names.append("WWW-Authenticate")
    if has_etag and status in (200, 304):
        names += ["ETag", "Cache-Control"]
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


# --- Operations -------------------------------------------------------------


class OperationSchema(AutoSchema):
    """The schema of one operation, from its `Operation`."""

    @property
    def _operation(self) -> Operation:
        view: Any = self.view
        return cast("Operation", getattr(view, view.action).operation)

    @property
    def _types(self) -> _Types:
        return _Types(self.registry)

    def get_operation_id(self) -> str:
        return self._operation.id

    def get_summary(self) -> Any:
        return self._operation.summary

    def get_description(self) -> Any:  # type: ignore[override]
        return self._operation.description

    def get_tags(self) -> list[str]:
        return [self._operation.tag]

    def _get_parameters(self) -> list[Schema]:
        parameters = list(self._operation.parameters)
        if self._needs_version:
            parameters.append(APP_VERSION)
        found = [
            {
                "name": parameter.name,
                "in": parameter.place,
                "description": parameter.field.description,
                "required": parameter.is_required,
                "schema": self._types.of_parameter(
                    TypeHint(parameter.type, parameter.field, is_nullable=False)
                ),
                "example": parameter.field.example,
            }
            for parameter in parameters
        ]
        query = self._operation.query
        return found if query is None else [*found, *self._query(query)]

    def _query(self, query: type) -> Iterator[Schema]:
        defaults = defaults_of(query)
        for name, annotation in hints_of(query).items():
            hint = read_hint(annotation)
            assert hint.field is not None
            schema = self._types.of_parameter(hint)
            if defaults.get(name) is not None:
                schema["default"] = defaults[name]
            yield {
                "name": name,
                "in": "query",
                "description": hint.field.description,
                "required": name not in defaults,
                "schema": schema,
                "example": hint.field.example,
            }

    def _get_request_body(self, direction: Any = "request") -> Schema | None:
        body = self._operation.body
        if files := self._operation.files:
            content = {kind: {"schema": schema} for kind, schema in files.items()}
            return {"required": True, "content": content}
        if body is None:
            return None
        return {
            "required": hints_of(body).keys() != defaults_of(body).keys(),
            "content": _json(self._types.of_body(body), example_of(body)),
        }

    def _get_response_bodies(self, direction: Any = "response") -> Schema:
        operation = self._operation
        success: Schema = {
            "description": _SUCCESSES[operation.status],
            "headers": _headers(operation.status, has_etag=operation.has_etag),
        }
        if operation.answer is not None:
            success["content"] = _json(
                self._types.of_answer(operation.answer), example_of(operation.answer)
            )
        responses = {str(operation.status): success}
        if operation.has_etag:
            responses["304"] = {
                "description": _("The copy that the app has is current."),
                "headers": _headers(304, has_etag=True),
            }
        by_status = groupby(
            sorted(self._codes(), key=_status_of),
            key=_status_of,
        )
        for status, codes in by_status:
            responses[str(status)] = self._refusal(status, list(codes))
        return responses

    @property
    def _is_for_staff(self) -> bool:
        return self._operation.tag == "staff"

    @property
    def _needs_version(self) -> bool:
        """Return whether an app that is too old is refused."""
        view: Any = self.view
        queued = getattr(view, "queued_actions", ())
        return not self._is_for_staff and view.action not in queued

    def _codes(self) -> Iterable[str]:
        """Return the codes of all refusals of this operation."""
        operation = self._operation
        has_header = any(one.place == "header" for one in operation.parameters)
        codes = [*operation.errors, *_COMMON_ERRORS]
        if operation.body or operation.files or operation.query or has_header:
            codes.append("INVALID_BODY")
        if self.method in ("PATCH", "POST", "PUT"):
            codes.append("UNSUPPORTED_MEDIA_TYPE")
        if self._needs_version:
            codes += _VERSION_ERRORS
        if self._is_for_staff:
            codes += _STAFF_ERRORS
        elif self.get_auth():
            codes += _STUDENT_ERRORS
        return sorted(set(codes), key=_ORDER.__getitem__)  # KeyError: not in the table

    def _refusal(self, status: int, codes: list[str]) -> Schema:
        schemas = [self._types.of_error(code) for code in codes]
        return {
            "description": " ".join(f"`{code}`" for code in codes),
            "headers": _headers(status, has_etag=False),
            "content": {
                "application/json": {
                    "schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas},
                    "examples": {
                        code: {"value": example_of_error(code)} for code in codes
                    },
                }
            },
        }


def _status_of(code: str) -> int:
    return ERROR_CODES[code].status


def example_of_error(code: str) -> Schema:
    """Return an example of an error's body."""
    entry = ERROR_CODES[code]
    body: Schema = {"error_code": code, "message": entry.meaning}
    if entry.details is not None:
        body["details"] = example_of(entry.details)
    return body


def _json(schema: Schema, example: Schema) -> Schema:
    return {"application/json": {"schema": schema, "example": example}}


# --- The document -----------------------------------------------------------

_TAGS = {
    "auth": _("Sign-in, sessions and devices of students."),
    "me": _("The student's profile, XP and streak."),
    "content": _("Where to read the published files."),
    "progress": _("Completing lessons, and progress in a subject."),
    "reviews": _("Reviewing items of completed lessons."),
    "staff": _("For staff who are signed in to the admin."),
}
_INTRODUCTION = _(
    "The API of Memora for students' apps, and a part for staff.\n\n"
    'Every refusal has the body `{"error_code", "message", "details"?}`: decide by '
    "`error_code`, and handle an unknown code by its status. Answers may get more "
    "fields: ignore those that you do not know. Times are in UTC, such as "
    "`2026-11-29T17:03:05Z`. Texts are in the language of `Accept-Language`, English "
    "or Arabic. Each address works with and without its final slash."
)


def complete_document(result: Schema, **_kwargs: Any) -> Schema:
    """Add what belongs to no operation; a postprocessing hook of drf-spectacular."""
    result["info"]["description"] = _INTRODUCTION
    result["servers"] = [
        {"url": settings.SITE_URL, "description": _("This installation.")}
    ]
    result["tags"] = [
        {"name": name, "description": text} for name, text in _TAGS.items()
    ]
    components = result["components"]
    components["headers"] = _HEADERS
    components["schemas"] |= {
        "ErrorCode": {
            "type": "string",
            "description": _("All codes of refusals; later versions may add some."),
            "enum": list(ERROR_CODES),
        },
        "Error": {
            "type": "object",
            "description": _("The body of every refusal, whatever its code."),
            "properties": {
                "error_code": {"$ref": "#/components/schemas/ErrorCode"},
                "message": {"type": "string"},
                "details": {"type": "object", "additionalProperties": True},
            },
            "required": ["error_code", "message"],
        },
    }
    return result
