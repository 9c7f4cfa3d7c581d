"""The batch size of queries and bulk writes."""

from collections.abc import Iterator
from typing import TypeVar

Value = TypeVar("Value")

SIZE = 500


def batches(values: list[Value]) -> Iterator[list[Value]]:
    """Yield ``values`` in lists of at most `SIZE`."""
    for start in range(0, len(values), SIZE):
        yield values[start : start + SIZE]
