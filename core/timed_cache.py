"""A cache in the memory of a process whose values are used for some seconds."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_MAX_ENTRIES = 1024


class TimedCache(Generic[Key, Value]):
    """Values by key; shared by all threads, which may compute a value twice."""

    def __init__(self) -> None:
        self._held: dict[Key, tuple[float, Value]] = {}

    def get(self, key: Key, compute: Callable[[], Value], *, seconds: float) -> Value:
        """Return the value computed at most ``seconds`` ago, else compute it.

        Args:
            seconds: 0 computes it always.
        """
        now = time.monotonic()
        held = self._held.get(key)
        if held is not None and now - held[0] < seconds:
            return held[1]
        value = compute()
        if len(self._held) >= _MAX_ENTRIES:
            self._held.clear()
        self._held[key] = now, value
        return value
