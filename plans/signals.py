"""What plans tell the apps to their right."""

from django.dispatch import Signal

plans_changed = Signal()
"""Sent inside the transaction of an edit, with ``plan_ids: list[int]`` and
``at_once: bool``: as `content.signals.subjects_changed`."""
