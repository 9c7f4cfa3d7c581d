"""What both backends do: `core.time_budget`, `core.db_limits`, `core.statement_guard`."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from core import db_limits, statement_guard, time_budget


class RewritingEditor(BaseDatabaseSchemaEditor):
    """The schema editor of migrations, which may change append-only rows."""

    def __enter__(self) -> Self:
        self._rewriting = ExitStack()
        self._rewriting.enter_context(statement_guard.rewriting())
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        with self._rewriting:
            super().__exit__(*error)


class RewritingFlush(BaseDatabaseOperations):
    """Operations whose flush empties append-only tables, too."""

    def execute_sql_flush(self, sql_list: Any) -> None:
        with statement_guard.rewriting():
            super().execute_sql_flush(sql_list)


class LimitedConnection(BaseDatabaseWrapper):
    """A connection that is replaced when it was opened for another kind of request.

    Statements that change append-only rows are refused (`core.statement_guard`), and
    those of a student's request fail with `db_limits.away_error` where the request
    must not wait any longer, or the server did not answer another one a moment ago.
    """

    is_limited = False
    """Whether the open connection has the limits of a student's request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute_wrappers.append(self._execute_guarded)

    def close_if_health_check_failed(self) -> None:
        """Django calls this before each use of the connection."""
        if (
            self.connection is not None
            and self.is_limited is not time_budget.is_limited()
            # A test's transaction is around its requests.
            and not self.in_atomic_block
        ):
            self.close()
        super().close_if_health_check_failed()

    def _execute_guarded(
        self,
        execute: Callable[[str, Any, bool, dict[str, Any]], Any],
        sql: str,
        params: Any,
        many: bool,
        context: dict[str, Any],
    ) -> Any:
        statement_guard.check(sql)
        if not self.is_limited:
            return execute(sql, params, many, context)
        return self.within_limits(partial(execute, sql, params, many, context))

    def within_limits(self, ask: Callable[[], Any]) -> Any:
        """Call ``ask``, which waits for the database, in a student's request.

        Raises:
            OperationalError: `db_limits.away_error`, without a call of ``ask``; or its
                own error.
        """
        if time_budget.is_used_up() or not db_limits.may_ask():
            raise db_limits.away_error()
        started, failure = time.monotonic(), None
        try:
            with time_budget.WAIT:
                return ask()
        except Exception as error:
            failure = error
            raise
        finally:
            db_limits.note(failure, time.monotonic() - started)
