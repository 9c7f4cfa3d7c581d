"""MariaDB, with limits for requests of students and a cheap check of connections."""

import select
from functools import partial
from typing import Any

from django.db.backends.mysql import base, operations, schema

from core import db_limits, time_budget
from core.db_backends.connection import (
    LimitedConnection,
    RewritingEditor,
    RewritingFlush,
)


class DatabaseOperations(RewritingFlush, operations.DatabaseOperations):
    pass


class DatabaseSchemaEditor(RewritingEditor, schema.DatabaseSchemaEditor):
    pass


class DatabaseWrapper(LimitedConnection, base.DatabaseWrapper):
    ops_class = DatabaseOperations
    SchemaEditorClass = DatabaseSchemaEditor

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        self.is_limited = time_budget.is_limited()
        if self.is_limited:
            params["connect_timeout"] = db_limits.CONNECT_SECONDS
            params["read_timeout"] = params["write_timeout"] = db_limits.READ_SECONDS
            params["init_command"] = (
                f"{params['init_command']}, "
                f"max_statement_time={db_limits.STATEMENT_SECONDS}"
            )
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; for a student's request fail at once where waiting is futile."""
        connect = partial(super().get_new_connection, conn_params)
        return self.within_limits(connect) if self.is_limited else connect()

    def is_usable(self) -> bool:
        """Return whether the connection still works.

        Django asks at the first query of a request. A server that ended the connection
        has made its socket readable; a ping would cost a round trip each time, and the
        whole read timeout when the server hangs.
        """
        if not self.is_limited or self.errors_occurred:
            return bool(super().is_usable())
        try:
            poller = select.poll()
            poller.register(self.connection.fileno(), select.POLLIN)
            return not poller.poll(0) or bool(super().is_usable())
        except (ValueError, OSError, self.Database.Error):
            return False
