"""Divide long lists into batches, above all of rows for one SQL statement."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

BATCH_SIZE = 500
"""How many rows one statement reads or writes.

SQLite and MariaDB limit the size and the parameters of a statement.
"""


def batches(items: Sequence[Item], size: int = BATCH_SIZE) -> Iterator[Sequence[Item]]:
    """Yield ``items`` in order, in sequences of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
