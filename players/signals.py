"""What players' tables tell when many rows change at once.

Django sends no signal for ``QuerySet.update()`` and ``bulk_create()``.
"""

from django.dispatch import Signal

access_changed = Signal()
"""Sent inside the transaction, with ``player_ids: list[int]``: plans or products."""

sign_in_changed = Signal()
"""Sent inside the transaction, with ``player_ids: list[int]``: devices or session."""

users_deactivated = Signal()
"""Sent inside the transaction, with ``user_ids: list[int]``."""
