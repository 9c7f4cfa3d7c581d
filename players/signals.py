"""Signals for bulk writes of the players' tables.

Django sends no signal for ``QuerySet.update()`` and ``bulk_create()``.
"""

from django.dispatch import Signal

access_changed = Signal()
"""Plans or entitlements changed. Sent in the transaction; ``player_ids: list[int]``."""

sign_in_changed = Signal()
"""Devices or sessions changed. Sent in the transaction; ``player_ids: list[int]``."""

access_rows_written = Signal()
"""Enrolments or entitlements were written in bulk. Sent in the transaction, with
``rows: list`` and ``change: str``: ``added``, ``changed`` or ``removed``."""

users_changed = Signal()
"""Accounts changed. Sent in the transaction, with ``changes``, a
``dict[int, dict[str, Any]]``: the new values of the changed `players.models.WATCHED`
columns, by user id; and ``keep_sessions: bool``: a changed password ends no session."""
