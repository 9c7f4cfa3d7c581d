"""Database helpers: consistent reads, locks, conflicts and their retry, outages."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from django.db import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from django.db.models import QuerySet

from core import time_budget


@contextmanager
def consistent_read() -> Iterator[None]:
    """A transaction whose reads all use one snapshot and do not block writers.

    MariaDB: REPEATABLE READ for this one transaction. SQLite: a deferred transaction
    reads from one WAL snapshot. Inside another transaction (such as a test's) the reads
    use that transaction.
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


def code_of(error: Exception) -> int | None:
    """Return MariaDB's number of the error; None for other errors, as SQLite's."""
    code = error.args[0] if error.args else None
    return code if isinstance(code, int) else None


_CONFLICTS = frozenset({1205, 1213, 1467})
"""MariaDB's errors for a lock wait timeout and for a deadlock; 1467 is a deadlock on the
lock of AUTO_INCREMENT, which an INSERT … SELECT holds until it ends."""


def is_conflict(error: OperationalError) -> bool:
    """Return whether a write failed only because of a concurrent write.

    Such a write can be retried.
    """
    return code_of(error) in _CONFLICTS or "database is locked" in str(error)


_UNAVAILABLE_CODES = frozenset(
    {
        # Too many connections.
        *(1040, 1203, 1226),
        # No connection: errors of the server, then of the client library.
        *(1042, 1043, 1053, 1077, 1129, 1158, 1159, 1160, 1161, 1927),
        *(2001, 2002, 2003, 2004, 2005, 2006, 2012, 2013, 2055, 4031),
        # Read-only during a failover.
        *(1290, 1836),
        # The row changed since it was read, or the statement timed out.
        *(1020, 1969),
    }
)
"""MariaDB's errors for a server that is unreachable or temporarily unavailable."""


_UNAVAILABLE_MESSAGES = (
    "database is locked",
    "table is locked",
    "unable to open database file",
)
"""The messages of SQLite's errors of the same kind."""


def is_unavailable(error: Exception) -> bool:
    """Return whether the database is unreachable or busy, so a retry may succeed.

    False for every other error: invalid data, a constraint, a wrong query, a full disk.
    Those occur again on every retry.
    """
    # Closing a cursor on a lost connection raises the driver's own errors.
    driver = connection.Database  # type: ignore[attr-defined]
    if isinstance(error, InterfaceError | driver.InterfaceError):  # it is closed
        return True
    if not isinstance(error, OperationalError | driver.OperationalError):
        return False
    code = code_of(error)
    return (
        code in _CONFLICTS
        or code in _UNAVAILABLE_CODES
        or any(words in str(error) for words in _UNAVAILABLE_MESSAGES)
    )


_LOST_CODES = frozenset({2006, 2013, 2055, 4031, 1927})
"""MariaDB's errors for a connection that broke during a statement."""


def is_connection_lost(error: Exception) -> bool:
    """Return whether the connection broke, so that the statement may have run."""
    return isinstance(error, InterfaceError) or code_of(error) in _LOST_CODES


_NULL, _DUPLICATE, _NO_PARENT = 1048, 1062, 1452


def is_duplicate_error(error: IntegrityError) -> bool:
    """Return whether a row with the same unique key exists."""
    return code_of(error) == _DUPLICATE or "UNIQUE" in str(error)


def is_foreign_key_error(error: IntegrityError) -> bool:
    """Return whether a row refers to a row that does not exist."""
    return code_of(error) == _NO_PARENT or "FOREIGN KEY" in str(error)


def is_null_error(error: IntegrityError) -> bool:
    """Return whether a column that needs a value has none."""
    return code_of(error) == _NULL or "NOT NULL" in str(error)


def utc_time(text: str) -> datetime:
    """Return the time of a column that a statement has cast to a text."""
    return datetime.fromisoformat(f"{text}+00:00")


def parameter_marks(count: int) -> str:
    """Return the marks of ``count`` parameters of a statement: ``%s, %s``."""
    return ", ".join(["%s"] * count)


def lock_shared(rows: QuerySet[Any]) -> list[Any]:
    """Return the primary keys of rows, which nobody can change until the commit.

    Other shared locks are granted, such as the ones that an insert takes on the rows
    that its foreign keys refer to; `QuerySet.select_for_update` would make those wait.
    SQLite has no other writer during a transaction, so nothing is locked.
    """
    keys = rows.values_list("pk", flat=True)
    if connection.vendor != "mysql":
        return list(keys)
    sql, parameters = keys.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} LOCK IN SHARE MODE", parameters)
        return [key for (key,) in cursor.fetchall()]


_FIRST_PAUSE_SECONDS = 0.01
"""The longest pause before the second attempt; each later one is twice as long."""


def retry_on_conflict(write: Callable[[], Written], *, attempts: int = 5) -> Written:
    """Call ``write`` and return its result; call it again after a conflict.

    ``write`` must be the whole transaction. Inside an outer transaction it is called
    only once: the conflict has rolled back what the outer transaction did before. In a
    student's request it is not called again once the budget of `core.time_budget` is
    used up.

    Raises:
        OperationalError: it failed ``attempts`` times, or with another error.
    """
    if connection.in_atomic_block:
        return write()
    for attempt in range(attempts - 1):
        try:
            return write()
        except OperationalError as error:
            if not is_conflict(error) or time_budget.is_used_up():
                raise
        # Otherwise the same transactions meet again at the same statement.
        time.sleep(random.uniform(0, _FIRST_PAUSE_SECONDS) * 2**attempt)  # noqa: S311
    return write()
