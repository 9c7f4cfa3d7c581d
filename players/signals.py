"""What players' tables tell when many rows change at once.

Django sends no signal for ``QuerySet.update()`` and ``bulk_create()``.
"""

from django.dispatch import Signal

access_changed = Signal()
"""Sent inside the transaction, with ``player_ids: list[int]``: plans or products."""

sign_in_changed = Signal()
"""Sent inside the transaction, with ``player_ids: list[int]``: devices or session."""

access_rows_written = Signal()
"""Sent inside the transaction, with ``rows: list``, enrolments or entitlements written
in bulk, and ``created: bool``."""

users_changed = Signal()
"""Sent inside the transaction, with ``changes: dict[int, dict[str, Any]]``: by user id,
the new values of the `players.models.WATCHED` columns that changed."""
