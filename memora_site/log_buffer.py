"""The log of the web server, written by a thread: no request waits for it.

A write of one line releases the interpreter's lock. Where other threads wait for that
lock, the thread that wrote waits for its turn again: that cost a request ten times as
much as making the line. Commands and Celery write their few lines directly.
"""

import logging
import logging.config
import os
import threading
import weakref
from collections import deque
from multiprocessing import util as multiprocessing_util
from typing import Any

from django.conf import settings

INTERVAL_SECONDS = 0.2
BATCH_LINES = 500
"""As many lines are written before the interval has passed."""
MAX_LINES = 10_000
"""Lines that wait for a disk or a pipe that does not take them; further are dropped."""
CLOSE_SECONDS = 2.0
"""How long the end of a process waits for the last lines to be written."""

_log = logging.getLogger(__name__)


class BufferedHandler(logging.Handler):
    """Write lines to a file descriptor, in their order, by a thread of its own.

    Lines are written after `INTERVAL_SECONDS`, sooner if there are `BATCH_LINES`, at
    once after a warning or an error, and at the end of the process. A killed process
    (SIGKILL) loses those of the last interval.

    `emit` never waits for the descriptor and never fails because of it: lines that it
    does not take are dropped and counted, and a warning with their number follows as
    soon as it takes lines again.

    A forked process starts its own thread; the lines of its parent are the parent's.
    """

    def __init__(self, descriptor: int = 2) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._is_closed = False
        self._begin()
        _handlers.add(self)

    def _begin(self) -> None:
        """Begin without lines and without a thread, as a new process does."""
        self._lines: deque[bytes] = deque()
        self._overflown = 0  # changed under the handler's lock
        self._unwritten = 0  # changed by the writing thread, as the next two
        self._reported = 0
        self._has_failed = False
        self._thread: threading.Thread | None = None
        self._at_exit: Any = None
        self._has_lines = threading.Event()
        self._is_urgent = threading.Event()

    @property
    def dropped(self) -> int:
        """The number of lines that were dropped since the process began."""
        return self._overflown + self._unwritten

    def emit(self, record: logging.LogRecord) -> None:
        """Add a line; `logging.Handler.handle` holds the handler's lock."""
        try:
            line = self._line(record)
        except Exception:  # noqa: BLE001 - as the handlers of the standard library
            self.handleError(record)
            return
        if len(self._lines) >= MAX_LINES:
            self._overflown += 1
            return
        self._lines.append(line)
        if not self._is_running():
            self._write_lines()
            return
        # The line is added before the events are read, and the thread clears them
        # before it takes the lines, so that no line is left without an event.
        if not self._has_lines.is_set():
            self._has_lines.set()
        if record.levelno >= logging.WARNING or len(self._lines) >= BATCH_LINES:
            self._is_urgent.set()

    def close(self) -> None:
        """Write what is left, for up to `CLOSE_SECONDS`; later lines are not buffered.

        `logging.shutdown` calls it, or `multiprocessing` at the end of a worker.
        """
        self.acquire()
        try:
            self._is_closed = True
            if self._thread is not None:
                self._at_exit.cancel()
                self._has_lines.set()
                self._is_urgent.set()
                self._thread.join(CLOSE_SECONDS)
            if not self._is_running():
                self._write_lines()
        finally:
            self.release()
        super().close()

    def _is_running(self) -> bool:
        """Return whether a thread writes the lines; start it if it should."""
        if self._thread is not None:
            return self._thread.is_alive()
        if self._is_closed:
            return False
        thread = threading.Thread(target=self._run, name="log", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads
            return False
        self._thread = thread
        # A worker of Granian ends without `atexit`, and so without `logging.shutdown`.
        self._at_exit = multiprocessing_util.Finalize(None, self.close, exitpriority=10)
        return True

    def _run(self) -> None:
        while not self._is_closed:
            self._has_lines.wait()
            self._is_urgent.wait(INTERVAL_SECONDS)
            self._has_lines.clear()
            self._is_urgent.clear()
            self._write_lines()

    def _write_lines(self) -> None:
        while self._lines:
            taken = [self._lines.popleft() for _line in range(len(self._lines))]
            if not self._write(b"".join(taken)):
                continue
            if (missing := self.dropped - self._reported) > 0:
                self._reported += missing
                self._write(self._line(_report(missing)))

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(errors="backslashreplace")

    def _write(self, data: bytes) -> bool:
        """Write ``data`` and return whether all of it was written."""
        # After a failure the last line may be cut: begin a new one.
        rest = b"\n" + data if self._has_failed else data
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            self._unwritten += min(rest.count(b"\n"), data.count(b"\n"))
            self._has_failed = True
            return False
        self._has_failed = False
        return True


def _report(missing: int) -> logging.LogRecord:
    return _log.makeRecord(
        _log.name,
        *(logging.WARNING, __file__, 0, "log_lines_dropped", (), None),
        extra={"count": missing},
    )


_handlers: "weakref.WeakSet[BufferedHandler]" = weakref.WeakSet()


def _begin_all() -> None:
    for handler in _handlers:
        handler._begin()


os.register_at_fork(after_in_child=_begin_all)


def install() -> None:
    """Buffer the log of this process from now on; `settings.LOGGING` stays the rest."""
    handler = {"()": BufferedHandler, "formatter": "structured"}
    logging.config.dictConfig({**settings.LOGGING, "handlers": {"stderr": handler}})


def dropped_lines() -> int:
    """Return the number of lines that this process has dropped."""
    return sum(handler.dropped for handler in _handlers)
