"""What both backends do with `core.db_limits`."""

from django.db.backends.base.base import BaseDatabaseWrapper

from core import db_limits


class LimitedConnection(BaseDatabaseWrapper):
    """A connection that is replaced when it was opened for another kind of request."""

    is_limited = False
    """Whether the open connection has the limits of a student's request."""

    def close_if_health_check_failed(self) -> None:
        """Django calls this before each use of the connection."""
        if (
            self.connection is not None
            and self.is_limited is not db_limits.is_limited()
            # A test's transaction is around its requests.
            and not self.in_atomic_block
        ):
            self.close()
        super().close_if_health_check_failed()
