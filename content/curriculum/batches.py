"""How much one statement carries."""

from collections.abc import Iterator
from typing import TypeVar

Value = TypeVar("Value")

SIZE = 500


def batches(values: list[Value]) -> Iterator[list[Value]]:
    """``values`` in parts that one query can name."""
    for start in range(0, len(values), SIZE):
        yield values[start : start + SIZE]
