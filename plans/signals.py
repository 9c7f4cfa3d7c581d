"""Signals of plans for the apps to their right."""

from django.dispatch import Signal

plans_changed = Signal()
"""Sent inside the transaction of an edit, with ``plan_ids: list[int]`` and
``urgent: bool`` (as in `content.signals.subjects_changed`)."""
