"""Database helpers: consistent reads, conflicts and their retry, outages."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction


@contextmanager
def consistent_read() -> Iterator[None]:
    """A transaction whose reads all see the same moment, and block no editor.

    MariaDB: REPEATABLE READ for this one transaction. SQLite: a deferred transaction
    reads from one WAL snapshot. Inside another transaction (a test's) it is that one.
    """
    if connection.in_atomic_block:
        yield
        return
    if connection.vendor == "mysql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield
        return
    connection.ensure_connection()
    mode = connection.transaction_mode  # type: ignore[attr-defined]
    connection.transaction_mode = "DEFERRED"  # type: ignore[attr-defined]
    try:
        with transaction.atomic():
            yield
    finally:
        connection.transaction_mode = mode  # type: ignore[attr-defined]


Written = TypeVar("Written")


_CONFLICTS = frozenset({1205, 1213})
"""MariaDB's errors for waiting too long for a lock, and for being chosen to give way."""


def is_conflict(error: OperationalError) -> bool:
    """Whether a change failed only because others changed the same: try again."""
    code = error.args[0] if error.args else None
    return code in _CONFLICTS or "database is locked" in str(error)


_AWAY = frozenset(
    {
        # Too many connections.
        *(1040, 1203, 1226),
        # No connection: said by the server, then by the client library.
        *(1042, 1043, 1053, 1077, 1129, 1158, 1159, 1160, 1161, 1927),
        *(2001, 2002, 2003, 2004, 2005, 2006, 2012, 2013, 2055, 4031),
        # Read-only, while another server takes over.
        *(1290, 1836),
        # Changed meanwhile, or slower than the server allows: as a lost race.
        *(1020, 1969),
    }
)
"""MariaDB's errors for a server that cannot be reached or does not serve now."""


_AWAY_WORDS = ("database is locked", "table is locked", "unable to open database file")
"""How SQLite says the same."""


def is_unavailable(error: Exception) -> bool:
    """Whether the database cannot be reached or is too busy: the same may work later.

    False for every other error: data it does not take, a constraint, a query that is
    wrong, a full disk. Those come back whenever the same is tried again.
    """
    if isinstance(error, InterfaceError):  # the connection is closed
        return True
    if not isinstance(error, OperationalError):
        return False
    code = error.args[0] if error.args else None
    return (
        code in _CONFLICTS
        or code in _AWAY
        or any(words in str(error) for words in _AWAY_WORDS)
    )


def retry_on_conflict(write: Callable[[], Written], *, attempts: int = 5) -> Written:
    """What ``write`` returns, called again when it lost a race.

    ``write`` must be all that its transaction does: inside a transaction that goes on,
    a lost race has undone what came before, so nothing is tried again there.

    Raises:
        OperationalError: it lost ``attempts`` times, or failed otherwise.
    """
    if connection.in_atomic_block:
        return write()
    for _lost in range(attempts - 1):
        try:
            return write()
        except OperationalError as error:
            if not is_conflict(error):
                raise
    return write()
