"""How long a student's request waits for the database; `core.time_budget` is the sum.

Limits belong to a connection and are set when it is opened: the backends
(`core.db_backends`) replace a connection that was opened for the other kind of request
at its next query. A thread that serves only one kind pays nothing.

- opening a connection: `CONNECT_SECONDS`;
- a statement, its wait for locks included: `STATEMENT_SECONDS`, kept by the server;
- no answer from the server (it hangs, or the network is cut): `READ_SECONDS`.

After a wait for a server that did not answer at all, requests of students in this
process fail at once for `PAUSE_SECONDS`. Then one of them tries, and all others keep
failing until it has an answer. So a request that was queued behind waiting ones does
not wait again.

`core.db.is_unavailable` recognises all errors that these limits cause.
"""

from django.db import OperationalError

from core.pause import Pause

CONNECT_SECONDS = 2
STATEMENT_SECONDS = 1.5
# Whole seconds: the client library knows no others. More than a statement may take, so
# that the server's own error comes first.
READ_SECONDS = 2
SQLITE_LOCK_SECONDS = 2
PAUSE_SECONDS = 1.0

unreachable = Pause()
"""Whether requests of students may ask the database."""

_CR_CONNECTION_ERROR, _CR_CONN_HOST_ERROR, _CR_SERVER_LOST = 2002, 2003, 2013
_SILENT = [(_CR_CONNECTION_ERROR,), (_CR_CONN_HOST_ERROR,), (_CR_SERVER_LOST,)]


def may_ask() -> bool:
    """Return whether the database is not known to be away, or this caller may try."""
    return unreachable.is_over(
        try_seconds=CONNECT_SECONDS + READ_SECONDS + PAUSE_SECONDS
    )


def note(error: Exception | None, seconds: float) -> None:
    """Begin or end the pause after a wait of ``seconds`` with this outcome.

    A refused connection, or one that the server has ended, costs no time, so nobody
    needs to be kept from trying. A wait for a lock says nothing about the server.
    """
    if error is not None and error.args[:1] in _SILENT and seconds > READ_SECONDS / 2:
        unreachable.begin(PAUSE_SECONDS)
    else:
        unreachable.end()


def away_error() -> OperationalError:
    """Return the error for a request that does not ask the database."""
    return OperationalError(
        _CR_CONN_HOST_ERROR, "The database did not answer a moment ago"
    )
