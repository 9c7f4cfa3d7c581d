"""How long a student's request waits for Redis and the database together.

Requests of the students' API run inside `STUDENT_REQUEST`; other requests, workers and
commands have no budget. Every round trip to Redis, statement and connection is a `WAIT`
and uses up the budget. A request that has waited `BUDGET_SECONDS` begins nothing new in
the database; it answers 503. The last wait that it has begun ends by its own limit, and
a completion that is committed may still store its state in Redis. So a request waits at
most for

    BUDGET_SECONDS + db_limits.READ_SECONDS + redis_client.TIMEOUT_SECONDS

when services stop answering, in any combination: 4.3 seconds. A client that gave up
after five seconds would send the request again while the first one is still waiting,
and each such request occupies a thread of the web server.

Only waiting counts, not computing: a busy machine answers late, but correctly.
"""

import threading
import time
from types import TracebackType

BUDGET_SECONDS = 1.5


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
