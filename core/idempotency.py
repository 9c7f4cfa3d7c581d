"""The header Idempotency-Key: a client's name for a request that it may send again."""

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _, gettext_lazy

from core.api_operations import Parameter
from core.api_types import Field, InvalidBodyError
from core.errors import MemoraError

_MAX_LENGTH = 100
_META = "HTTP_IDEMPOTENCY_KEY"
_PRINTABLE = re.compile("^[ -~]{0,100}$")
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    str,
    Field(
        gettext_lazy(
            "The app's name for this request: 1 to 100 printable ASCII characters, such "
            "as a UUID. A repeat with the same key changes nothing and gets the answer "
            "of the first one, so a request can be sent again when its answer was lost."
        ),
        example="3f6d1c9e-0b5a-4a5e-9c2b-1d2e3f4a5b6c",
        min_length=1,
        max_length=_MAX_LENGTH,
        pattern=_PRINTABLE,
    ),
)


class IdempotencyConflictError(MemoraError):
    """The idempotency key was used before, for another request."""

    code = "IDEMPOTENCY_CONFLICT"


def key_of(meta: Mapping[str, Any]) -> str | None:
    """Return the client's name for this request; None if the header is missing.

    Args:
        meta: the request's ``META``; Django makes its ``headers`` of all headers.

    Raises:
        InvalidBodyError: it is not 1 to 100 printable ASCII characters.
    """
    key: str | None = meta.get(_META)
    if key is None:
        return None
    if 1 <= len(key) <= _MAX_LENGTH and key.isascii() and key.isprintable():
        return key
    fault = _("The Idempotency-Key header must have 1 to 100 printable characters.")
    raise InvalidBodyError({IDEMPOTENCY_KEY.name: fault})


def key_conflict() -> IdempotencyConflictError:
    """Return the error for a key that was used for another request."""
    return IdempotencyConflictError(
        _("This Idempotency-Key was used for another request: send a new one.")
    )
