"""Notice when this machine, not the site, is slow."""

import threading
import time

_STEP = 0.05
_NOTED = 0.4
"""Seconds by which a short sleep must be late to count."""


class Stalls(threading.Thread):
    """Watch for times in which this process did not run."""

    def __init__(self) -> None:
        super().__init__(name="stalls", daemon=True)
        self.found: list[tuple[float, float]] = []
        self._ends = threading.Event()

    def run(self) -> None:
        before = time.monotonic()
        while not self._ends.wait(_STEP):
            now = time.monotonic()
            if now - before > _STEP + _NOTED:
                self.found.append((before, now))
            before = now

    def end(self) -> None:
        self._ends.set()
        self.join()

    def seconds_in(self, started: float, ended: float) -> float:
        """Return how long the machine stalled in that time."""
        return sum(
            max(0.0, min(ended, last) - max(started, first))
            for first, last in self.found
        )
