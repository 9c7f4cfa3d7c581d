"""Parse JSON with limits on bytes and depth, before the values are used.

Plain Python: no Django here.
"""

from typing import Any

import orjson

MAX_DEPTH = 32
"""The deepest nesting of lists and objects. Valid documents have at most ten levels."""


class JSONLimitError(ValueError):
    """JSON that is too large or too deep."""


def loads(data: bytes, *, max_bytes: int) -> Any:
    """Return the JSON value in ``data``.

    Raises:
        JSONLimitError: it has more than ``max_bytes``, or is deeper than `MAX_DEPTH`.
        orjson.JSONDecodeError: it is not JSON.
    """
    if len(data) > max_bytes:
        raise JSONLimitError(f"more than {max_bytes} bytes")
    value = orjson.loads(data)
    if is_too_deep(value):
        raise JSONLimitError(f"deeper than {MAX_DEPTH} levels")
    return value


def is_too_deep(value: Any) -> bool:
    """Return whether a JSON value is deeper than `MAX_DEPTH`, without recursion."""
    level = [value]
    for _depth in range(MAX_DEPTH + 1):
        level = [outer for outer in level if isinstance(outer, dict | list)]
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return True
