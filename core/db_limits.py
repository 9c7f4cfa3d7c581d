"""How long a student's request may wait for the database.

Requests of the students' API run inside `STUDENT_REQUEST`; other requests, workers and
commands do not. Limits belong to a connection and are set when it is opened: the
backends (`core.db_backends`) replace a connection that was opened for the other kind
at its next query. A thread that serves only one kind pays nothing.

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
    started = 0.0


_thread = _Thread()


class _StudentRequest:
    """A context manager without state of its own: it serves all threads."""

    def __enter__(self) -> None:
        _thread.is_limited = True
        _thread.started = time.monotonic()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        _thread.is_limited = False


STUDENT_REQUEST = _StudentRequest()


def is_limited() -> bool:
    """Return whether this thread serves a request of a student."""
    return _thread.is_limited


def is_out_of_time() -> bool:
    """Return whether a student's request has waited too long to begin anything new."""
    return _thread.is_limited and time.monotonic() - _thread.started > PATIENCE_SECONDS
