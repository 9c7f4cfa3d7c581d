"""How much JSON is read: bytes and depth, before anything works on the values.

Plain rules: no Django here.
"""

from typing import Any

import orjson

MAX_DEPTH = 32
"""Lists and objects in each other. What is read here has at most ten."""


class JSONLimitError(ValueError):
    """JSON with more bytes, or deeper, than is read."""


def loads(data: bytes, *, max_bytes: int) -> Any:
    """The JSON value in ``data``.

    Raises:
        JSONLimitError: it has more than ``max_bytes``, or is deeper than `MAX_DEPTH`.
        orjson.JSONDecodeError: it is no JSON.
    """
    if len(data) > max_bytes:
        raise JSONLimitError(f"more than {max_bytes} bytes")
    value = orjson.loads(data)
    if is_too_deep(value):
        raise JSONLimitError(f"deeper than {MAX_DEPTH} levels")
    return value


def is_too_deep(value: Any) -> bool:
    """Whether a JSON value is deeper than `MAX_DEPTH`. Recursion takes no part in it."""
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
