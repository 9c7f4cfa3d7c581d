"""A circuit breaker: after a failure, do not ask a service again for a moment."""

import threading
import time


class Pause:
    """Tells whether a service may be asked; shared by all threads of the process.

    After `begin`, `is_over` is False for a time; then it is True for one caller, the
    others wait until that one has called `end` or `begin`, or until its own time to
    try has passed. Times are those of the monotonic clock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0

    def is_over(self, *, try_seconds: float) -> bool:
        """Return whether this caller may ask the service, for ``try_seconds``."""
        if not self._until:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._until:
                return False
            if self._until:
                self._until = now + try_seconds
            return True

    def begin(self, seconds: float) -> None:
        """The service failed: let nobody ask it for ``seconds``."""
        with self._lock:
            self._until = time.monotonic() + seconds

    def end(self) -> None:
        """The service answered, or the caller wants it to be asked at once."""
        if self._until:
            with self._lock:
                self._until = 0.0
