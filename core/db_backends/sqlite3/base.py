"""SQLite, with a shorter wait for locks in requests of students."""

from typing import Any

from django.db.backends.sqlite3 import base

from core import db_limits


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        limited = db_limits.is_limited()
        db_limits.note_opened(limited=limited)
        if limited:
            params["timeout"] = db_limits.SQLITE_LOCK_SECONDS
        return params
