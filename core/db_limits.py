"""How long a student's request may wait for the database.

A request of the students' API runs inside `STUDENT_REQUEST`, every other request inside
`OTHER_REQUEST`; workers and commands inside neither. Limits belong to a connection and
are set when it is opened (`core.db_backends`), so a thread that changes between the
kinds opens a new connection, and one that does not pays nothing.

The limits of a student's request, so that it answers 503 within five seconds whatever
the database does:

- opening a connection: `CONNECT_SECONDS`, and not at all for a request that has
  already waited `PATIENCE_SECONDS`;
- a lock: `LOCK_SECONDS`; a statement: `STATEMENT_SECONDS`, both kept by the server;
- no answer from the server (it hangs, or the network is cut): `READ_SECONDS`.

After a connection could not be opened, requests of students do not try again for
`PAUSE_SECONDS`, so that not every thread waits for a server that is away.
`core.db.is_unavailable` recognises all errors that these limits cause.
"""

import threading
import time
from types import TracebackType

from django.db import connections

from core.pause import Pause

CONNECT_SECONDS = 2
LOCK_SECONDS = 3
STATEMENT_SECONDS = 3.5
# Whole seconds: the client library knows no others. More than the two above, so that
# the server's own error comes first.
READ_SECONDS = 4
SQLITE_LOCK_SECONDS = 4
PATIENCE_SECONDS = 2.5
PAUSE_SECONDS = 1.0

unreachable = Pause()
"""Whether requests of students may open a connection."""


class _Thread(threading.local):
    is_limited = False
    """Whether the running request has the limits,"""
    opened_limited: bool | None = None
    """and whether the open connection has them; None: there was none yet."""
    started = 0.0


_thread = _Thread()


class _Request:
    """A context manager; the same object serves all threads."""

    def __init__(self, *, is_limited: bool) -> None:
        self._is_limited = is_limited

    def __enter__(self) -> None:
        _thread.is_limited = self._is_limited
        _thread.started = time.monotonic()
        if _thread.opened_limited is (not self._is_limited):
            _close()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        _thread.is_limited = False


def _close() -> None:
    connection = connections["default"]
    if not connection.in_atomic_block:  # that of a test, around the request
        connection.close()
        _thread.opened_limited = None


STUDENT_REQUEST = _Request(is_limited=True)
OTHER_REQUEST = _Request(is_limited=False)


def is_limited() -> bool:
    """Return whether this thread serves a request of a student."""
    return _thread.is_limited


def is_out_of_time() -> bool:
    """Return whether a student's request has waited too long to begin anything new."""
    return _thread.is_limited and time.monotonic() - _thread.started > PATIENCE_SECONDS


def note_opened(*, limited: bool) -> None:
    """Remember what this thread's connection was opened with (for the backends)."""
    _thread.opened_limited = limited
