"""What the API promises of each operation, declared at its view.

`memora_site.openapi` makes the OpenAPI schema of it, and adds what all operations have
in common: refusals of the sign-in, limits, headers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from core.api_types import Field

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the path or a header of a request."""

    name: str
    place: Literal["path", "header"]
    type: type
    field: Field
    is_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of the API.

    ``body``, ``query`` and ``answer`` are dataclasses of `core.api_types`; ``answer``
    None means no body. ``files`` has the JSON Schema of bodies that are no JSON, by
    content type. ``errors`` has the codes of its own refusals.
    """

    id: str
    tag: str
    summary: StrOrPromise
    description: StrOrPromise
    answer: Any = None
    status: int = 200
    body: type | None = None
    files: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    query: type | None = None
    parameters: tuple[Parameter, ...] = ()
    errors: tuple[str, ...] = ()
    has_etag: bool = False


def describe(operation: Operation) -> Callable[[View], View]:
    """Attach the operation to the method of a view that executes it."""

    def attach(view: View) -> View:
        view.operation = operation  # type: ignore[attr-defined]
        return view

    return attach
