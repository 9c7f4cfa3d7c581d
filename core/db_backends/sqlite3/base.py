"""SQLite, with a shorter wait for locks in requests of students."""

from typing import Any

from django.db.backends.sqlite3 import base, operations, schema

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
            params["timeout"] = db_limits.SQLITE_LOCK_SECONDS
        return params
