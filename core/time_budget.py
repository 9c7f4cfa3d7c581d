"""How long a student's request waits for Redis and the database together.

Requests of the students' API run inside `STUDENT_REQUEST`; other requests, workers and
commands have no budget. Every round trip to Redis, statement and connection is a `WAIT`
and uses up the budget. For a request that has waited `BUDGET_SECONDS` Redis and the
database count as away: it begins nothing new. Its last wait ends by its own limit. So
when services stop answering, in any combination, a request waits at most

    BUDGET_SECONDS + db_limits.READ_SECONDS

which is 4.4 seconds. Apps must get an answer within five: one that gives up sooner sends
the request again while the first one is still waiting, and each of them occupies a
thread of the web server.

A request that met a Redis that hangs has two thirds of the budget left for the database.
A completion that is committed is answered with 200 even if its budget is used up; like
without Redis, its record expires.

Only waiting counts, not computing: a busy machine answers late, but correctly.
"""

import threading
import time
from types import TracebackType

BUDGET_SECONDS = 2.4


class _Thread(threading.local):
    is_limited = False
    waited = 0.0
    wait_began = 0.0


_thread = _Thread()


class _StudentRequest:
    """A context manager without state of its own: it serves all threads."""

    def __enter__(self) -> None:
        _thread.is_limited = True
        _thread.waited = 0.0

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        _thread.is_limited = False


class _Wait:
    """A context manager around one wait; waits are not nested."""

    def __enter__(self) -> None:
        _thread.wait_began = time.monotonic()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        _thread.waited += time.monotonic() - _thread.wait_began


STUDENT_REQUEST = _StudentRequest()
WAIT = _Wait()


def is_limited() -> bool:
    """Return whether this thread serves a request of a student."""
    return _thread.is_limited


def is_used_up() -> bool:
    """Return whether a student's request has waited too long to begin anything new."""
    return _thread.is_limited and _thread.waited > BUDGET_SECONDS
